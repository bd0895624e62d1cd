"""Saving, loading and exporting."""

import json
import sys
import types
from pathlib import Path

import pytest
import torch
from blocks import BLOCKS
from networks import Small, small
from torch import nn

import padless
from padless import export, load, plan, prune, save
from padless.errors import PadlessError, UsageError
from padless.runs.folder import check_folder, read_summary

X = torch.zeros(1, 3, 16, 16)


@pytest.fixture
def pruned():
    model = small()
    made = plan(model, X, target="unit:8", budget="macs=50%")
    return prune(model, made), made


def test_a_saved_network_is_rebuilt_on_a_fresh_one(pruned, tmp_path):
    model, made = pruned
    save(tmp_path / "run", model, made, {"model": "mine"})
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["model.safetensors", "plan.json", "summary.json"]
    assert len({p.stat().st_mode for p in (tmp_path / "run").iterdir()}) == 1
    again = load(tmp_path / "run", Small())
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(again(x), model.eval()(x))
    assert read_summary(tmp_path / "run") == {"model": "mine"}


def test_saving_replaces_a_run_and_nothing_else(pruned, tmp_path):
    model, made = pruned
    save(tmp_path / "run", model, made)
    save(tmp_path / "run", model, made, {"second": True})
    assert read_summary(tmp_path / "run") == {"second": True}
    assert [p.name for p in tmp_path.iterdir()] == ["run"]  # no scratch left
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("dear")
    with pytest.raises(UsageError, match="home holds letter, beside what a run writes. Move that away"):
        save(tmp_path / "home", model, made)
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="run holds notes.txt, beside what a run writes"):
        save(tmp_path / "run", model, made)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file is a file; it stays as it is"):
        check_folder(tmp_path / "file")


def test_a_failed_save_leaves_the_old_run(pruned, tmp_path):
    model, made = pruned
    save(tmp_path / "run", model, made, {"first": 1})
    with pytest.raises(TypeError):
        save(tmp_path / "run", model, made, {"not json": object()})
    assert read_summary(tmp_path / "run") == {"first": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_move_that_fails_brings_the_old_run_back(pruned, tmp_path, monkeypatch):
    model, made = pruned
    save(tmp_path / "run", model, made, {"first": 1})
    rename = Path.rename

    def fail(self, target):
        if self.name == "new":
            raise PermissionError("in use")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(PermissionError):
        save(tmp_path / "run", model, made, {"second": 2})
    assert read_summary(tmp_path / "run") == {"first": 1}


def test_the_current_folder_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="cannot be replaced as a whole. Give a folder inside it"):
        check_folder(Path("."))


def test_exporting_leaves_the_model_as_it_was(pruned, tmp_path):
    model = pruned[0].train()
    export(model, X, tmp_path / "m.pt2")
    assert model.training


def test_loading_what_is_not_there_or_does_not_fit(pruned, tmp_path):
    model, made = pruned
    with pytest.raises(UsageError, match="No plan at"):
        load(tmp_path, Small())
    with pytest.raises(UsageError, match="has no readable summary.json"):
        read_summary(tmp_path)
    save(tmp_path / "run", model, made)
    with pytest.raises(UsageError, match="made on a network with structure"):
        load(tmp_path / "run", nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)))


def test_nothing_is_pickled(pruned, tmp_path):
    model, made = pruned
    save(tmp_path / "run", model, made)
    for file in (tmp_path / "run").iterdir():
        assert not file.read_bytes().startswith((b"PK", b"\x80"))
        assert file.suffix == ".safetensors" or json.loads(file.read_text()) is not None


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_exports_compute_the_same_at_the_pruned_widths(pruned, suffix, tmp_path):
    model, _ = pruned
    error = export(model, X, tmp_path / f"m.{suffix}")
    assert error < 1e-5
    assert [p.name for p in tmp_path.iterdir()] == [f"m.{suffix}"]
    if suffix == "onnx":
        import onnx

        graph = onnx.load(tmp_path / "m.onnx").graph
        assert {n.op_type for n in graph.node} <= {"Conv", "Relu", "Add", "ReduceMean", "Gemm", "BatchNormalization"}
        shapes = {t.name: list(t.dims) for t in graph.initializer}
        widths = [shapes[n.input[1]][0] for n in graph.node if n.op_type == "Conv"]
        assert widths == [m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)]


def test_transposed_and_standardised_convolutions_are_exported(tmp_path):
    torch.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(3, 16, 1), nn.ConvTranspose2d(16, 16, 2, 2), nn.MaxPool2d(2))
    model = nn.Sequential(stem, BLOCKS["standardised"](16, max)[0]).eval()
    x = torch.randn(1, 3, 8, 8)
    pruned = prune(model, plan(model, x, target="unit:8", budget="macs=50%"))
    assert export(pruned, x, tmp_path / "small.onnx") < 1e-3


def test_an_export_that_differs_is_not_written(pruned, tmp_path, monkeypatch):
    model, _ = pruned
    with pytest.raises(UsageError, match=r"Cannot export to m.tflite. Known formats: onnx, pt2"):
        export(model, X, tmp_path / "m.tflite")
    module = sys.modules["padless.deploy.export"]  # the package offers the function of that name

    monkeypatch.setattr(module, "_pt2", lambda m, x, file: file.write_text("") or [m(x).detach() + 1])
    with pytest.raises(PadlessError, match="differs from the model by .*; not written"):
        export(model, X, tmp_path / "m.pt2")
    layers = padless.trace(model, X).layers
    lost = types.SimpleNamespace(layers=layers[1:])
    monkeypatch.setattr(module, "trace", lambda m, x: lost)
    with pytest.raises(PadlessError, match="The exported file has convolutions"):
        export(model, X, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_missing_onnx(pruned, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        UsageError, match=r"needs the package onnxruntime. Install it with: pip install 'padless\[onnx\]'"
    ):
        export(pruned[0], X, tmp_path / "m.onnx")
