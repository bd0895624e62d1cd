"""The cost of a whole network on a target: padding per layer, cycles from an oracle, and totals."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from typing_extensions import TypedDict  # pydantic reads it from plans, and before Python 3.12 needs this one

from padless.cost.cycles import Cycles
from padless.cost.fixed import FixedLayer, fixed_layers
from padless.cost.memory import Peak
from padless.cost.padding import Cost, padding
from padless.graph import ChannelGroup, Graph, Layer, narrowed
from padless.graph.structure import Side
from padless.hardware import Target, Units
from padless.notebook import shown


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
    nanoseconds: int | None  # where the oracle answers in time: then there are no cycles
    milliseconds: float | None  # the same, or what the cycles take, where the clock is known
    clock_hz: int | None  # at which they do
    peak_sram_bytes: int | None
    peak_activation_bytes: int | None
    flash_bytes: int | None  # constants, as the compiler lays them out
    energy_pj: float | None
    oracle: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayerCost:
    """One row of the report."""

    layer: Layer
    units: Units
    fixed: frozenset[Side]  # sides that no cut can align
    pinned: str | None  # why its output channels must stay
    cost: Cost
    weight_bytes: int  # also where a second call shares them
    cycles: int | None  # or nanoseconds: in the unit of the network's `cycles.source`
    npu_cycles: int | None  # without waiting for outer memory
    problems: tuple[str, ...] = ()  # why the NPU cannot run it
    treatment: str = ""  # what was done to its weights, such as grid:17


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How much of a network pruning can reach, whatever the target.

    The share of its channels that may be cut; the share of its MACs that goes when each group is down to one channel;
    and the groups that stay whole and the layers that have none, each of which says why.
    """

    channels_percent: float
    macs_percent: float
    pinned: tuple[ChannelGroup, ...]
    fixed: tuple[FixedLayer, ...] = ()  # layers without any group


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkCost:
    layers: tuple[LayerCost, ...]
    cycles: Cycles | None
    reach: Reach
    target: Target
    peak: Peak | None = None  # of the activations

    @property
    def cost(self) -> Cost:
        return sum((row.cost for row in self.layers), Cost())

    @property
    def clock_hz(self) -> int | None:
        """How many of the oracle's cycles make a second: the target's clock, or a nanosecond's where it answers in time."""
        if self.unit == "ns":
            return 10**9
        return self.target.system.clock_hz

    @property
    def unit(self) -> Literal["cycles", "ns"]:
        """What the oracle counts in."""
        return self.cycles.source.unit if self.cycles else "cycles"

    def _repr_html_(self) -> str:
        totals = self.totals()
        spent = totals["nanoseconds"] if self.unit == "ns" else totals["cycles"]
        took = f", {spent:,} {'nanoseconds' if self.unit == 'ns' else 'cycles'} ({totals['oracle']})" if spent else ""
        line = (
            f"{len(self.layers)} layers on {self.target.name}: {totals['macs']:,} MACs, removable padding "
            f"{totals['avoidable_macs_percent']:.2f} %{took}"
        )
        rows = (
            (row.layer.name, f"{row.layer.c_in}→{row.layer.c_out}", f"{row.cost.macs:,}",
             f"{row.cost.avoidable_macs_percent:.2f}", "" if row.cycles is None else f"{row.cycles:,}")
            for row in self.layers
        )  # fmt: skip
        return shown(line, ("layer", "channels", "MACs", "removable padding %", self.unit), rows)

    def totals(self) -> Totals:
        """Sums over layers; shares are ratios of sums. Cycles are the oracle's for the whole network."""
        cost, cycles, clock = self.cost, self.cycles, self.clock_hz
        counted = cycles if self.unit == "cycles" else None
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
            cycles=counted.total if counted else None,
            npu_cycles=counted.npu if counted else None,
            nanoseconds=cycles.total if cycles and self.unit == "ns" else None,
            milliseconds=round(1e3 * cycles.total / clock, 6) if cycles and clock else None,
            clock_hz=clock if counted else None,
            peak_sram_bytes=cycles.peak_sram_bytes if cycles else None,
            peak_activation_bytes=self.peak.bytes if self.peak else None,
            flash_bytes=cycles.flash_bytes if cycles else None,
            energy_pj=cycles.energy_pj if cycles else None,
            oracle=cycles.oracle if cycles else None,
        )


def network_cost(
    graph: Graph,
    layers: Sequence[Layer],
    target: Target,
    fixed: Mapping[str, frozenset[Side]],
    cycles: Cycles | None,
    peak: Peak | None = None,
    treatments: Mapping[str, str] | None = None,
) -> NetworkCost:
    """Padding of every layer beside the cycles that an oracle gave.

    `layers` are those of `graph` or of a cut of it, which may lack some: those were removed. `fixed` has per layer the sides
    that no cut can align, `treatments` what was done to its weights.
    """
    operators, computing = (cycles.operators, cycles.npu_operators) if cycles else ({}, {})
    pinned = {m.layer: g.pinned for g in graph.groups if g.pinned for m in g.members if m.side == "out"}
    present = {layer.name: layer for layer in layers}
    layers = [present.get(layer.name, layer.without_channels) for layer in graph.layers]
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
            pinned=pinned.get(layer.name),
            cost=cost(layer),
            weight_bytes=padding(layer, target).weight_bytes,
            cycles=0 if layer.removed and cycles else operators.get(layer.name),
            npu_cycles=0 if layer.removed and cycles else computing.get(layer.name),
            problems=tuple(problems(layer, target)),
            treatment=(treatments or {}).get(layer.name, ""),
        )
        for layer in layers
    )
    return NetworkCost(layers=rows, cycles=cycles, reach=reach(graph), target=target, peak=peak)


def problems(layer: Layer, target: Target) -> Iterator[str]:
    """Why the NPU would leave a layer to the CPU: widths that it rejects, limits."""
    if layer.removed:
        return
    units = target.units(layer)
    if target.active.misfit == "reject":
        for size, unit, what in ((layer.c_in, units.input, "inputs"), (layer.c_out, units.output, "outputs")):
            if size // (1 if layer.kind == "depthwise" else layer.groups) % unit:
                yield f"{size} {what} are no multiple of {unit}"
    yield from target.limits.broken(layer, units)


def reach(graph: Graph) -> Reach:
    """What of a network can be cut at all."""
    free = [g for g in graph.groups if g.pinned is None]
    least = np.ones(graph.channels, dtype=np.int64)
    for group in free:
        least[group.first + 1 : group.first + group.width] = 0
    macs = sum(layer.macs for layer in graph.layers)
    left = sum(layer.macs for layer in narrowed(graph, least)) if free else macs  # there may be no channels at all
    return Reach(
        channels_percent=100 * sum(g.width for g in free) / max(1, graph.channels),
        macs_percent=100 * (1 - left / macs) if macs else 0.0,
        pinned=tuple(g for g in graph.groups if g.pinned is not None),
        fixed=fixed_layers(graph),
    )
