"""Peak memory by live ranges, and rooflines."""

from importlib.util import find_spec

import pytest
import torch
from networks import small
from torch import nn

from padless import inspect, load_target, trace
from padless.cost.memory import peak_memory
from padless.cost.roofline import roofline
from padless.errors import UsageError
from padless.inputs import load_model
from padless.report import roofline_page

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


# --- rooflines ----------------------------------------------------------------------------------------------------------


def test_utilisation_and_bounds():
    cost = inspect(small(), torch.zeros(1, 3, 16, 16), target="gemmini-16")
    points = roofline(cost, load_target("gemmini-16"))
    stem = points[0]
    assert (stem.macs, stem.cycles) == (256 * 27 * 16, 256 * 9 * 16 * 16 // 256)
    assert stem.utilisation_percent == pytest.approx(100 * 3 / 16)
    assert stem.intensity == pytest.approx(stem.macs / (27 * 16 + 256 * 3 + 256 * 16))
    assert {p.bound for p in points} == {"unknown"}  # no source states Gemmini's bandwidths
    assert {p.bound for p in roofline(inspect(nn.Linear(256, 256), torch.zeros(1, 256), target="google-tpu-v1"),
                                      load_target("google-tpu-v1"))} == {"memory"}  # fmt: skip


def test_an_oracle_that_knows_the_waiting_says_what_binds():
    pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")
    model = nn.Sequential(
        nn.Conv2d(32, 32, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2000)
    ).eval()
    cost = inspect(model, torch.zeros(1, 32, 16, 16), target="ethos-u55-256")
    bounds = {p.name: p.bound for p in roofline(cost, load_target("ethos-u55-256"))}
    assert bounds == {"0": "compute", "3": "memory"}
    page = roofline_page(cost, load_target("ethos-u55-256"), "it <on> U55")
    assert "it &lt;on&gt; U55" in page and page.count("<circle") == 2
    assert "flash 1 B/cycle" in page and "memory-bound" in page


def test_no_roofline_without_cycles_or_a_peak():
    for target, oracle in (("unit:16", None), ("gemmini-16", "onnxruntime")):
        cost = inspect(small(), torch.zeros(1, 3, 16, 16), target=target, oracle=oracle)
        with pytest.raises(
            UsageError, match=f"No roofline for {target}: it needs cycles, and the target's MACs a cycle"
        ):
            roofline_page(cost, load_target(target), "it")
