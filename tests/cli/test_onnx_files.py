"""MODEL is the path of an ONNX file: every command on it."""

import json

import pytest
import torch
from models.onnx_files import chain, difference, exported, model, node, read, saved, weights
from torch import nn

from padless import Plan, load, load_model, load_onnx
from padless.train import peak_lr
from padless.train.recipe import FIXED_NORMS_LR, Recipe


@pytest.fixture
def file(tmp_path):
    """A classifier of digits' size, as PyTorch writes it with folded norms."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU()]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10))
    return exported(network, torch.zeros(1, 1, 16, 16), tmp_path / "net.onnx", dynamo=False, opset=17)


def test_a_file_is_inspected_with_its_nodes_names(run, file):
    code, said, _ = run("inspect", str(file), "--target", "unit:8")
    assert code == 0 and "/0/Conv" in said and "/7/Gemm" in said


def test_a_file_is_planned_pruned_and_finetuned(run, file, tmp_path):
    code, said, error = run("plan", str(file), "--target", "unit:8", "--pareto", "3", "--quantity", "macs")
    assert code == 0, error
    code, said, error = run(
        "prune", str(file), "--target", "unit:8", "--budget", "macs=50%", "--data", "digits", "--calibration", "64",
        "--out", "run",
    )  # fmt: skip
    assert code == 0, error
    assert "model.onnx" in said and "random weights" not in said + error
    folder = tmp_path / "run"
    small = load(folder, load_model(str(file)).model)
    x = torch.randn(1, 1, 16, 16)
    assert difference(load_onnx(folder / "model.onnx")(x), small(x)) < 1e-5
    assert {n.name for n in read(folder / "model.onnx").graph.node} <= {n.name for n in read(file).graph.node}
    assert Plan.read(folder / "plan.json").file_digest
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["model"] == str(file) and summary["reading"] == {"dequantise": False, "until": []}
    code, said, error = run("finetune", "run", "--epochs", "1", "--accelerator", "cpu", "--out", "tuned")
    assert code == 0, error
    assert (
        json.loads((tmp_path / "tuned" / "summary.json").read_text())["finetuning"]["recipe"]["peak_lr"]
        == FIXED_NORMS_LR
    )
    assert (tmp_path / "tuned" / "model.onnx").exists()


def test_the_default_rate_is_gentler_without_norms_that_follow():
    assert peak_lr(True) == FIXED_NORMS_LR < peak_lr(False) == Recipe().peak_lr


def test_what_cannot_be_read_is_said_with_code_2(run, tmp_path):
    proto = model([node("Conv", "x w", "c"), node("Det", "c", "y")], {"w": weights(8, 3, 1, 1)})
    file = saved(proto, tmp_path)
    code, _, error = run("inspect", str(file), "--target", "unit:8")
    assert code == 2 and "Det (node node_y) has no form here" in " ".join(error.split())
    code, said, _ = run("inspect", str(file), "--target", "unit:8", "--until", "c")
    assert code == 0 and "node_c" in said
    code, _, error = run("inspect", "cifar10/resnet18", "--target", "unit:8", "--dequantise")
    assert code == 2 and "are for ONNX files" in error


def test_open_axes_are_given(run, tmp_path):
    proto = chain(inputs={"x": ("n", 3, "h", "w")})
    saved(proto, tmp_path)
    code, _, error = run("inspect", "m.onnx", "--target", "unit:8")
    assert code == 2 and "--input-shape" in error
    code, said, _ = run("inspect", "m.onnx", "--target", "unit:8", "--input-shape", "1,3,16,16")
    assert code == 0 and "node_c1" in said
