"""Three dimensions: convolutions over frames, rows and columns follow the rules of those over maps."""

import pytest
import torch
from torch import nn

from padless import inspect, plan, prune, trace
from padless.errors import OracleError

X = torch.zeros(1, 1, 8, 16, 16)


def video() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(1, 16, 3, (1, 2, 2), 1), nn.BatchNorm3d(16), nn.ReLU(), nn.MaxPool3d(2),
        nn.Conv3d(16, 16, 3, padding=1, groups=16), nn.Conv3d(16, 8, (1, 3, 3), padding=(0, 1, 1)),
        nn.ConvTranspose3d(8, 8, 2, 2), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, 4),
    ).eval()  # fmt: skip


def test_layers_have_three_sizes_and_all_their_macs():
    layers = {layer.name: layer for layer in trace(video(), X).layers}
    first = layers["0"]
    assert (first.kernel, first.stride, first.in_hw, first.out_hw) == ((3,) * 3, (1, 2, 2), (8, 16, 16), (8, 8, 8))
    assert str(first.shape) == "conv 3x3x3 1→16 on a 8x16x16 map"
    assert [layer.macs for layer in layers.values()] == [
        8 * 8 * 8 * 27 * 16, 4 * 4 * 4 * 27 * 16, 4 * 4 * 4 * 9 * 16 * 8, 4 * 4 * 4 * 8 * 8 * 8, 8 * 4,
    ]  # fmt: skip
    assert layers["4"].kind == "depthwise" and layers["6"].transposed
    assert first.implied_padding == ((1, 1), (0, 1), (0, 1))


def test_they_are_cut_with_what_follows_them():
    model = video()
    small = prune(model, plan(model, X, target="unit:4", budget="macs=60%", allocate="uniform"))
    assert small[0].out_channels == small[1].num_features == small[4].groups == small[4].in_channels < 16
    assert small[5].in_channels == small[4].out_channels == small[0].out_channels
    assert small[6].in_channels == small[5].out_channels <= 8


def test_padding_and_cycles_of_the_closed_form():
    cost = inspect(
        nn.Sequential(nn.Conv3d(3, 12, 3)), torch.zeros(1, 3, 4, 5, 5), target="ethos-u55-256", oracle="ceil"
    )
    row = cost.layers[0]
    assert row.cost.padded_macs == 2 * 3 * 3 * 27 * 8 * 16
    assert row.cost.activation_bytes == 2 * 3 * 3 * 12
    assert row.cycles == 2 * 4 * 4 * 27 * 8 * 16 / 256  # rows and columns go in units of 2 x 2, frames do not


def test_vela_says_why_not_and_names_the_layer():
    with pytest.raises(
        OracleError, match=r"Layer 0: Vela cannot be asked about it: it is three-dimensional \(conv 3x3x3"
    ):
        inspect(video(), X, target="ethos-u55-256")
