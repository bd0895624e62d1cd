"""Which padding no cut can remove, worked out from the graph and the target alone.

Whoever chooses widths says which sides are out of reach. Such a claim counts only where it follows from the graph: no
combination of widths of the groups on that side fills its units and those of all sides that are said to be within reach.
What is claimed wrongly stays avoidable waste, and is reported as such.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from padless.graph import ChannelGroup, Graph, Layer
from padless.graph.structure import SIDES, Side
from padless.hardware import Target

STATES = 2_000  # of what is left over on all axes together; with more a claim is taken as it is


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Axis:
    """One side of a layer, and the groups on it that may be cut, each with its places there a channel."""

    layer: Layer
    side: Side
    size: int
    free: tuple[tuple[ChannelGroup, int], ...]
    inner: bool  # whole groups of filters go: what lies in each stays as wide as it is

    def unit(self, target: Target, size: int) -> int:
        """What `size` channels on it must be a multiple of."""
        layer, side = self.layer, self.side
        units = target.units(layer, **{"c_in" if side == "in" else "c_out": size})
        return (units.input if side == "in" else units.output) * (1 if layer.kind == "depthwise" else layer.groups)

    def at(self, widths: Mapping[str, int]) -> int:
        """Its size once some of its groups are so wide."""
        return self.size + sum(repeats * (widths[g.id] - g.width) for g, repeats in self.free if g.id in widths)


def unavoidable(graph: Graph, target: Target, claimed: Mapping[str, Collection[Side]]) -> dict[str, frozenset[Side]]:
    """Of the sides that are claimed to be out of reach, per layer, those that are."""
    axes = _axes(graph)
    doubtful = {(name, side) for name, sides in claimed.items() for side in sides if (name, side) in axes}
    within = [axis for place, axis in axes.items() if place not in doubtful and axis.free and not axis.inner]
    sides: dict[str, set[Side]] = defaultdict(set)
    for name, side in doubtful:
        axis = axes[name, side]
        if axis.inner or not axis.free or not _alignable(axis, within, target):
            sides[name].add(side)
    return {layer.name: frozenset(sides[layer.name]) for layer in graph.layers if layer.name in sides}


def _axes(graph: Graph) -> dict[tuple[str, Side], _Axis]:
    free: dict[tuple[str, Side], list[tuple[ChannelGroup, int]]] = defaultdict(list)
    for group in graph.groups:
        for member in group.members if group.pinned is None else ():
            free[member.layer, member.side].append((group, member.repeats))
    return {
        (layer.name, side): _Axis(
            layer=layer, side=side, size=layer.c_in if side == "in" else layer.c_out,
            free=tuple(free[layer.name, side]), inner=layer.drops_groups and layer.kind != "depthwise",
        )
        for layer in graph.layers for side in SIDES
    }  # fmt: skip


def _alignable(axis: _Axis, within: list[_Axis], target: Target) -> bool:
    """Whether some widths fill the units of an axis and of all those that hang together with it."""
    linked = _linked(axis, within)
    groups = {group.id: group for other in linked for group, _ in other.free}
    widths = {id: list(range(1, group.width + 1)) for id, group in groups.items()}
    for other in linked:
        if len(other.free) == 1:
            id = other.free[0][0].id
            widths[id] = [w for w in widths[id] if (size := other.at({id: w})) % other.unit(target, size) == 0]
    sums = {(tuple((g.id, r) for g, r in other.free), other.size, other.unit(target, other.size))
            for other in linked if len(other.free) > 1}  # fmt: skip
    return all(widths.values()) and _fill_together(sorted(sums), widths, {id: g.width for id, g in groups.items()})


def _linked(axis: _Axis, within: list[_Axis]) -> list[_Axis]:
    """The axis and those that share groups with it, directly or through others."""
    linked, reached, left = [axis], {group.id for group, _ in axis.free}, list(within)
    while True:
        near = [other for other in left if any(group.id in reached for group, _ in other.free)]
        if not near:
            return linked
        linked += near
        reached |= {group.id for other in near for group, _ in other.free}
        left = [other for other in left if not any(other is known for known in near)]


_Sum = tuple[tuple[tuple[str, int], ...], int, int]  # groups with their places a channel; size when all are whole; unit


def _fill_together(sums: list[_Sum], widths: Mapping[str, list[int]], dense: Mapping[str, int]) -> bool:
    """Whether some of the widths make each sum a multiple of its unit: group by group, what all sums can leave over."""
    left = {tuple(size % unit for _, size, unit in sums)}
    for id in dict.fromkeys(id for parts, _, _ in sums for id, _ in parts):
        repeats = [dict(parts).get(id, 0) for parts, _, _ in sums]
        steps = {
            tuple(r * (w - dense[id]) % unit for r, (_, _, unit) in zip(repeats, sums, strict=True)) for w in widths[id]
        }
        left = {
            tuple((a + b) % unit for a, b, (_, _, unit) in zip(state, step, sums, strict=True))
            for state in left for step in steps
        }  # fmt: skip
        if len(left) > STATES:
            return False
    return not sums or (0,) * len(sums) in left
