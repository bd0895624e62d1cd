"""Saving and loading a run."""

import json
from pathlib import Path

import pytest
import torch
from checks.summaries import summary
from models.networks import Small
from torch import nn

from padless import load, save
from padless.errors import UsageError
from padless.report.summary import Summary
from padless.runs import exchange
from padless.runs.folder import OURS, check_folder


def test_a_saved_network_is_rebuilt_on_a_fresh_one(pruned, tmp_path):
    model, made = pruned
    save(tmp_path / "run", model, made, summary())
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["model.safetensors", "plan.json", "summary.json"]
    assert len({p.stat().st_mode for p in (tmp_path / "run").iterdir()}) == 1
    again = load(tmp_path / "run", Small())
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(again(x), model.eval()(x))
    assert Summary.read(tmp_path / "run") == summary()


def test_saving_replaces_a_run_and_nothing_else(pruned, tmp_path):
    model, made = pruned
    save(tmp_path / "run", model, made)
    save(tmp_path / "run", model, made, summary(seed=2))
    assert Summary.read(tmp_path / "run").seed == 2
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


def test_what_a_run_wrote_does_not_block_the_next(pruned, tmp_path):
    """Its own model.onnx, with weights beside it or not, and all that `padless export` adds."""
    model, made = pruned
    save(tmp_path / "run", model, made)
    for name in OURS:
        (tmp_path / "run" / name).write_text("")
    assert {"model.onnx", "model.onnx.data", "model.tflite", "model_vela.tflite", "model.h", "log.csv"} <= OURS
    check_folder(tmp_path / "run")
    save(tmp_path / "run", model, made)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["model.safetensors", "plan.json"]


def test_a_failed_save_leaves_the_old_run(pruned, tmp_path):
    model, made = pruned
    save(tmp_path / "run", model, made, summary(seed=1))
    with pytest.raises(AttributeError):
        save(tmp_path / "run", model, made, {"not": "a summary"})
    assert Summary.read(tmp_path / "run").seed == 1
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_move_that_fails_brings_the_old_run_back(pruned, tmp_path, monkeypatch):
    model, made = pruned
    save(tmp_path / "run", model, made, summary(seed=1))
    monkeypatch.setattr(exchange, "_at_once", lambda new, folder: False)
    rename = Path.rename

    def fail(self, target):
        if self.name == "new":
            raise PermissionError("in use")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(PermissionError):
        save(tmp_path / "run", model, made, summary(seed=2))
    assert Summary.read(tmp_path / "run").seed == 1


def test_the_current_folder_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="cannot be replaced as a whole. Give a folder inside it"):
        check_folder(Path("."))


def test_loading_what_is_not_there_or_does_not_fit(pruned, tmp_path):
    model, made = pruned
    with pytest.raises(UsageError, match="No plan at"):
        load(tmp_path, Small())
    with pytest.raises(UsageError, match="has no readable summary.json"):
        Summary.read(tmp_path)
    save(tmp_path / "run", model, made)
    with pytest.raises(UsageError, match="was saved from Python and does not say which model it is of"):
        Summary.read(tmp_path / "run")
    with pytest.raises(UsageError, match="made on a network with structure"):
        load(tmp_path / "run", nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1)))


def test_nothing_is_pickled(pruned, tmp_path):
    model, made = pruned
    save(tmp_path / "run", model, made)
    for file in (tmp_path / "run").iterdir():
        assert not file.read_bytes().startswith((b"PK", b"\x80"))
        assert file.suffix == ".safetensors" or json.loads(file.read_text()) is not None
