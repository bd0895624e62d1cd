"""Peak memory by live ranges."""

from importlib.util import find_spec

import pytest
import torch
from torch import nn

from padless import inspect, load_target, trace
from padless.cost.memory import peak_memory
from padless.inputs import load_model

UNIT = "unit:16"


def peak(model: nn.Module, *shape: int, target: str = UNIT):
    return peak_memory(trace(model.eval(), torch.zeros(shape)), load_target(target))


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(16, 16, 1) for _ in range(3))
        self.function = function

    def forward(self, x):
        return self.function(x, self)


MAP = 16 * 8 * 8  # bytes of one map


@pytest.mark.parametrize(
    ("function", "maps"),
    [
        (lambda x, m: m.c(m.b(m.a(x))), 2),  # what one layer reads and writes
        (lambda x, m: m.b(m.a(x).relu()), 2),  # an activation overwrites its operand
        (lambda x, m: m.b(torch.nn.functional.silu(m.a(x))), 2),  # x and its logistic
        (lambda x, m: (y := m.a(x)) + m.c(m.b(y)), 3),  # a residual keeps y
        (lambda x, m: (y := m.a(x)) + m.b(y), 2),  # the sum overwrites one operand
        (lambda x, m: m.a(x) + x, 2),  # never the network's input
        (lambda x, m: torch.cat([m.a(x), m.b(x)], 1), 3),  # parts are written where they belong
        (lambda x, m: m.b(m.a(x).flatten(1).view(1, 16, 8, 8)), 2),  # views are free
        (lambda x, m: m.a(x) * m.a.weight.sum(), 2),  # constants are no activations
        (lambda x, m: m.c(m.a(x).roll(1, 1)), 2),
        (lambda x, m: m.b(torch.cat([m.a(x), x[:, :0]], 1)), 2),  # nothing joined on: the map stays where it is
    ],
)
def test_live_ranges(function, maps):
    assert peak(Calls(function), 1, 16, 8, 8).bytes == maps * MAP


def test_a_part_of_two_concatenations_is_copied():
    def dense(x, m):
        a = m.a(x)
        first = torch.cat([x, a], 1)
        return torch.cat([first, m.b(a), a], 1)

    assert peak(Calls(dense), 1, 16, 8, 8).bytes == (1 + 1 + 4) * MAP  # x, a, and the last one with room for all parts


def test_channels_fill_blocks_and_tensors_are_aligned():
    model = nn.Sequential(nn.Conv2d(3, 17, 1), nn.Conv2d(17, 5, 1))
    assert peak(model, 1, 3, 4, 4).bytes == 16 * (32 + 16)
    assert peak(model, 1, 3, 4, 4, target="nvdla-full@fp16").bytes == 2 * 16 * (32 + 16)
    assert peak(model, 1, 3, 4, 4, target="ethos-u55-256").bytes == 16 * (32 + 5)  # outputs need no padding there
    assert peak(nn.Sequential(nn.Linear(10, 20)), 1, 10, target="sophgo-bm1684x").bytes == 64 + 64
    where = peak(nn.Sequential(nn.Conv2d(16, 32, 1), nn.Conv2d(32, 16, 1)), 1, 16, 4, 4).where
    assert where in ("0", "1")


@pytest.mark.parametrize(
    ("name", "within"),
    [("cifar10/resnet18", 0.16), ("torchvision/mobilenet_v2", 0.01), ("torchvision/mobilenet_v3_small", 0.01)],
)
def test_velas_own_peak_is_near(name, within):
    """Vela adds buffers for weights (in small networks a sixth), and cascades (not in these)."""
    pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")
    if find_spec("torchvision") is None:
        pytest.skip("the extra zoo is not installed")
    source = load_model(name)
    totals = inspect(source.model, torch.zeros(source.input_shape), target="ethos-u55-256").totals()
    ratio = totals["peak_activation_bytes"] / totals["peak_sram_bytes"]
    assert 1 - within <= ratio <= 1
