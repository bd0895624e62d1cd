"""Padding that an oracle charges for: the channels that a network could have more of at the same cost."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from padless.cost.cycles import Answer
from padless.cost.network import LayerCost, NetworkCost
from padless.cost.oracle import CachedOracle
from padless.graph import ChannelGroup, Graph, LayerShape
from padless.graph.structure import Side

Field = Literal["total", "npu", "flash_bytes"]  # of an answer
Added = Mapping[tuple[str, Side], int]  # channels that an axis has more


@dataclass(frozen=True, slots=True)
class _Wider:
    """A group at a larger width: what of it lies on its layers, and these."""

    group: ChannelGroup
    width: int
    shapes: tuple[LayerShape, ...]


def charged(
    cost: NetworkCost,
    graph: Graph,
    widths: Mapping[str, int],
    offered: Mapping[str, npt.NDArray[np.int64]],
    oracle: CachedOracle,
    counted: Field = "total",
) -> NetworkCost:
    """The same network, its avoidable MACs by what the oracle charges instead of by the target's units.

    A group of `graph` that is `widths[id]` wide is charged for the largest of its `offered` widths at which its layers
    together cost no more, the others being as they are. Avoidable are the MACs that are charged for and not computed; padded
    MACs are by the units, or as many as are charged for where these are more. Layers that the oracle cannot price alone
    charge for nothing.
    """
    rows = {row.layer.name: row for row in cost.layers}
    now = {group.id: _shapes(group, rows, 0) for group in graph.groups}
    wider = [
        _Wider(group, width, _shapes(group, rows, width - widths[group.id]))
        for group in graph.groups
        if group.pinned is None
        for width in offered[group.id].tolist()
        if width > widths[group.id]
    ]
    shapes = list(dict.fromkeys(shape for each in wider for shape in (*now[each.group.id], *each.shapes)))
    known = [shape for shape in shapes if oracle.oracle.has(shape)]  # a table need not have what no plan asks for
    totals: dict[LayerShape, float] = dict.fromkeys(shapes, np.nan)
    for shape, answer in zip(known, oracle.attempt(known), strict=True):
        if isinstance(answer, Answer):
            value = getattr(answer, counted)
            totals[shape] = np.nan if value is None else value
    free = {
        each.group.id: each.width - widths[each.group.id]
        for each in wider  # widths ascend: the last is the largest
        if sum(totals[s] for s in each.shapes) <= sum(totals[s] for s in now[each.group.id])
    }
    added: dict[tuple[str, Side], int] = {}
    for group in graph.groups:
        for member in group.members if group.id in free else ():
            place = (member.layer, member.side)
            added[place] = added.get(place, 0) + member.repeats * free[group.id]
    return replace(cost, layers=tuple(_charging(row, added) for row in cost.layers))


def _shapes(group: ChannelGroup, rows: Mapping[str, LayerCost], more: int) -> tuple[LayerShape, ...]:
    """The layers that a group lies on, with so many channels more of it."""
    added: dict[tuple[str, Side], int] = {}
    for member in group.members:
        added[member.layer, member.side] = added.get((member.layer, member.side), 0) + member.repeats * more
    names = dict.fromkeys(m.layer for m in group.members)
    return tuple(_with(rows[name], added) for name in names if not rows[name].layer.removed)


def _with(row: LayerCost, added: Added) -> LayerShape:
    layer = row.layer
    return layer.sized(layer.c_in + added.get((layer.name, "in"), 0), layer.c_out + added.get((layer.name, "out"), 0))


def _charging(row: LayerCost, added: Added) -> LayerCost:
    """A row whose avoidable MACs are those that are charged for and not computed."""
    if row.layer.removed:
        return row
    paid = _with(row, added).macs
    padded = max(row.cost.padded_macs, paid)
    return replace(row, cost=replace(row.cost, padded_macs=padded, floor_macs=padded - (paid - row.layer.macs)))
