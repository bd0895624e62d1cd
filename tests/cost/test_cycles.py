"""Closed-form cycles, against numbers worked by hand."""

import pytest
from models import layers

from padless import load_target
from padless.cost.oracles.ceil import Ceil
from padless.errors import UsageError
from padless.graph import Layer


def layer(c_in: int, c_out: int, kind: str = "conv", groups: int = 1, kernel: int = 3, hw: int = 10) -> Layer:
    return layers.layer(c_in, c_out, kernel, kind, groups, hw)


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
