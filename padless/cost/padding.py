"""What a layer computes and stores, and what the hardware computes and stores for it.

The two measures of Lee et al., "An Efficient NPU-Aware Filter Pruning in Convolutional Neural Network" (ICEIC 2023), as
defined here: *unnecessary computation* is 1 - MACs / padded MACs, *hardware-inefficient space* is 1 - bytes / padded
bytes. Numbers are for INT8 and one example: one byte a weight, one byte a stored activation.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, fields

from padless.graph import LayerShape
from padless.graph.structure import Side
from padless.hardware import Target, ceil_div, round_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Work and storage of a layer or a network. Sums with `+`."""

    macs: int = 0
    padded_macs: int = 0  # with channels rounded up to the target's units
    floor_macs: int = 0  # padded only where no cut can align: the image's channels, the class outputs
    weight_bytes: int = 0
    padded_weight_bytes: int = 0
    activation_bytes: int = 0  # the output map
    padded_activation_bytes: int = 0  # with channels rounded up to the memory block

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @property
    def wasted_macs_percent(self) -> float:
        """Unnecessary computation: the share of multiplications by zero padding."""
        return _wasted(self.macs, self.padded_macs)

    @property
    def avoidable_macs_percent(self) -> float:
        """The part of `wasted_macs_percent` that aligned widths would remove."""
        return _wasted(self.floor_macs, self.padded_macs)

    @property
    def wasted_weight_percent(self) -> float:
        """Hardware-inefficient space in weights."""
        return _wasted(self.weight_bytes, self.padded_weight_bytes)

    @property
    def wasted_activation_percent(self) -> float:
        """Hardware-inefficient space in stored activations."""
        return _wasted(self.activation_bytes, self.padded_activation_bytes)


def _wasted(useful: int, spent: int) -> float:
    return 100.0 * (1 - useful / spent) if spent else 0.0


def padding(layer: LayerShape, target: Target, fixed: Collection[Side] = ()) -> Cost:
    """The cost of one layer on a target; `fixed` names its sides that no cut can align.

    A grouped convolution pads each group of filters apart; a depthwise one pads its channels to the depthwise unit.
    Stored weights are padded like computed ones unless the target states blocks for them.
    """
    if layer.removed:
        return Cost()
    units, stored = target.units(layer), target.weights
    taps, pixels = math.prod(layer.kernel), math.prod(layer.out_hw)
    if layer.kind == "depthwise":
        weights, padded = taps * layer.c_out, taps * round_up(layer.c_out, units.output)
        kept = taps * round_up(layer.c_out, stored.output_block or units.output)
        floor = padded if "out" in fixed else weights
    else:
        a, b = layer.c_in // layer.groups, layer.c_out // layer.groups
        up_a, up_b = round_up(a, units.input), round_up(b, units.output)
        weights, padded = taps * layer.groups * a * b, taps * layer.groups * up_a * up_b
        kept = round_up(a, stored.input_block or units.input) * round_up(b, stored.output_block or units.output)
        kept *= taps * layer.groups
        floor = taps * layer.groups * (up_a if "in" in fixed else a) * (up_b if "out" in fixed else b)
    return Cost(
        macs=layer.macs,
        padded_macs=layer.macs * padded // weights,
        floor_macs=layer.macs * floor // weights,
        weight_bytes=_bytes(weights, target.weight_bits),
        padded_weight_bytes=_bytes(kept, target.weight_bits),
        activation_bytes=_bytes(pixels * layer.c_out, target.activation_bits),
        padded_activation_bytes=_bytes(pixels * round_up(layer.c_out, target.block), target.activation_bits),
    )


def _bytes(elements: int, bits: int) -> int:
    return ceil_div(elements * bits, 8)
