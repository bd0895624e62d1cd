"""What an oracle charges for without its being computed."""

import numpy as np
import pytest
import torch
from torch import nn

from padless import load_target
from padless.cost import Answer, Source
from padless.cost.pricing import Pricing
from padless.errors import OracleError

X = torch.zeros(1, 3, 4, 4)


def inputs_in_16(shapes):
    for s in shapes:
        cost = 100 * -(-s.c_in // 16)
        yield Answer(source=Source(oracle="made"), total=cost * (3 if s.c_in == 24 else 1), npu=cost)


def charged(width, oracle=inputs_in_16, counted="total", target="unit:64x8", dense=48):
    model = nn.Sequential(nn.Conv2d(3, dense, 1), nn.Conv2d(dense, 8, 1))
    with Pricing(model, (X,), load_target(target), oracle=oracle) as pricing:
        keep = np.ones(pricing.graph.channels, dtype=np.int64)
        group = pricing.graph.group("0")
        keep[group.first + width : group.first + group.width] = 0
        cost = pricing.cut(keep)
        return pricing.charged(cost, {"0": width, "1": 8}, counted)


@pytest.mark.parametrize(
    ("width", "counted", "free"),
    [
        (48, "total", 48),
        (40, "total", 48),  # for the price of 48
        (32, "total", 32),
        (24, "total", 48),  # dearer than all
        (24, "npu", 32),
        (16, "total", 16),
    ],
)
def test_a_group_is_charged_for_the_widest_that_costs_no_more(width, counted, free):
    first, second = (row.cost for row in charged(width, counted=counted).layers)
    pixels = 16
    assert first.padded_macs - first.floor_macs == pixels * 3 * (free - width)
    assert second.padded_macs - second.floor_macs == pixels * 8 * (free - width)
    assert (first.macs, second.macs, second.padded_macs) == (pixels * 3 * width, pixels * 8 * width, pixels * 8 * 64)


def test_what_is_charged_for_beyond_the_units_is_padding():
    second = charged(40, target="unit:1x8").layers[1].cost
    assert (second.macs, second.padded_macs) == (16 * 8 * 40, 16 * 8 * 48)
    assert second.avoidable_macs_percent == pytest.approx(100 / 6)


def test_a_width_of_no_whole_units_is_charged_for_the_next():
    first, second = (row.cost for row in charged(41, dense=41).layers)
    assert first.padded_macs - first.floor_macs == 16 * 3 * 7
    assert second.padded_macs - second.floor_macs == 16 * 8 * 7


def test_what_cannot_be_priced_alone_charges_for_nothing():
    def picky(shapes):
        for shape, answer in zip(shapes, inputs_in_16(shapes), strict=True):
            yield OracleError("too wide") if shape.c_in == 48 else answer

    assert charged(40, picky).totals()["avoidable_macs_percent"] == 0
