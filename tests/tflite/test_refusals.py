"""What has no TFLite form is refused by name."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from padless import trace
from padless.tflite import Unlowered, lower

pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")

X = torch.zeros(1, 3, 16, 16)


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda: nn.Sequential(nn.Conv3d(1, 2, 1)), (1, 1, 4, 4, 4), 'aten.convolution is not two-dimensional'),
        (lambda: nn.Sequential(nn.ConvTranspose2d(3, 6, 2, groups=3)), (1, 3, 4, 4), 'is transposed and in groups, or dilated'),
        (lambda: nn.Sequential(nn.ConvTranspose2d(3, 6, 3, 2, 1)), (1, 3, 4, 4), 'is transposed and makes \\(7, 7\\) of \\(4, 4\\)'),
        (lambda: nn.Sequential(nn.Conv1d(3, 4, 1), nn.BatchNorm1d(4), nn.Conv1d(4, 4, 1)), (1, 3, 4), 'is not two-dimensional'),
        (lambda: Calls(lambda x, c: F.batch_norm(c(x).flatten(2), c.extra[:, 0], c.extra[:, 1])), (1, 3, 4, 4), 'is not over a feature map or rows'),
        (lambda: Calls(lambda x, c: c(x).mean((2, 3)) @ c.extra), (1, 3, 4, 4), "multiplies by something else than a layer's weight"),
        (lambda: Calls(lambda x, c: F.adaptive_avg_pool2d(c(x), 3)), (1, 3, 4, 4), 'has windows of different sizes'),
        (lambda: Calls(lambda x, c: F.adaptive_max_pool2d(c(x), 3)), (1, 3, 4, 4), 'has windows of different sizes'),
        (lambda: Calls(lambda x, c: F.max_pool2d(c(x), 2, dilation=2)), (1, 3, 4, 4), 'is dilated'),
        (lambda: Calls(lambda x, c: F.avg_pool2d(c(x)[0], 2)), (1, 3, 4, 4), 'is not over a feature map'),
        (lambda: Calls(lambda x, c: torch.add(c(x), c(x), alpha=2)), (1, 3, 4, 4), 'aten.add has a factor'),
        (lambda: Calls(lambda x, c: torch.rsub(c(x), c(x), alpha=2)), (1, 3, 4, 4), 'has a factor'),
        (lambda: Calls(lambda x, c: torch.clamp(c(x), min=x[:, :1])), (1, 3, 4, 4), 'clamps to a tensor|has no TFLite form'),
        (lambda: Calls(lambda x, c: F.elu(c(x), 2.0)), (1, 3, 4, 4), 'aten.elu has factors of its own'),
        (lambda: Calls(lambda x, c: torch.div(c(x), 2, rounding_mode='floor')), (1, 3, 4, 4), 'aten.div rounds'),
        (lambda: Calls(lambda x, c: c(x) / c(x)), (1, 3, 4, 4), 'aten.div divides by an activation'),
        (lambda: Calls(lambda x, c: c(x) ** 3), (1, 3, 4, 4), 'aten.pow has another exponent than 2'),
        (lambda: Calls(lambda x, c: c(x).var(1)), (1, 3, 4, 4), 'aten.var drops axes'),
        (lambda: Calls(lambda x, c: F.group_norm(c(x).flatten(2), 2)), (1, 3, 4, 4), 'aten.native_group_norm is not over a feature map'),
        (lambda: Calls(lambda x, c: c(x) * F.layer_norm(c.extra, (2,))[:, :1, None]), (1, 3, 4, 4), 'reads a constant where an activation is expected'),
        (lambda: Calls(lambda x, c: F.conv2d(x, c.weight * x.mean())), (1, 3, 4, 4), 'a weight is computed from activations'),
        (lambda: Calls(lambda x, c: torch.as_strided(c(x), (1, 4, 2, 2), (64, 16, 4, 1))), (1, 3, 4, 4), 'has no TFLite form|changes the shape'),
        (lambda: Calls(lambda x, c: torch.cumsum(c(x), 1)), (1, 3, 4, 4), 'aten.cumsum has no TFLite form'),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.AvgPool2d(2)), (3, 3, 4, 4), 'batch of 3'),
    ],
)  # fmt: skip
def test_what_has_no_form_is_refused_by_name(make, shape, message):
    model = make().eval()
    with pytest.raises(Unlowered, match=message):
        lower(trace(model, torch.zeros(shape)), model)


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.conv, self.function = nn.Conv2d(3, 4, 1), function
        self.conv.extra = nn.Parameter(torch.ones(4, 2))

    def forward(self, x):
        return self.function(x, self.conv)


def test_an_output_that_is_an_input():
    with pytest.raises(Unlowered, match="an output of the network is not computed by it"):
        lower(trace(Calls(lambda x, c: c.bias), X), Calls(lambda x, c: c.bias))
