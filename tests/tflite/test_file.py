"""What the TFLite files say: shapes, padding, quantisation, and which operators stand in them."""

import numpy as np
import pytest
import torch
from checks.tflite_read import Read
from models.blocks import BLOCKS
from models.networks import shaken
from torch import nn
from torch.nn import functional as F

from padless import load_target, trace
from padless.cost import CachedOracle
from padless.cost.oracles.vela import Vela
from padless.errors import UsageError
from padless.tflite import file as schema
from padless.tflite import lower, lower_layer, nominal
from padless.tflite.file import Tensor, TFLiteBuilder

pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")


def lowered(model: nn.Module, *shape: int) -> Read:
    return Read(nominal(lower(trace(model.eval(), torch.zeros(shape)), model)))


class Calls(nn.Module):
    """A convolution to 4 channels, and any function of its result."""

    def __init__(self, function):
        super().__init__()
        self.conv, self.function = nn.Conv2d(3, 4, 1), function

    def forward(self, x):
        return self.function(self.conv(x))


def test_a_file_reads_back_as_it_was_written():
    builder = TFLiteBuilder()
    x = builder.tensor(Tensor(name="x", shape=(1, 4, 4, 3), scale=(0.5,), zero_point=-3))
    data = np.arange(-12, 12, dtype=np.int8).reshape(2, 2, 2, 3)
    scales = (0.25, 0.125)
    w = builder.tensor(Tensor(name="w", shape=data.shape, scale=scales, data=data))
    b = builder.tensor(Tensor(name="b", shape=(2,), dtype="INT32", scale=scales, data=np.array([7, -7], np.int32)))
    y = builder.tensor(Tensor(name="y", shape=(1, 2, 2, 2), scale=(1.0,)))
    builder.operator("CONV_2D", [x, w, b], [y], Padding="VALID", StrideW=2, StrideH=2)
    read = Read(builder.build([x], [y], "main"))
    assert read.codes == ["CONV_2D"]
    assert [t.Name() for t in read.tensors] == [b"x", b"w", b"b", b"y"]
    assert read.shape(y) == [1, 2, 2, 2]
    assert read.quantisation(x) == (0.5, -3)
    assert read.tensors[w].Quantization().ScaleAsNumpy().tolist() == [0.25, 0.125]
    assert read.tensors[w].Quantization().ZeroPointAsNumpy().tolist() == [0, 0]
    assert (read.data(w) == data).all()
    assert read.data(b).tolist() == [7, -7]
    assert read.model.Buffers(0).DataLength() == 0
    assert read.operators[0].InputsAsNumpy().tolist() == [x, w, b]


def test_the_extra_is_named_when_it_is_missing(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(schema, "import_module", missing)
    with pytest.raises(UsageError, match=r"Writing TFLite files needs the package ethos-u-vela.*padless\[vela\]"):
        TFLiteBuilder().build([], [], "main")


def test_the_padding_of_a_convolution_is_written_as_pytorch_means_it():
    read = lowered(nn.Conv2d(3, 4, (3, 5), 2, (1, 2)), 1, 3, 8, 8)
    assert read.codes == ["PAD", "CONV_2D"]
    around = read.data(read.operators[0].Inputs(1))
    assert around.tolist() == [[0, 0], [1, 1], [2, 2], [0, 0]]
    assert read.shape(read.operators[0].Outputs(0)) == [1, 10, 12, 3]


def test_padding_of_a_convolution_costs_nothing():
    """Vela merges PAD into the convolution, so that the layer inside a network costs what it costs alone, with SAME."""
    builder = TFLiteBuilder()
    layer = trace(nn.Conv2d(16, 32, 3, padding=1), torch.zeros(1, 16, 16, 16)).layers[0]
    read = Read(lower_layer(layer))
    x = builder.tensor(Tensor(name="input", shape=(1, 16, 16, 16), scale=(0.05,)))
    w, b = (read.data(read.operators[1].Inputs(i)) for i in (1, 2))
    weight = builder.tensor(Tensor(name="w", shape=w.shape, scale=(0.01,) * 32, data=w))
    bias = builder.tensor(Tensor(name="b", shape=b.shape, dtype="INT32", scale=(0.0005,) * 32, data=b))
    y = builder.tensor(Tensor(name="layer", shape=(1, 16, 16, 32), scale=(0.05,)))
    options = {"StrideW": 1, "StrideH": 1, "DilationWFactor": 1, "DilationHFactor": 1}
    builder.operator("CONV_2D", [x, weight, bias], [y], Padding="SAME", **options)
    assert read.codes == ["PAD", "CONV_2D"]
    with Vela(load_target("ethos-u55-256")) as vela:
        same = vela.compile(builder.build([x], [y], "main"), "a convolution with SAME")
        padded = CachedOracle(vela)([layer])[0]
    assert padded.total == same.total


@pytest.mark.parametrize(
    ("function", "codes", "padding"),
    [
        (lambda x: F.max_pool2d(x, 2), ["MAX_POOL_2D"], "VALID"),
        (lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True), ["MAX_POOL_2D"], "SAME"),
        (lambda x: F.max_pool2d(x, 3, 2, 1), ["PADV2", "MAX_POOL_2D"], "VALID"),
        (lambda x: F.max_pool2d(x, 3, 1, 1), ["MAX_POOL_2D"], "SAME"),
        (lambda x: F.max_pool2d(x[:, :, :7, :7], 3, 2, 1), ["STRIDED_SLICE", "STRIDED_SLICE", "MAX_POOL_2D"], "SAME"),
        (lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), ["PAD", "AVERAGE_POOL_2D", "MUL"], "VALID"),
        (lambda x: F.max_pool2d(x, 2, 1, 1), ["PADV2", "MAX_POOL_2D"], "VALID"),
        (lambda x: F.avg_pool2d(x, 3, 1, 1), ["PAD", "AVERAGE_POOL_2D"], "VALID"),
        (lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), ["AVERAGE_POOL_2D"], "SAME"),
        (lambda x: F.adaptive_avg_pool2d(x, 2), ["AVERAGE_POOL_2D"], "VALID"),
        (lambda x: F.adaptive_avg_pool2d(x, 1), ["AVERAGE_POOL_2D"], "VALID"),
        (lambda x: x.mean((2, 3)), ["AVERAGE_POOL_2D"], "VALID"),
    ],
)
def test_the_windows_of_pools(function, codes, padding):
    read = lowered(Calls(function), 1, 3, 8, 8)
    assert read.codes == ["CONV_2D", *codes]
    assert read.padding(read.codes.index(next(c for c in codes if "POOL" in c))) == padding
    out = function(torch.zeros(1, 4, 8, 8))
    nhwc = out.permute(0, 2, 3, 1) if out.ndim == 4 else out
    assert [n for n in read.shape(read.graph.Outputs(0)) if n > 1] == [n for n in nhwc.shape if n > 1]


def versions(read: Read) -> dict[str, int]:
    codes = [read.model.OperatorCodes(op.OpcodeIndex()) for op in read.operators]
    return {name: code.Version() for name, code in zip(read.codes, codes, strict=True)}


def test_versions_are_those_that_the_runtime_has():
    read = lowered(Calls(lambda x: F.prelu(F.elu(-x), torch.ones(1)).abs().view(1, 4, 8, 8).relu()), 1, 3, 8, 8)
    assert versions(read) == {"CONV_2D": 3, "NEG": 1, "ELU": 1, "PRELU": 1, "ABS": 1, "RELU": 2}


def test_what_is_joined_or_pooled_shares_its_quantisation():
    """TFLite's own runtime refuses to join tensors of different zero points."""
    read = lowered(
        shaken(nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.MaxPool2d(2), BLOCKS["dense"](8, max)[0])), 1, 3, 8, 8
    )
    join = read.operators[read.codes.index("CONCATENATION")]
    tensors = [*join.InputsAsNumpy(), join.Outputs(0)]
    assert {read.quantisation(t) for t in tensors} == {(0.05, 0)}


def test_a_clamp_behind_a_concatenation_stays_apart():
    """TFLite's runtime ignores an activation merged into a concatenation."""
    read = lowered(Calls(lambda x: torch.cat([x, x], 1).relu_()), 1, 3, 8, 8)
    assert read.codes == ["CONV_2D", "CONCATENATION", "RELU"]


def test_a_call_that_nobody_reads_leaves_the_names_alone():
    class Unread(nn.Module):
        def __init__(self):
            super().__init__()
            self.unread, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 8, 1)

        def forward(self, x):
            self.unread(x)
            return self.head(x)

    model = Unread().eval()
    assert lower(trace(model, torch.zeros(1, 3, 4, 4)), model).operators == ["head"]


@pytest.mark.parametrize(
    ("conv", "hw"),
    [
        (nn.Conv2d(8, 16, 3, padding=1), 9),
        (nn.Conv2d(8, 16, 3, 2, 1), 8),
        (nn.Conv2d(8, 16, 1, 2), 8),
        (nn.Conv2d(8, 16, 3, dilation=2, padding=2), 8),
        (nn.Conv2d(8, 16, 7, 2, 3), 15),
        (nn.Conv2d(8, 16, 3, groups=8, padding=1), 8),
        (nn.Conv2d(8, 16, (1, 3), groups=2, padding=(0, 1)), 8),
    ],
)
def test_a_layer_alone_has_the_maps_of_the_layer(conv, hw):
    layer = trace(conv, torch.zeros(1, 8, hw, hw)).layers[0]
    read = Read(lower_layer(layer))
    assert read.shape(read.graph.Inputs(0)) == [1, hw, hw, 8]
    assert read.shape(read.graph.Outputs(0)) == [1, *layer.out_hw, 16]
    with Vela(load_target("ethos-u55-256")) as vela:
        assert CachedOracle(vela)([layer])[0].cpu_operators == 0


def test_settings_that_do_not_go_together():
    layer = trace(nn.Conv2d(8, 8, 1), torch.zeros(1, 8, 8, 8)).layers[0]
    with (
        Vela(load_target("ethos-u55-256", memory_mode="Dedicated_Sram")) as vela,
        pytest.raises(UsageError, match="Dedicated_Sram do not go together: .*arena_mem_area"),
    ):
        CachedOracle(vela)([layer])
