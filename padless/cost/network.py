"""The cost of a whole network on a target: padding per layer, cycles from an oracle, and totals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from typing_extensions import TypedDict  # pydantic reads it from plans, and before Python 3.12 needs this one

from padless.cost.cycles import Cycles
from padless.cost.padding import Cost, padding
from padless.graph import FIXED, Channels, Graph, Layer
from padless.graph.structure import Side
from padless.hardware import Target, Units

Mask = npt.NDArray[np.bool_]  # [channels of the graph] True where the channel is kept


class Totals(TypedDict):
    """The totals that `padless inspect --json` and `summary.json` carry."""

    macs: int
    padded_macs: int
    wasted_macs: int
    wasted_macs_percent: float
    avoidable_macs_percent: float
    weight_bytes: int
    padded_weight_bytes: int
    wasted_weight_percent: float
    activation_bytes: int
    padded_activation_bytes: int
    wasted_activation_percent: float
    cycles: int | None
    npu_cycles: int | None
    peak_sram_bytes: int | None
    oracle: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerCost:
    """One row of the report."""

    layer: Layer
    units: Units
    fixed: frozenset[Side]  # sides that no cut can align
    pinned: str | None  # why its output channels must stay
    cost: Cost
    cycles: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkCost:
    layers: tuple[LayerCost, ...]
    cycles: Cycles | None

    @property
    def cost(self) -> Cost:
        return sum((row.cost for row in self.layers), Cost())

    def totals(self) -> Totals:
        """Sums over layers; shares are ratios of sums. Cycles are the oracle's for the whole network."""
        cost, cycles = self.cost, self.cycles
        return Totals(
            macs=cost.macs,
            padded_macs=cost.padded_macs,
            wasted_macs=cost.padded_macs - cost.macs,
            wasted_macs_percent=round(cost.wasted_macs_percent, 4),
            avoidable_macs_percent=round(cost.avoidable_macs_percent, 4),
            weight_bytes=cost.weight_bytes,
            padded_weight_bytes=cost.padded_weight_bytes,
            wasted_weight_percent=round(cost.wasted_weight_percent, 4),
            activation_bytes=cost.activation_bytes,
            padded_activation_bytes=cost.padded_activation_bytes,
            wasted_activation_percent=round(cost.wasted_activation_percent, 4),
            cycles=cycles.total if cycles else None,
            npu_cycles=cycles.npu if cycles else None,
            peak_sram_bytes=cycles.peak_sram_bytes if cycles else None,
            oracle=cycles.oracle if cycles else None,
        )


def network_cost(
    layers: Sequence[Layer],
    target: Target,
    fixed: Mapping[str, frozenset[Side]],
    cycles: Cycles | None,
    pinned: Mapping[str, str] | None = None,
) -> NetworkCost:
    """Padding of every layer beside the cycles that an oracle gave.

    `fixed` has per layer the sides that no cut can align, `pinned` why its output channels must stay.
    """
    operators = cycles.operators if cycles else {}
    stored: set[str] = set()

    def cost(layer: Layer) -> Cost:
        whole = padding(layer, target, fixed.get(layer.name, frozenset()))
        if layer.weight in stored:  # a second call shares the first one's weights
            return replace(whole, weight_bytes=0, padded_weight_bytes=0)
        stored.add(layer.weight)
        return whole

    rows = tuple(
        LayerCost(
            layer=layer,
            units=target.units(layer),
            fixed=fixed.get(layer.name, frozenset()),
            pinned=(pinned or {}).get(layer.name),
            cost=cost(layer),
            cycles=operators.get(layer.name),
        )
        for layer in layers
    )
    return NetworkCost(layers=rows, cycles=cycles)


def narrowed(graph: Graph, keep: Mask) -> tuple[Layer, ...]:
    """The layers as they will be once only the channels in `keep` are left, without cutting anything."""

    def kept(channels: Channels) -> Channels:
        left: Channels = channels[(channels == FIXED) | keep[channels]]
        return left

    layers = []
    for layer in graph.layers:
        inputs, outputs = kept(layer.inputs), kept(layer.outputs)
        groups = layer.groups * len(inputs) // layer.c_in if layer.drops_groups else layer.groups
        layers.append(
            replace(layer, c_in=len(inputs), c_out=len(outputs), groups=groups, inputs=inputs, outputs=outputs)
        )
    return tuple(layers)
