"""Padding, against numbers worked by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import layers

from padless import load_target
from padless.cost import padding
from padless.graph import Layer
from padless.hardware.tables import Limits, Units, When


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


def test_rules_for_one_kernel_see_three_dimensions():
    points, frames = (replace(layer(8, 8).shape, kernel=kernel) for kernel in ((1, 1, 1), (3, 1, 1)))
    assert [When(kernel="1x1").fits(shape, 8, 8) for shape in (points, frames)] == [True, False]
    assert [When(kernel="other").fits(shape, 8, 8) for shape in (points, frames)] == [False, True]
    assert list(Limits(max_kernel_height=2).broken(replace(frames, kernel=(5, 3, 1)), Units(1, 1))) == [
        "3 kernel rows, at most 2"
    ]


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


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 64), st.integers(1, 64))
def test_padding_never_saves_and_is_free_when_aligned(c_in, c_out, u, v):
    target = load_target(f"unit:{u}x{v}")
    cost = padding(layer(c_in, c_out), target)
    assert cost.padded_macs >= cost.macs and cost.padded_weight_bytes >= cost.weight_bytes
    assert (cost.wasted_macs_percent == 0) == (c_in % u == 0 and c_out % v == 0)


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
