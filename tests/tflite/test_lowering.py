"""What a TFLite file computes is what the network computes: run by an interpreter that knows nothing of the writer."""

from importlib.util import find_spec

import pytest
import torch
from checks import tflite_run
from hypothesis import given, settings
from models.blocks import networks
from models.networks import shaken
from models.tflite_functions import FUNCTIONS, Calls
from torch import nn

from padless import load_target, trace
from padless.cost.oracles import open_oracle
from padless.inputs import load_model
from padless.tflite import Unlowered, lower, nominal
from padless.tflite.layout import Layout
from padless.tflite.lowering import Lowering

pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")


def computed(model: nn.Module, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The model's output and the file's, with the elements in the same order."""
    model = model.eval()
    graph = trace(model, *inputs)
    lowering = Lowering(graph, model)
    tflite = nominal(lowering.network())
    stored = [x.permute(0, 2, 3, 1) if x.ndim == 4 else x for x in inputs]
    (ours,) = tflite_run.run(tflite, *stored)
    layout = lowering.at[graph.recording.outputs[0]].layout  # which may be any
    ours = ours.reshape(layout.sizes).permute([a for axis in layout.axes for a in axis] + _loose(layout))
    with torch.no_grad():
        theirs = model.double()(*(x.double() for x in inputs))
    return theirs, ours


def _loose(layout: Layout) -> list[int]:
    """Atoms of size 1 that belong to no axis."""
    return [a for a in range(len(layout.sizes)) if not any(a in axis for axis in layout.axes)]


def distance(model: nn.Module, *inputs: torch.Tensor) -> float:
    """How far the file is from the model: INT8 weights make about one percent."""
    theirs, ours = computed(model, *inputs)
    assert theirs.numel() == ours.numel()
    return float((theirs.reshape(-1) - ours.reshape(-1)).norm() / theirs.norm())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_file_computes_what_the_network_computes(name: str):
    function, last = FUNCTIONS[name]
    assert distance(shaken(Calls(function, last)), torch.randn(1, 3, 9, 9)) < 0.03


ALWAYS = {"many indices", "log_softmax", "log_softmax over channels", "clamps to tensors", "transposed, wide"}
FALLS_BACK = {
    "ethos-u55-256": ALWAYS
    | {"bilinear, corners", "bilinear", "nearest", "nearest, exact", "transposed, groups", "transposed, cut"},
    "ethos-u85-512": ALWAYS,
}


@pytest.mark.parametrize("id", FALLS_BACK)
def test_vela_takes_them(id: str):
    """All on the NPU, or the operators that are not are named."""
    refused, fallback = {}, {}
    oracle = open_oracle("vela", load_target(id))
    for name, (function, last) in FUNCTIONS.items():
        model = shaken(Calls(function, last)).eval()
        lowered = lower(trace(model, torch.zeros(1, 3, 9, 9)), model)
        try:
            cycles = oracle.compile(nominal(lowered), name, lowered.operators)
        except Exception as error:
            refused[name] = str(error)
            continue
        assert cycles.total > 0
        if cycles.cpu_operators:
            fallback[name] = cycles.note
    oracle.close()
    assert refused == {}
    assert set(fallback) <= FALLS_BACK[id], fallback
    assert all("Vela leaves" in note and "uncounted: " in note for note in fallback.values())


@given(networks())
@settings(max_examples=120)
def test_random_networks(built):
    """Whatever of the random networks has a form is right; the others say what has none."""
    model, inputs = built
    if len(inputs) > 1 or inputs[0].shape[0] != 1:
        return
    try:
        off = distance(shaken(model), torch.randn_like(inputs[0]))
    except Unlowered:
        return
    assert off < 0.15


NETWORKS = [
    "torchvision/shufflenet_v2_x0_5", "torchvision/mnasnet0_5", "torchvision/squeezenet1_1", "torchvision/mobilenet_v3_small",
    "torchvision/regnet_y_400mf", "timm/mobilenetv4_conv_small_035", "timm/ghostnet_050", "timm/mixnet_s", "timm/tinynet_e",
    "timm/lcnet_035", "timm/repghostnet_050", "timm/convnext_zepto_rms", "timm/hardcorenas_a", "timm/rexnet_100",
]  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_real_networks(name: str):
    if find_spec("torchvision") is None or find_spec("timm") is None:
        pytest.skip("the extra zoo is not installed")
    source = load_model(name, input_shape=(1, 3, 64, 64))
    assert distance(source.model, torch.randn(1, 3, 64, 64)) < 0.5


def test_padding_by_name_is_that_of_the_numbers():
    def file(padding):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=padding), nn.Conv2d(8, 4, (3, 1), padding=padding)).eval()
        return nominal(lower(trace(model, torch.zeros(1, 3, 8, 8)), model))

    assert file("valid") == file(0) != file("same")
