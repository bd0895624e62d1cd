"""INT8 as the NPU rounds it."""

import pytest
import torch
from models.networks import small
from torch import nn
from torch.nn import functional as F

from padless.deploy import Int8
from padless.errors import PadlessError, UsageError


def test_one_layer_is_integer_arithmetic():
    """q_x, q_w in whole numbers, multiplied and summed exactly, then scaled: within rounding of the output."""
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3, padding=1, bias=False)
    x = torch.randn(2, 3, 6, 6)
    network = Int8(nn.Sequential(layer), [x])
    (low, high), (out_low, out_high) = network.ranges
    assert (low, high) == (float(x.min()), float(x.max()))
    scale, out_scale = (high - low) / 255, (out_high - out_low) / 255
    zero = round(-128 - low / scale)
    q_x = (x / scale + zero).round().clamp(-128, 127).double() - zero
    w_scale = layer.weight.detach().abs().amax((1, 2, 3)) / 127
    q_w = (layer.weight.detach() / w_scale[:, None, None, None]).round().double()
    assert q_w.abs().max() == 127
    exact = F.conv2d(q_x, q_w, padding=1) * scale * w_scale[:, None, None]
    found = network.eval()(x).detach()
    assert float((found - exact).abs().max()) <= 0.51 * out_scale
    assert len(found.unique()) <= 256


def test_it_is_close_to_the_network_and_leaves_it_alone():
    torch.manual_seed(0)
    model = small().eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    batches = list(torch.randn(4, 8, 3, 16, 16))
    network = Int8(model, batches).eval()
    x = torch.cat(batches)
    with torch.no_grad():
        error = float((network(x) - model(x)).square().mean() / model(x).var())
    assert 0 < error < 0.01
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


class Joins(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        y = torch.cat([x, x * 0.1], 1)
        z = y.clone()
        z += 0.001 * y
        return z * self.scale


def test_sums_products_and_concatenations_round_what_they_join():
    x = torch.linspace(-1, 1, 1001).reshape(1, 1, 1, -1)
    network = Int8(Joins(), [x])
    found = network(x).detach()
    assert found.shape == (1, 2, 1, 1001) and len(found.unique()) <= 256
    assert float((found[:, 0] - 2.002 * x[:, 0]).abs().max()) < 0.03


def test_keywords_masks_and_other_types_are_rounded():
    class Named(nn.Module):
        def forward(self, x):
            y = torch.cat(tensors=[x, x], dim=1)
            z = torch.add(input=y, other=y)
            return z.masked_fill(z == z.max(), -torch.inf)

    x = torch.linspace(-1, 1, 1001).reshape(1, 1, 1, -1).double()
    found = Int8(Named(), [x])(x)
    assert found.dtype == torch.float64 and len(found.unique()) <= 256
    kept = found[..., :-8] - 2 * x[..., :-8]
    assert float(kept.abs().max()) < 0.05


def test_it_is_in_evaluation_mode():
    assert not Int8(small().train(), [torch.randn(2, 3, 16, 16)]).training


def test_what_cannot_be_calibrated():
    with pytest.raises(UsageError, match="No images to find the ranges of activations on"):
        Int8(small(), [])

    class Longer(nn.Module):
        def forward(self, x):
            return x + x if x.sum() > 0 else x

    with pytest.raises(PadlessError, match="computes more on some images than on others"):
        Int8(Longer(), [-torch.ones(1, 2)])(torch.ones(1, 2))


def test_it_is_calibrated_on_tuples_and_dictionaries():
    class Sum(nn.Module):
        def forward(self, x, more):
            return x + more["y"]

    batches = [(torch.rand(4, 8), {"y": torch.rand(4, 8)}) for _ in range(2)]
    network = Int8(Sum(), batches)
    x, more = batches[0]
    error = (network(x, more) - x - more["y"]).abs().max()
    assert 0 < error < 2 / 255 and network.ranges[0][1] == max(float(x.max()) for x, _ in batches)
