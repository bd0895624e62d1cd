"""Files that were wrong, unreadable or misleading once."""

import json

import numpy as np
import pytest
import torch
from models.networks import small
from torch import nn
from torch.nn import functional as F

from padless import as_images
from padless.deploy import Quantisation, export
from padless.deploy.compiled import arena_bytes, identifier
from padless.deploy.exported import decibels
from padless.errors import UsageError
from padless.graph.agreement import largest_difference
from padless.hardware import load_target

pytest.importorskip("ai_edge_litert", reason="the extra tflite is not installed")
X = torch.zeros(1, 3, 12, 12)


class Does(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.c, self.d, self.function = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), function

    def forward(self, x):
        return self.function(self, x)


def images():
    return [torch.randn(16, 3, 12, 12, generator=torch.Generator().manual_seed(1))]


def test_filters_of_zeros_with_a_bias_in_16_bits(tmp_path):
    """As slimmed networks have them: a scale of almost nothing would make a bias of almost everything."""
    model = nn.Conv2d(3, 4, 3).eval()
    with torch.no_grad():
        model.weight[1], model.bias[1] = 0, 1.0
    for bits in (8, 16):
        written = export(model, X, tmp_path / "m.tflite", images=images(), quantisation=Quantisation(activations=bits))
        assert written.fidelity.decibels > 35


@pytest.mark.parametrize(
    "function",
    [lambda m, x: F.hardtanh(m.c(x) * 50), lambda m, x: (m.c(x) * 50).clamp(min=-1).clamp(max=1)],
    ids=["hardtanh", "two clamps"],
)
def test_a_clamp_of_something_wide_keeps_its_steps(function, tmp_path):
    """The wide scale would leave nothing of it: 13 dB."""
    assert export(Does(function).eval(), X, tmp_path / "m.tflite", images=images()).fidelity.decibels > 20


def test_parts_that_a_concatenation_leaves_no_steps_are_told(tmp_path):
    boxes_and_scores = Does(lambda m, x: torch.cat([m.c(x).sigmoid() * 640, m.d(x).sigmoid()], 1)).eval()
    written = export(boxes_and_scores, X, tmp_path / "m.tflite", images=images())
    assert "is joined to numbers that are so much larger that 0 steps of the scale are left" in written.fidelity.advice
    apart = Does(lambda m, x: (m.c(x).sigmoid() * 640, m.d(x).sigmoid())).eval()
    written = export(apart, X, tmp_path / "m.tflite", images=images())
    assert written.fidelity.decibels > 30 and written.fidelity.advice == ""


def test_the_worst_output_counts():
    large, tiny = np.full((2, 1, 4), 640.0), np.full((2, 1, 4), 0.5)
    assert decibels([large, tiny], [large, tiny * 1.1]) == pytest.approx(20, abs=0.1)
    assert largest_difference([large, tiny], [large, tiny * 1.1]) == pytest.approx(0.05 / 6.4)
    assert largest_difference([tiny], [tiny * 1.1]) == pytest.approx(0.1)
    assert decibels([large], [large]) == 200.0 and decibels([large * 0], [large]) == -200.0


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: F.pixel_shuffle(m.c(x), 2),
        lambda m, x: m.c(x).flatten(1),
        lambda m, x: m.c(x).view(1, 2, 2, 10, 10).permute(0, 1, 3, 4, 2).reshape(1, -1, 2),
        lambda m, x: m.c(x).mean((2, 3), keepdim=True).expand(1, 4, 3, 3),
    ],
    ids=["pixel shuffle", "flatten", "a detector's head", "expanded"],
)
def test_outputs_can_be_read_by_what_the_file_says(function, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    model, file = Does(function).eval(), tmp_path / "m.tflite"
    export(model, X, file, images=images(), quantisation=Quantisation(io="float32"))
    about = json.loads((tmp_path / "m.tflite.json").read_text())
    interpreter = Interpreter(model_path=str(file))
    interpreter.allocate_tensors()
    x = images()[0][:1]
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x.numpy().transpose(0, 2, 3, 1))
    interpreter.invoke()
    (port,) = about["outputs"]
    got = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    got = got.reshape([port["model_shape"][a] for a in port["axes"]]).transpose(np.argsort(port["axes"]))
    with torch.no_grad():
        wanted = model(x).numpy()
    assert decibels([wanted], [got]) > 25


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_models_of_other_types(dtype, tmp_path):
    model = Does(lambda m, x: m.c(x).relu()).eval().to(dtype)
    batches = [batch.to(dtype) for batch in images()]
    for ending in ("tflite", "int8.onnx"):
        written = export(model, X.to(dtype), tmp_path / f"m.{ending}", images=batches)
        assert written.fidelity.decibels > 30
    assert model.c.weight.dtype is dtype


def test_test_sets_that_do_not_fit(tmp_path):
    pixels = torch.zeros(3, 12, 12, dtype=torch.uint8)
    test = as_images([(pixels, 0), (pixels, 5)], [(pixels, 1)], shape=(3, 12, 12), name="six")
    for model in (
        Does(lambda m, x: (m.c(x), m.d(x))),
        Does(lambda m, x: m.c(x)),
        Does(lambda m, x: m.c(x).mean((2, 3))),
    ):
        with pytest.raises(UsageError, match=r"no class scores \[N, 6\] for the test images of six. Leave test out"):
            export(model.eval(), X, tmp_path / "m.tflite", images=images(), test=test)
    alone = as_images(pixels[None], pixels[None], shape=(3, 12, 12), name="alone")
    with pytest.raises(
        UsageError, match="alone has no labels. Leave test out: the file is then compared on the calibration"
    ):
        export(Does(lambda m, x: m.c(x).mean((2, 3))).eval(), X, tmp_path / "m.tflite", images=images(), test=alone)
    assert list(tmp_path.iterdir()) == []


def test_what_belonged_to_an_earlier_file_goes(tmp_path):
    file, target = tmp_path / "m.tflite", load_target("ethos-u55-256")
    export(small(), torch.zeros(1, 3, 16, 16), file, images=[torch.randn(4, 3, 16, 16)], target=target, compile=True)
    assert (tmp_path / "m_vela.tflite").exists() and (tmp_path / "m.h").exists()
    export(small(), torch.zeros(1, 3, 16, 16), file, images=[torch.randn(4, 3, 16, 16)])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.tflite", "m.tflite.json"]


def test_a_folder_of_that_name_stays(tmp_path):
    (tmp_path / "m.tflite.json").mkdir()
    with pytest.raises(UsageError, match=r"m.tflite.json is a folder. Give the file another name"):
        export(Does(lambda m, x: m.c(x)).eval(), X, tmp_path / "m.tflite", images=images())
    assert [p.name for p in tmp_path.iterdir()] == ["m.tflite.json"]


def test_notes(tmp_path):
    model = Does(lambda m, x: m.c(x)).eval()
    with pytest.raises(UsageError, match="notes hold what JSON cannot: Object of type Tensor"):
        export(model, X, tmp_path / "m.tflite", images=images(), notes={"mean": X})
    export(model, X, tmp_path / "m.tflite", images=images(), notes={"inputs": 1, "by": "me"})
    about = json.loads((tmp_path / "m.tflite.json").read_text())
    assert about["by"] == "me" and about["inputs"][0]["shape"] == [1, 12, 12, 3]


def test_examples_of_several_and_outputs_that_are_constants(tmp_path):
    model = Does(lambda m, x: m.c(x)).eval()
    with pytest.raises(UsageError, match="Give an example of one image, and images without labels"):
        export(model, torch.zeros(2, 3, 12, 12), tmp_path / "m.int8.onnx", images=images())
    constant = Does(lambda m, x: (m.c(x), torch.ones(1, 3))).eval()
    with pytest.raises(UsageError, match="output_1 of the network is not computed from its inputs"):
        export(constant, X, tmp_path / "m.tflite", images=images())


@pytest.mark.parametrize(("stem", "name"), [("model", "model"), ("class", "m_class"), ("3 a-b", "m_3_a_b")])
def test_names_of_cpp(stem, name):
    assert identifier(stem) == name


@pytest.mark.parametrize("id", ["ethos-u55-256", "ethos-u65-256", "ethos-u85-256"])
def test_the_arena_holds_what_the_compiled_file_plans(id, tmp_path):
    """On U65 and U85 the tensors lie in DRAM by default, and the SRAM is the NPU's own."""
    model = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1)).eval()
    x = torch.zeros(1, 3, 32, 32)
    written = export(
        model, x, tmp_path / "m.tflite", images=[torch.randn(4, 3, 32, 32)], target=load_target(id), compile=True
    )
    arena = arena_bytes((tmp_path / "m_vela.tflite").read_bytes())
    assert arena >= 32 * 32 * 64
    if id == "ethos-u55-256":
        assert arena == pytest.approx(written.cycles.peak_sram_bytes, rel=0.05)
    assert f"m_arena_bytes = {-(-arena // 1024) * 1024};" in (tmp_path / "m.h").read_text()
