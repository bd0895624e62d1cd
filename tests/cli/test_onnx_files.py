"""MODEL is the path of an ONNX file: every command on it."""

import json

import pytest
import torch
from models.onnx_files import answers, chain, difference, exported, model, node, read, saved, weights
from onnx import TensorProto, helper
from torch import nn

from padless import Plan, load, load_model, load_onnx
from padless.deploy.export import FORMATS
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


def test_images_without_labels_recover_train_and_calibrate_a_file(run, file, tmp_path):
    pil = pytest.importorskip("PIL.Image")
    (tmp_path / "photos").mkdir()
    for number in range(40):
        pixels = torch.randint(0, 256, (18, 18), dtype=torch.uint8).numpy()
        pil.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    args = ("prune", str(file), "--target", "unit:8", "--budget", "macs=60%", "--out", "run")
    code, _, error = run(*args, "--preprocess", "mean=0.5,std=0.5")
    assert code == 2 and "--preprocess is for images. Give --data, or leave it out." in error
    code, _, error = run(*args, "--data", "photos", "--preprocess", "mean=a")
    assert code == 2 and "has 'a' where a number is expected" in error
    code, said, error = run(*args, "--data", "photos", "--preprocess", "mean=0.5,std=0.5,scale=1/255", "--epochs", "1")
    assert code == 0, error
    assert "photos has no labels: networks are judged by their agreement with the dense one" in error
    assert "8 of 40 samples are held out" in error and "agreement with the dense network %" in said
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["before"]["agreement"] == 100 and 0 <= summary["after"]["agreement"] <= 100
    assert not any(name.startswith("accuracy") for name in summary["after"])
    assert summary["recovery"]["after"] == summary["after"]["agreement_after_recovery"]
    assert "agreement with the dense network" in (tmp_path / "run" / "report.html").read_text()
    code, said, error = run(
        "finetune", "run", "--epochs", "1", "--accelerator", "cpu", "--augment", "none", "--out", "on"
    )
    assert code == 0 and "agreement" in said, error
    code, said, error = run("export", "run", "--format", "tflite", "--calibration", "16")
    assert code == 0 and "agrees with float on" in said and "top-1" not in said, error
    side = json.loads((tmp_path / "run" / "model.tflite.json").read_text())
    assert (side["normalisation"]["mean"], side["normalisation"]["layout"]) == ([0.5], "nchw")
    code, _, error = run(*args, "--data", "photos")
    assert code == 0 and "No --preprocess: images are brought to mean 0 and deviation 1" in error


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


@pytest.fixture
def four_inputs(tmp_path):
    """Two images of an open height, positions in a table, and a single number."""
    nodes = [
        node("Conv", "image w1", "c1", pads=[1, 1, 1, 1]), node("Conv", "depth w2", "c2", pads=[1, 1, 1, 1]),
        node("Add", "c1 c2", "s"), node("Relu", "s", "r"), node("Conv", "r w3", "c3"), node("GlobalAveragePool", "c3", "g"),
        node("Flatten", "g", "f"), node("Gather", "table ids", "e", axis=0), node("ReduceMean", "e", "m", axes=[1], keepdims=0),
        node("Concat", "f m", "j", axis=1), node("Gemm", "j w4", "z"), node("Mul", "z factor", "y"),
    ]  # fmt: skip
    constants = {
        "w1": weights(16, 3, 3, 3), "w2": weights(16, 1, 3, 3), "w3": weights(24, 16, 1, 1), "table": weights(10, 6),
        "w4": weights(30, 5),
    }  # fmt: skip
    proto = model(nodes, constants, inputs={"image": (1, 3, "h", 8), "depth": (1, 1, "h", 8), "factor": ()})
    proto.graph.input.insert(2, helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", 4]))
    return saved(proto, tmp_path, "four.onnx")


def test_a_file_of_several_inputs(run, four_inputs, tmp_path):
    """Shapes are the file's; its open axes are given by name, and remembered by the run's folder."""
    common = [str(four_inputs), "--target", "unit:8"]
    named = ["--input-shape", "image=1,3,8,8", "--input-shape", "depth=1,1,8,8"]
    code, _, error = run("inspect", *common)
    assert code == 2 and "such as image=1,3,224,8" in error
    code, _, error = run("inspect", *common, "--input-shape", "1,3,8,8", "--input-shape", "1,1,8,8")
    assert code == 2 and "has the inputs image, depth, ids, factor; 2 shapes given" in error
    code, _, error = run("inspect", *common, "--input-shape", "picture=1,3,8,8")
    assert code == 2 and "has no input 'picture'; it has image, depth, ids, factor" in error
    code, said, error = run("inspect", *common, *named)
    assert code == 0 and "node_c3" in said, error
    code, _, error = run("plan", *common, *named, "--pareto", "2", "--quantity", "macs")
    assert code == 0, error
    code, _, error = run("prune", *common, *named, "--budget", "macs=60%", "--out", "run")
    assert code == 0, error
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["inputs"] == ["1,3,8,8", "1,1,8,8", "1,4:int64", "()"]
    inputs = [torch.randn(1, 3, 8, 8), torch.randn(1, 1, 8, 8), torch.tensor([[0, 3, 9, 9]]), torch.tensor(2.0)]
    small = load(tmp_path / "run", load_model(str(four_inputs), input_shape=[tuple(x.shape) for x in inputs]).model)
    for kind in ("onnx", "pt2"):
        code, _, error = run("export", "run", "--format", kind)
        assert code == 0, error
    assert difference(small(*inputs), answers(tmp_path / "run" / "model.onnx", *inputs)[0]) < 1e-5
    assert difference(small(*inputs), torch.export.load(tmp_path / "run" / "model.pt2").module()(*inputs)) < 1e-5
    code, _, error = run("export", "run", "--format", "tflite", "--data", "digits")
    assert code == 2 and "--data gives one unnamed input [N, ...]" in error


def test_a_run_of_a_file_is_exported_in_every_format(run, file, tmp_path):
    code, _, error = run("prune", str(file), "--target", "ethos-u55-256", "--budget", "macs=50%", "--out", "run")
    assert code == 0, error
    (tmp_path / "run" / "model.onnx").unlink()
    code, _, error = run("export", "run", "--format", "tflite")
    assert code == 2 and "INT8 needs some to see ranges on. Give --data" in error
    for kind in ("onnx", "pt2", "tflite", "onnx-int8"):
        code, said, error = run("export", "run", "--format", kind, "--data", "digits", "--calibration", "32")
        assert code == 0 and f"model{FORMATS[kind]}" in said, error
    small, x = load(tmp_path / "run", load_model(str(file)).model), torch.randn(1, 1, 16, 16)
    assert difference(small(x), answers(tmp_path / "run" / "model.onnx", x)[0]) < 1e-5
    assert {n.name for n in read(tmp_path / "run" / "model.onnx").graph.node} <= {n.name for n in read(file).graph.node}
    assert difference(small(x), torch.export.load(tmp_path / "run" / "model.pt2").module()(x)) < 1e-5
    written = json.loads((tmp_path / "run" / "summary.json").read_text())["files"]
    assert set(written) == {f"model{ending}" for ending in FORMATS.values()}
