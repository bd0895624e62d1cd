"""What a TFLite file computes is what the network computes: run by an interpreter that knows nothing of the writer."""

import copy
from importlib.util import find_spec

import pytest
import torch
from checks import tflite_run
from hypothesis import HealthCheck, given, settings
from models.blocks import networks
from models.networks import shaken
from torch import nn
from torch.nn import functional as F

from padless import load_target, trace
from padless.cost.oracles import open_oracle
from padless.inputs import load_model
from padless.tflite import Unlowered, lower
from padless.tflite.layout import Layout
from padless.tflite.lowering import Lowering

pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")


def computed(model: nn.Module, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The model's output and the file's, with the elements in the same order."""
    model = model.eval()
    graph = trace(model, *inputs)
    lowering = Lowering(graph, model)
    tflite = lowering.network().tflite
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


class Calls(nn.Module):
    """A convolution, a function of its map, and a layer that wants the usual order."""

    def __init__(self, function, last=None, channels=12):
        super().__init__()
        self.first, self.function, self.last = nn.Conv2d(3, channels, 3, padding=1), function, copy.deepcopy(last)
        self.gain, self.bias = nn.Parameter(torch.rand(channels) + 0.5), nn.Parameter(torch.rand(channels))
        self.row, self.scalar = nn.Parameter(torch.rand(1, channels, 1, 1)), nn.Parameter(torch.rand(1))
        self.norm, self.group, self.inner = nn.LayerNorm(channels), nn.GroupNorm(3, channels), nn.Linear(channels, 9)

    def forward(self, x):
        x = self.function(self.first(x), self)
        return x if self.last is None else self.last(x)


def shuffle(x, groups):
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


def window(x, m):
    n, c, h, w = x.shape
    x = x.view(n, c, 3, h // 3, 3, w // 3).permute(0, 2, 4, 3, 5, 1).reshape(9, -1, c)
    return m.inner(x).softmax(-1)


def attention(x, m):
    q = x.flatten(2).transpose(1, 2)
    return (q @ q.transpose(1, 2) * 0.1).softmax(-1) @ q


CONV = nn.Conv2d(12, 5, 1)
FUNCTIONS = {
    "shuffle": (lambda x, m: shuffle(x, 3), CONV),
    "shuffle twice": (lambda x, m: shuffle(shuffle(x, 3), 2), CONV),
    "shuffle and flatten": (lambda x, m: shuffle(x, 4).flatten(1), nn.Linear(12 * 81, 5)),
    "flatten": (lambda x, m: x.flatten(1), nn.Linear(12 * 81, 5)),
    "flatten and join": (lambda x, m: torch.cat([x.flatten(1), x.flatten(1)], 1), nn.Linear(24 * 81, 5)),
    "channels last": (lambda x, m: m.inner(F.gelu(m.norm(x.permute(0, 2, 3, 1)))).permute(0, 3, 1, 2), nn.Conv2d(9, 4, 1)),
    "layer norm over everything": (lambda x, m: F.layer_norm(x, x.shape[1:]), CONV),
    "group norm": (lambda x, m: m.group(x), CONV),
    "split": (lambda x, m: torch.cat([*x.chunk(3, 1)][::-1], 1), CONV),
    "split rows": (lambda x, m: torch.cat([*x.split([2, 3, 4], 2)][::-1], 2), CONV),
    "slices": (lambda x, m: torch.cat([x[:, 1::2], x[:, ::2]], 1)[:, :, 1:-1, ::2], CONV),
    "select": (lambda x, m: x[:, 3] + x.select(1, -1), None),
    "unbind and stack": (lambda x, m: torch.stack(x.unbind(1)[::-1], 1), CONV),
    "stack and sum": (lambda x, m: torch.stack([x, x * 2], 1).sum(1), CONV),
    "mean over channels": (lambda x, m: x * x.mean(1, keepdim=True), CONV),
    "mean over all": (lambda x, m: x.mean((1, 2, 3)), None),
    "mean over rows": (lambda x, m: x.mean(2), None),
    "maximum over channels": (lambda x, m: x * x.amax(1, keepdim=True), CONV),
    "gain": (lambda x, m: x * m.gain[:, None, None] + m.bias.view(1, -1, 1, 1) - m.row, CONV),
    "gain of a row": (lambda x, m: x.mean((2, 3)) * m.gain + m.bias, nn.Linear(12, 5)),
    "a scalar parameter": (lambda x, m: x * m.scalar / 3 + (1 - x) / m.row, CONV),
    "broadcast": (lambda x, m: x.mean(3, keepdim=True) + x.mean(2, keepdim=True), CONV),
    "broadcast a row": (lambda x, m: x * x.mean((2, 3))[:, :, None, None], CONV),
    "expand": (lambda x, m: torch.cat([x, x.mean((2, 3), keepdim=True).expand_as(x)], 1), nn.Conv2d(24, 5, 1)),
    "windows": (window, None),
    "attention": (attention, None),
    "softmax over channels": (lambda x, m: x.softmax(1) * x, CONV),
    "pads": (lambda x, m: F.pad(x, (1, 2, 0, 3, 0, 4)), nn.Conv2d(16, 5, 1)),
    "pads with a value, and cuts": (lambda x, m: F.pad(x, (-1, 2, 1, -2), value=1.0), CONV),
    "mirror": (lambda x, m: F.pad(x, (1, 2, 3, 1), mode="reflect"), CONV),
    "bilinear": (lambda x, m: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False), CONV),
    "bilinear, corners": (lambda x, m: F.interpolate(x, size=(17, 17), mode="bilinear", align_corners=True), CONV),
    "nearest": (lambda x, m: F.interpolate(x, scale_factor=2), CONV),
    "activations": (lambda x, m: F.leaky_relu(x, 0.2) + F.elu(x) * x.tanh() - F.silu(x) * x.sigmoid() + F.hardsigmoid(x), CONV),
    "clamps": (lambda x, m: x.clamp(-0.3, 0.4) + F.hardtanh(x) + x.clamp_min(0.1) + x.clamp(max=0.2) + F.relu6(x * 9), CONV),
    "more": (lambda x, m: torch.rsqrt(x.exp()) + (x.square() - x**2) - (-x) + (2 - x) + torch.maximum(x, x * 2), CONV),
    "views": (lambda x, m: x.view(1, 4, 3, 81).permute(0, 3, 1, 2).reshape(1, 9, 9, 12).permute(0, 3, 1, 2), CONV),
    "a view that cuts": (lambda x, m: x.reshape(1, 27, 36), None),
    "permuted operands": (lambda x, m: x.permute(0, 1, 3, 2) + x, CONV),
    "squeeze": (lambda x, m: F.adaptive_avg_pool2d(x, 1).squeeze(), None),
    "pools": (lambda x, m: F.max_pool2d(x, 3, 2, 1) + F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), CONV),
    "adaptive": (lambda x, m: F.adaptive_max_pool2d(x, 3) + F.adaptive_avg_pool2d(x, 3), CONV),
    "counted padding": (lambda x, m: F.avg_pool2d(x, 3, 2, 1), CONV),
    "a wide stride": (lambda x, m: x, nn.Conv2d(12, 5, 5, 4, 2)),
    "a wide stride, one side": (lambda x, m: x, nn.Conv2d(12, 5, (5, 3), (4, 1), (2, 0))),
    "transposed": (lambda x, m: x, nn.ConvTranspose2d(12, 5, 2, 2)),
    "transposed, larger": (lambda x, m: x, nn.ConvTranspose2d(12, 5, 4, 2, 1)),
    "normalised rows": (lambda x, m: x.mean((2, 3)), nn.Sequential(nn.BatchNorm1d(12), nn.Linear(12, 5))),
    "prelu": (lambda x, m: F.prelu(x, m.gain), CONV),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_file_computes_what_the_network_computes(name: str):
    function, last = FUNCTIONS[name]
    assert distance(shaken(Calls(function, last)), torch.randn(1, 3, 9, 9)) < 0.03


FALLS_BACK = {
    "ethos-u55-256": {"bilinear, corners", "bilinear", "nearest"},
    "ethos-u85-512": set(),
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
            cycles = oracle.compile(lowered.tflite, name, lowered.operators)
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
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
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
    """On odd maps, on which SAME and PyTorch's padding of pools agree."""
    if find_spec("torchvision") is None or find_spec("timm") is None:
        pytest.skip("the extra zoo is not installed")
    source = load_model(name, input_shape=(1, 3, 65, 65))
    assert distance(source.model, torch.randn(1, 3, 65, 65)) < 0.5


def test_padding_by_name_is_that_of_the_numbers():
    def file(padding):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=padding), nn.Conv2d(8, 4, (3, 1), padding=padding)).eval()
        return lower(trace(model, torch.zeros(1, 3, 8, 8)), model).tflite

    assert file("valid") == file(0) != file("same")
