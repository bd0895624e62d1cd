"""Asking an oracle: each shape once, and what a failure says."""

import dataclasses

import pytest
from models.layers import layer

from padless.cost import Answer, CachedOracle, Source
from padless.errors import OracleError
from padless.graph import LayerShape


class Counting:
    """An oracle that notes what it was asked; a layer of 13 outputs breaks it."""

    def __init__(self, key: str | None = "counting") -> None:
        self.asked: list[LayerShape] = []
        self.closed = False
        if key:
            self.key = key

    def __call__(self, shapes):
        for shape in shapes:
            self.asked.append(shape)
            if shape.c_out == 13:
                raise OracleError("it broke")
            yield Answer(
                source=Source(oracle="counting", version="1"), total=shape.macs, npu=shape.macs // 2, energy_pj=0.5
            )

    def close(self):
        self.closed = True


def test_equal_shapes_are_asked_once_and_kept_on_disk():
    layers = [layer(8, 8), layer(8, 16), layer(8, 8)]
    oracle = Counting()
    first = CachedOracle(oracle)(layers)
    assert oracle.asked == [layers[0].shape, layers[1].shape]
    assert [a.total for a in first] == [ly.macs for ly in layers]
    again = Counting()
    assert CachedOracle(again)(layers) == first
    assert again.asked == []
    other = Counting(key="another setting")
    CachedOracle(other)(layers)
    assert len(other.asked) == 2


def test_an_oracle_without_a_key_is_not_kept():
    CachedOracle(Counting(key=None))([layer(8, 8)])
    again = Counting(key=None)
    asked = CachedOracle(again)
    asked([layer(8, 8)])
    asked([layer(8, 8)])
    assert len(again.asked) == 1
    asked.close()
    assert again.closed


def test_a_failure_names_the_layer_and_keeps_what_came_before():
    broken = dataclasses.replace(layer(8, 13), name="features.3")
    with pytest.raises(OracleError, match="Layer features.3: it broke"):
        CachedOracle(Counting())([layer(8, 8), broken, layer(8, 16)])
    again = Counting()
    CachedOracle(again)([layer(8, 8)])
    assert again.asked == []
