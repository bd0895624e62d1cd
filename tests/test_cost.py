"""Padding and closed-form cycles, against numbers worked by hand."""

import dataclasses

import layers
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import small

from padless import Cost, Layer, inspect, load_target, trace
from padless.cost import Ceil, padding
from padless.errors import UsageError
from padless.graph import narrowed
from padless.report.tables import _notes


def layer(c_in: int, c_out: int, kind: str = "conv", groups: int = 1, kernel: int = 3, hw: int = 10) -> Layer:
    return layers.layer(c_in, c_out, kernel, kind, groups, hw)


def test_a_convolution():
    cost = padding(layer(37, 49), load_target("unit:16"))
    assert cost.macs == 100 * 9 * 37 * 49
    assert cost.padded_macs == 100 * 9 * 48 * 64
    assert cost.floor_macs == cost.macs
    assert (cost.weight_bytes, cost.padded_weight_bytes) == (9 * 37 * 49, 9 * 48 * 64)
    assert (cost.activation_bytes, cost.padded_activation_bytes) == (100 * 49, 100 * 64)
    assert cost.wasted_macs_percent == pytest.approx(100 * (1 - 37 * 49 / (48 * 64)))
    assert cost.wasted_activation_percent == pytest.approx(100 * (1 - 49 / 64))


def test_sides_that_cannot_be_aligned_are_not_avoidable():
    cost = padding(layer(3, 20), load_target("unit:16"), fixed={"in"})
    assert cost.floor_macs == 100 * 9 * 16 * 20
    assert cost.avoidable_macs_percent == pytest.approx(100 * (1 - 20 / 32))
    assert padding(layer(3, 16), load_target("unit:16"), fixed={"in"}).avoidable_macs_percent == 0


def test_different_units_for_input_and_output():
    assert padding(layer(33, 9, kernel=1), load_target("unit:32x8")).padded_macs == 100 * 64 * 16


def test_grouped_convolutions_pad_each_group():
    cost = padding(layer(32, 64, "grouped", groups=8), load_target("unit:16"))
    assert cost.macs == 100 * 9 * 8 * 4 * 8
    assert cost.padded_macs == 100 * 9 * 8 * 16 * 16


def test_depthwise_pads_to_its_own_unit():
    cost = padding(layer(20, 20, "depthwise", groups=20), load_target("rockchip-rk3588"))
    assert (cost.macs, cost.padded_macs) == (100 * 9 * 20, 100 * 9 * 64)


def test_costs_add_up_and_shares_are_ratios_of_sums():
    a, b = Cost(macs=1, padded_macs=4), Cost(macs=9, padded_macs=16)
    assert (a + b).wasted_macs_percent == 50
    assert Cost().wasted_macs_percent == 0


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 64), st.integers(1, 64))
def test_padding_never_saves_and_is_free_when_aligned(c_in, c_out, u, v):
    target = load_target(f"unit:{u}x{v}")
    cost = padding(layer(c_in, c_out), target)
    assert cost.padded_macs >= cost.macs and cost.padded_weight_bytes >= cost.weight_bytes
    assert (cost.wasted_macs_percent == 0) == (c_in % u == 0 and c_out % v == 0)


def ceil(of: Layer, target: str) -> int:
    return Ceil(load_target(target))([of])[0].total


def test_closed_form_cycles():
    assert ceil(layer(16, 17), "gemmini-16") == 100 * 9 * 16 * 32 // 256
    assert ceil(layer(16, 16, "depthwise", groups=16), "gemmini-16") == 100 * 9 * 16 * 16 // 256  # one of sixteen lanes
    assert str(Ceil(load_target("gemmini-16")).source) == "ceil, padded MACs / MACs per cycle of gemmini-16"


def test_closed_form_rounds_what_is_computed_at_once():
    assert ceil(layer(32, 8, hw=5), "ethos-u55-256") == 6 * 6 * 9 * 32 * 8 // 256  # 2x2 pixels at once
    assert ceil(layer(32, 8, hw=5), "ethos-u55-128") == 5 * 6 * 9 * 32 * 8 // 128  # 1x2 pixels
    assert ceil(layer(64, 5, kernel=1), "adi-max78000") == 100 * 5  # nine elements or one: a cycle an output
    assert ceil(layer(64, 5, kernel=5), "adi-max78000") == 100 * 5 * 3
    assert ceil(layer(32, 32, "depthwise", groups=32), "intel-npu-3720") == 100 * 9 * 32 // 512 + 1  # a rate of its own


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ceil(load_target("hexagon-htp")), "No oracle for cycles on hexagon-htp: no source states its MACs"),
        (lambda: Ceil(load_target("gemmini-16"), "fast"), "The oracle ceil takes no argument"),
    ],
)
def test_where_there_is_no_closed_form(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_bytes_of_other_precisions():
    half = padding(layer(37, 49), load_target("nvdla-full@fp16"))
    assert (half.weight_bytes, half.padded_weight_bytes) == (2 * 9 * 37 * 49, 2 * 9 * 64 * 64)
    assert (half.activation_bytes, half.padded_activation_bytes) == (2 * 100 * 49, 2 * 100 * 64)
    narrow = padding(layer(37, 49), load_target("sony-imx500@int8w2"))
    assert (narrow.weight_bytes, narrow.activation_bytes) == (-(-9 * 37 * 49 // 4), 100 * 49)


def test_weights_may_be_stored_in_other_blocks_than_computed():
    cost = padding(layer(33, 41), load_target("rockchip-rk3588"))
    assert cost.padded_macs == 100 * 9 * 64 * 64
    assert cost.padded_weight_bytes == 9 * 64 * 42
    assert cost.padded_activation_bytes == 100 * 48


def test_layers_that_the_npu_leaves_to_the_cpu():
    cost = inspect(small(), torch.zeros(1, 3, 16, 16), target="ti-tinpu")
    said = {row.layer.name: row.problems for row in cost.layers if row.problems}
    assert said == {"stem": ("3 inputs are no multiple of 4",)}
    assert "The NPU does not run 1 of the layers: stem (3 inputs are no multiple of 4)." in _notes(cost)


def test_narrowed_layers_match_a_mask():
    graph = trace(small(), torch.zeros(1, 3, 16, 16))
    keep = np.ones(graph.channels, bool)
    keep[graph.group("stem").channels] = np.arange(16) < 5
    shapes = {ly.name: (ly.c_in, ly.c_out) for ly in narrowed(graph, keep)}
    assert shapes == {
        "stem": (3, 5),
        "block.body.0": (5, 24),
        "block.body.3": (24, 5),
        "down": (5, 32),
        "head": (32, 4),
    }


def test_shared_weights_are_stored_once():
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = torch.nn.Conv2d(4, 4, 1), torch.nn.Conv2d(4, 2, 1)

        def forward(self, x):
            return self.b(self.a(self.a(x)))

    cost = inspect(Twice(), torch.zeros(1, 4, 2, 2), target="unit:2").cost
    assert (cost.weight_bytes, cost.macs) == (16 + 8, 4 * (16 + 16 + 8))


def test_cycles_are_for_a_batch_of_one():
    with pytest.raises(UsageError, match="the example has a batch of 4. Give a batch of 1"):
        inspect(small(), torch.zeros(4, 3, 16, 16), target="ethos-u55-256")


def test_totals_are_the_sums_of_the_rows():
    cost = inspect(small(), torch.zeros(1, 3, 16, 16), target="nvdla-full")
    totals = cost.totals()
    assert (
        totals["macs"]
        == sum(row.cost.macs for row in cost.layers)
        == 256 * 27 * 16 + 256 * (9 * 16 * 24 + 24 * 16) + 64 * 9 * 16 * 32 + 128
    )
    assert totals["cycles"] == sum(row.cycles for row in cost.layers)
    assert totals["peak_sram_bytes"] is None
    assert dataclasses.asdict(cost.cost)["padded_macs"] == totals["padded_macs"]
