"""What has no TFLite form is refused by name."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from padless import inspect, tflite, trace
from padless.tflite import Unlowered, float32, lower, lower_layer, nominal
from padless.tflite.file import TFLiteBuilder
from padless.tflite.lowering import RULES

pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")

X = torch.zeros(1, 3, 16, 16)


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda: nn.Sequential(nn.Conv3d(1, 2, 1)), (1, 1, 4, 4, 4), 'aten.convolution is not two-dimensional'),
        (lambda: Calls(lambda x, c: F.max_pool2d(c(x), 2, dilation=2)), (1, 3, 4, 4), 'is dilated'),
        (lambda: Calls(lambda x, c: F.avg_pool2d(c(x)[0], 2)), (1, 3, 4, 4), 'is not over a feature map'),
        (lambda: Calls(lambda x, c: torch.div(c(x), 2, rounding_mode='floor')), (1, 3, 4, 4), 'aten.div rounds'),
        (lambda: Calls(lambda x, c: F.group_norm(c(x).mean((2, 3)), 2)), (1, 3, 4, 4), 'aten.native_group_norm is not over a map or a line'),
        (lambda: Calls(lambda x, c: F.conv2d(x, c.weight * x.mean())), (1, 3, 4, 4), 'a weight is computed from activations'),
        (lambda: Calls(lambda x, c: torch.as_strided(c(x), (1, 4, 2, 2), (64, 16, 4, 1))), (1, 3, 4, 4), 'has no TFLite form|changes the shape'),
        (lambda: Calls(lambda x, c: torch.cumsum(c(x), 1)), (1, 3, 4, 4), 'aten.cumsum has no TFLite form'),
        (lambda: Calls(lambda x, c: F.batch_norm(c(x)[..., None], None, None, training=True)), (1, 3, 4, 4), 'is not over a feature map or rows'),
        (lambda: Calls(lambda x, c: F.adaptive_avg_pool2d(c(x)[0], 3)), (1, 3, 4, 4), 'aten._adaptive_avg_pool2d is not over a feature map'),
        (lambda: Calls(lambda x, c: torch.clamp(c(x), c(x), c(x) + 1)), (1, 3, 4, 4), 'clamps to two tensors|has no TFLite form'),
        (lambda: Calls(lambda x, c: c(x) ** -3), (1, 3, 4, 4), 'aten.pow has another exponent than 1 to 4'),
        (lambda: Calls(lambda x, c: 2 ** c(x)), (1, 3, 4, 4), 'aten.pow raises a number'),
        (lambda: Calls(lambda x, c: c(x) ** x[:, :1]), (1, 3, 4, 4), 'aten.pow has another exponent at each place'),
        (lambda: Calls(lambda x, c: torch.stack(c(x).max(1), 1)), (1, 3, 4, 4), 'aten.max tells places, too'),
        (lambda: Calls(lambda x, c: c(x).norm(3, 1)), (1, 3, 4, 4), 'has another order than 1, 2 or infinity'),
        (lambda: Calls(lambda x, c: c(x)[:, :1].var(1)), (1, 3, 4, 4), 'aten.var divides by zero'),
        (lambda: Calls(lambda x, c: F.prelu(c(x)[0, 0, 0], c.bias[:1])), (1, 3, 4, 4), 'is not over channels'),
        (lambda: Calls(lambda x, c: c(x).roll(1)), (1, 3, 4, 4), 'aten.roll rolls all axes as one'),
        (lambda: Calls(lambda x, c: c(x)[:, torch.tensor([0]), torch.tensor([1])]), (1, 3, 4, 4), 'aten.index has several indices'),
        (lambda: Calls(lambda x, c: c(x)[:, [0, 2]]), (1, 3, 4, 4), 'aten.index has indices that are computed'),
        (lambda: Calls(lambda x, c: c(x)[:, torch.tensor([[0, 2], [1, 1]])]), (1, 3, 4, 4), 'aten.index has indices that are no row of numbers'),
        (lambda: Calls(lambda x, c: c(x).gather(1, torch.arange(4).view(1, 1, 1, 4).expand(1, 1, 4, 4))), (1, 3, 4, 4), 'aten.gather has other indices at each place'),
        (lambda: Calls(lambda x, c: F.pad(c(x)[0], (1, 1, 1, 1), 'reflect')), (1, 3, 4, 4), 'aten.reflection_pad2d is not around a feature map'),
        (lambda: Calls(lambda x, c: F.pad(c(x), (-1, 1, 1, 1), 'replicate')), (1, 3, 4, 4), 'aten.replication_pad2d is not around a feature map'),
        (lambda: Calls(lambda x, c: F.interpolate(c(x), scale_factor=1.7)), (1, 3, 4, 4), 'has a factor that is not the ratio of the sizes'),
        (lambda: Calls(lambda x, c: torch.addmm(c(x)[0, 0], c(x)[0, 1], c(x)[0, 2])), (1, 3, 4, 4), 'aten.addmm adds to a product of activations'),
        (lambda: Calls(lambda x, c: torch.addmm(c.bias, c(x)[0, 1], c.weight[:, :1, 0, 0].t().expand(4, 4), beta=2)), (1, 3, 4, 4), 'aten.addmm has factors'),
        (lambda: Calls(lambda x, c: torch.addmm(c.extra[:, :1].expand(4, 4), c(x)[0, 1], c.extra.t().repeat(2, 1))), (1, 3, 4, 4), 'adds another number to each row'),
        (lambda: Calls(lambda x, c: written(c(x))), (1, 3, 4, 4), 'writes into a tensor that is read elsewhere, too'),
        (lambda: Calls(lambda x, c: F.max_pool2d(c(x), 2, return_indices=True)[1]), (1, 3, 4, 4), 'output_0 of the network is not computed from its inputs'),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.AvgPool2d(2)), (3, 3, 4, 4), 'batch of 3'),
    ],
)  # fmt: skip
def test_what_has_no_form_is_refused_by_name(make, shape, message):
    model = make().eval()
    with pytest.raises(Unlowered, match=message):
        lower(trace(model, torch.zeros(shape)), model)


def written(x):
    x[:, :2].relu_()
    return x


@pytest.mark.parametrize("error", [AttributeError, KeyError, ValueError, IndexError, RuntimeError, StopIteration])
def test_a_mistake_in_a_form_is_told_as_one_that_is_missing(error, monkeypatch):
    def broken(lowering, op):
        raise error("of ours")

    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU(), nn.Softmax(1), nn.Conv2d(4, 4, 1))).eval()
    graph = trace(model, X)
    monkeypatch.setitem(RULES, "aten._softmax", broken)
    told = rf"aten\._softmax could not be lowered: {error.__name__} .*of ours.*; please report it \(module 1\.1\)"
    with pytest.raises(Unlowered, match=told):
        lower(graph, model)
    cost = inspect(model, X, target="ethos-u55-256")
    assert not cost.cycles.whole and "could not be compiled as a whole: aten._softmax could not be" in cost.cycles.note


def test_a_mistake_while_the_file_is_written(monkeypatch):
    def broken(*_, **__):
        raise IndexError("of ours")

    model = nn.Sequential(nn.Conv2d(3, 4, 1)).eval()
    monkeypatch.setattr(TFLiteBuilder, "build", broken)
    lowered = lower(trace(model, X), model)
    for write in (nominal, float32):
        with pytest.raises(Unlowered, match="the file could not be written: IndexError of ours; please report it"):
            write(lowered)


def test_a_mistake_in_the_form_of_a_layer_alone(monkeypatch):
    def broken(*_):
        raise KeyError("of ours")

    layer = trace(nn.Conv2d(3, 4, 1), X).layers[0]
    monkeypatch.setattr(tflite, "convolve", broken)
    with pytest.raises(
        Unlowered, match=r"conv 1x1 3→4 on a 16x16 map could not be lowered: KeyError 'of ours'; please"
    ):
        lower_layer(layer)


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.conv, self.function = nn.Conv2d(3, 4, 1), function
        self.conv.extra = nn.Parameter(torch.ones(4, 2))

    def forward(self, x):
        return self.function(x, self.conv)


def test_an_output_that_is_an_input():
    with pytest.raises(Unlowered, match="output_0 of the network is not computed from its inputs"):
        lower(trace(Calls(lambda x, c: c.bias), X), Calls(lambda x, c: c.bias))
