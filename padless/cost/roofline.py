"""How well each layer uses the MAC array, and what holds it back (Williams, Waterman, Patterson, CACM 52(4), 2009)."""

import math
from dataclasses import dataclass
from typing import Literal

from padless.cost.network import LayerCost, NetworkCost
from padless.hardware import Target

WAITS = 1.05  # a layer whose time is so many times its computing time waits for memory
Bound = Literal["compute", "memory", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RooflinePoint:
    """One layer. Rates are useful MACs, without padding."""

    name: str
    macs: int
    cycles: int
    intensity: float  # MACs a byte of weights, input and output
    rate: float  # MACs a cycle
    utilisation_percent: float  # of the array's peak
    bound: Bound


def roofline(cost: NetworkCost, target: Target) -> list[RooflinePoint]:
    """A point for each layer that the oracle gave cycles; none where the target's peak or the cycles are not known."""
    peak = target.active.macs_per_cycle
    if peak is None or cost.cycles is None or cost.cycles.source.unit != "cycles":
        return []
    return [
        RooflinePoint(
            name=row.layer.name,
            macs=row.cost.macs,
            cycles=row.cycles,
            intensity=row.cost.macs / _bytes(row, target),
            rate=row.cost.macs / row.cycles,
            utilisation_percent=100 * row.cost.macs / (row.cycles * peak),
            bound=_bound(row, target, bool(cost.cycles.source.memory_mode)),
        )
        for row in cost.layers
        if row.cycles
    ]


def bandwidths(target: Target) -> dict[str, float]:
    """Bytes a cycle of each memory that the default system states."""
    system = target.system
    known = {
        "SRAM": system.sram_bytes_per_cycle, "flash": system.flash_bytes_per_cycle, "DRAM": system.dram_bytes_per_cycle
    }  # fmt: skip
    return {name: rate for name, rate in known.items() if rate}


def _bytes(row: LayerCost, target: Target) -> int:
    layer = row.layer
    read = math.prod(layer.in_hw) * layer.c_in * target.activation_bits // 8
    return row.weight_bytes + read + row.cost.activation_bytes


def _bound(row: LayerCost, target: Target, tells_apart: bool) -> Bound:
    """An oracle that knows the waiting says it; else the slowest memory that could hold the layer decides."""
    if row.cycles is None or row.npu_cycles is None:
        return "unknown"
    if tells_apart:
        return "memory" if row.cycles > WAITS * row.npu_cycles else "compute"
    rates = bandwidths(target)
    if not rates:
        return "unknown"
    return "memory" if _bytes(row, target) / min(rates.values()) > row.cycles else "compute"
