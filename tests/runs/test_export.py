"""A run's folder as files."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from padless import as_images
from padless.deploy import Quantisation
from padless.errors import UsageError
from padless.report.summary import Summary
from padless.runs import export as module
from padless.runs.export import Handover, export_folder
from padless.runs.trust import TRUSTED

pytest.importorskip("ai_edge_litert", reason="the extra tflite is not installed")
NETWORK = "padless.demo:DigitsResNet"


@pytest.fixture
def folder(run, tmp_path):
    """A run on digits, for an Ethos-U."""
    code, _, err = run(
        "prune", NETWORK, "--target", "ethos-u55-256", "--budget", "cycles=60%", "--data", "digits", "--calibration", "64",
        "--out", "run",
    )  # fmt: skip
    assert code == 0, err
    return tmp_path / "run"


def test_export_on_the_command_line(run, folder):
    code, out, err = run(
        "export",
        "run",
        "--format",
        "tflite",
        "--format",
        "onnx-int8",
        "--format",
        "onnx",
        "--calibration",
        "32",
        "--compile",
    )
    assert code == 0, err
    out = " ".join(out.split())
    assert "run in LiteRT on 397 test images: agrees with float on" in out
    assert "run in ONNX Runtime on 397 test images: agrees with float on" in out
    assert "0 operators on the CPU" in out and "Operators: ADD, " in out
    assert {path.name for path in folder.iterdir()} >= {
        "model.tflite", "model.tflite.json", "model_vela.tflite", "model.h", "model.int8.onnx", "model.onnx"
    }  # fmt: skip
    summary = Summary.read(folder)
    row = summary.files["model.tflite"]
    assert summary.after["accuracy_tflite"] == row.accuracy and row.tested and row.images == 397
    assert abs(row.accuracy - summary.after["accuracy"]) < 5 and row.agreement > 80
    assert row.calibration == 32 and (row.ranges, row.activations, row.io) == ("mse", 8, "int8")
    assert row.cycles > row.npu_cycles > 0 and "Arm Vela" in row.oracle
    assert summary.files["model.onnx"].accuracy is None and summary.files["model.onnx"].parity < 1e-4
    page = (folder / "report.html").read_text()
    assert page.count("<h2>Files</h2>") == 1 and f"<td>{row.cycles:,}</td>" in page and "model.int8.onnx" in page
    about = json.loads((folder / "model.tflite.json").read_text())
    assert about["model"] == NETWORK and len(about["normalisation"]["mean"]) == 1
    assert about["labels"] == []  # digits have none
    code, _, err = run("export", "run", "--ranges", "minmax", "--calibration", "32", "--activations", "16")
    assert code == 0, err
    summary = Summary.read(folder)
    assert set(summary.files) == {"model.tflite", "model.int8.onnx", "model.onnx"}
    assert (summary.files["model.tflite"].ranges, summary.files["model.tflite"].activations) == ("minmax", 16)
    assert (folder / "report.html").read_text().count("<h2>Files</h2>") == 1


def test_prune_writes_files_at_its_end_and_again_into_the_same_folder(run, tmp_path):
    options = ("prune", NETWORK, "--target", "unit:8", "--budget", "macs=50%", "--data", "digits",
               "--calibration", "64", "--out", "run", "--export", "tflite", "--export", "pt2")  # fmt: skip
    for _ in range(2):
        code, out, err = run(*options)
        assert code == 0, err
        assert "Quantised, run in LiteRT on 397 test images" in " ".join(out.split())
        assert set(Summary.read(tmp_path / "run").files) == {"model.tflite", "model.pt2"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--format", "tflight"), "Unknown format 'tflight'. Did you mean tflite?"),
        (("--format", "onnx", "--compile"), "Only TFLite files are compiled. Add --format tflite."),
        (("--ranges", "mean"), "ranges cannot be 'mean'."),
        (("--data", "nowhere"), "No images at 'nowhere'."),
        ((), "was made without images, and INT8 needs some to see ranges on. Give --data."),
    ],
)
def test_wrong_options(run, tmp_path, arguments, message):
    code, _, err = run("prune", NETWORK, "--target", "unit:8", "--budget", "macs=50%", "--out", "run")
    assert code == 0, err
    before = sorted(p.name for p in (tmp_path / "run").iterdir())
    code, _, err = run("export", "run", *arguments)
    assert code == 2 and message in " ".join(err.split())
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == before


def test_int8_files_need_data_before_anything_is_pruned(run, tmp_path):
    code, _, err = run("prune", NETWORK, "--target", "unit:8", "--budget", "macs=50%", "--export", "tflite")
    assert code == 2 and "INT8 files need images to see ranges on. Give --data, or --export onnx." in " ".join(
        err.split()
    )
    assert list(tmp_path.iterdir()) == []


def test_one_class_alone(folder, monkeypatch):
    pixels = torch.zeros(1, 32, 32, dtype=torch.uint8)
    alone = as_images([(pixels, 1)] * 4, [(pixels, 1)], shape=(1, 32, 32), name="ones")
    monkeypatch.setattr(module, "load_images", lambda *_, **__: alone)
    with pytest.raises(UsageError, match="All training images of ones are of one class"):
        export_folder(folder, Handover(quantisation=Quantisation()), TRUSTED)


def test_a_file_over_a_budget_is_told(folder, capsys):
    """Whatever Arm's compiler counts of it."""
    cycles = SimpleNamespace(total=3000, npu=2000, peak_sram_bytes=1000, flash_bytes=500)
    exported, summary = SimpleNamespace(file=folder / "model.tflite", cycles=cycles), Summary.read(folder)
    for budget, asked, told in (
        ("cycles=50%", 2999, "takes 3,000, and cycles=50% allows 2,999: real ranges"),
        ("npu_cycles=1k", 1000, "takes 2,000, and npu_cycles=1k allows 1,000: real ranges"),
        ("peak_sram_bytes=999", 999, "takes 1,000, and peak_sram_bytes=999 allows 999: real ranges"),
        ("flash_bytes=499", 499, "takes 500, and flash_bytes=499 allows 499: real ranges"),
        ("latency=0.004ms", 2000, "takes 0.006 ms (3,000 cycles), and latency=0.004ms allows 0.004 ms (2,000 cycles)"),
        ("latency=1ms", 500_000, ""),
        ("macs=1k", 1, ""),
    ):
        (first,) = summary.budgets
        module._compare(replace(summary, budgets=(replace(first, budget=budget, asked=asked),)), exported)
        said = " ".join(capsys.readouterr().err.split())
        assert told in said and bool(told) == bool(said)


def test_finetuning_drops_the_files_of_the_weights_before(run, folder):
    code, _, err = run("export", "run", "--calibration", "16")
    assert code == 0, err
    code, _, err = run("finetune", "run", "--epochs", "1", "--out", "tuned", "--distill", "0")
    assert code == 0, err
    tuned = Summary.read(folder.parent / "tuned")
    assert tuned.files == {} and "accuracy_tflite" not in tuned.after
    assert "<h2>Files</h2>" not in (folder.parent / "tuned" / "report.html").read_text()
