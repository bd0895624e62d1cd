"""The widths that groups of channels may have: those at which every axis they take part in fills whole units."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from padless.align.joint import JointAxis, settled
from padless.graph import ChannelGroup, Graph, Layer
from padless.graph.structure import SIDES, Side
from padless.hardware import Target

Widths = npt.NDArray[np.int64]
Axis = tuple[str, Side]
REACH = 256  # how far above its own width a group's next level may lie


@dataclass(frozen=True, kw_only=True, eq=False)
class Levels:
    """Per group its feasible widths, ascending; axes that are only aligned together; per layer the sides out of reach."""

    widths: Mapping[str, Widths]
    dense: Mapping[str, int]  # a width above it is made up with zeros
    joint: tuple[JointAxis, ...] = ()
    example: Mapping[str, int]  # widths of the groups on joint axes that align them all
    fixed: Mapping[str, frozenset[Side]]

    def settle(self, wanted: Mapping[str, float]) -> dict[str, int]:
        """Feasible widths near the wanted ones: for each group the nearest, of two the wider.

        Groups that share an axis which only their sum can align are settled together, by a small integer program.
        """
        widths = {}
        for id, levels in self.widths.items():
            far = np.abs(np.minimum(levels, self.dense[id])[::-1] - wanted[id])
            widths[id] = int(levels[::-1][np.argmin(far)])
        if any(not axis.holds(widths) for axis in self.joint):
            together = {id: self.widths[id] for id in self._shared}
            widths |= settled(together, self.joint, wanted, self.dense) or self.example
        return widths

    @cached_property
    def _shared(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(id for axis in self.joint for id in axis.repeats))  # in one order in every process


def aligned_levels(graph: Graph, target: Target, *, repair: str = "down") -> Levels:
    """Widths of whole units, never below one unit. A pinned group has its own width only.

    A side stays outside the reach of pruning, and is reported so, where it carries channels that must not be cut (the
    image, the class outputs), where whole groups of filters go (their inner width stays), or where the group is narrower
    than one unit. On an axis that several groups share (a concat) their sum counts.

    With `repair="up"` a group whose own width fills no units may also have the next width above it, made up with zeros.
    """
    units = _Units(target)
    layers = {layer.name: layer for layer in graph.layers}
    owners = _owners(graph)
    fixed = {(ly.name, side) for ly in graph.layers for side in SIDES if _stays(ly, side, owners, units)}
    widths: dict[str, Widths] = {}
    shared: dict[Axis, None] = {}
    wider = _widenable(graph) if repair == "up" else frozenset()
    for group in graph.groups:
        if group.pinned:
            widths[group.id] = np.array([group.width])
            continue
        feasible = np.arange(1, group.width + (REACH if group.id in wider else 0) + 1)
        for axis, repeats in _axes_to_align(group, fixed):
            if len(owners[axis]) > 1:
                shared[axis] = None
                continue
            fits = units.fits(layers[axis[0]], axis[1], feasible * repeats)
            if fits.any():
                feasible = feasible[fits]
            else:
                fixed.add(axis)
        widths[group.id] = _up_to(group.width, feasible)
    axes = [_joint(axis, layers[axis[0]], owners[axis], widths, units) for axis in shared if axis not in fixed]
    dense = {g.id: g.width for g in graph.groups}
    joint, unreachable, example = _together(axes, widths, dense)
    return Levels(widths=widths, dense=dense, joint=joint, example=example, fixed=_by_layer(fixed | unreachable))


def _owners(graph: Graph) -> dict[Axis, list[tuple[ChannelGroup, int]]]:
    """The groups on each axis, and how many places a channel of theirs has there."""
    owners: dict[Axis, list[tuple[ChannelGroup, int]]] = defaultdict(list)
    for group in graph.groups:
        for member in group.members:
            owners[member.layer, member.side].append((group, member.repeats))
    return owners


def _axes_to_align(group: ChannelGroup, fixed: Collection[Axis]) -> list[tuple[Axis, int]]:
    """A group's axes within reach, and its repeats there.

    Producers first: where a narrow group cannot serve every axis, the filters themselves are aligned.
    """
    members = sorted(group.members, key=lambda m: m.side == "in")
    return [((m.layer, m.side), m.repeats) for m in members if (m.layer, m.side) not in fixed]


def _up_to(width: int, feasible: Widths) -> Widths:
    """The widths up to a group's own; where that one is not among them, the next above it too."""
    below = int(np.searchsorted(feasible, width, side="right"))
    aligned = below > 0 and feasible[below - 1] == width
    return feasible[: below if aligned else below + 1]


def _by_layer(axes: Iterable[Axis]) -> dict[str, frozenset[Side]]:
    sides: dict[str, set[Side]] = defaultdict(set)
    for name, side in axes:
        sides[name].add(side)
    return {name: frozenset(layer_sides) for name, layer_sides in sides.items()}


def free_levels(graph: Graph) -> Levels:
    """Every width from one channel up: general pruning, which knows no hardware."""
    widths = {g.id: np.arange(g.width if g.pinned else 1, g.width + 1) for g in graph.groups}
    return Levels(widths=widths, dense={g.id: g.width for g in graph.groups}, example={}, fixed={})


def _widenable(graph: Graph) -> frozenset[str]:
    """The groups that channels of zeros may join.

    Nothing may depend on how many channels there are, each sum must weigh them, and what comes behind them must do so
    everywhere.
    """
    counted = np.zeros(graph.channels + 1, dtype=np.bool_)  # FIXED is the last one
    for contraction in graph.contractions:
        if not contraction.by_weight:
            for place in (*contraction.inputs, *contraction.outputs):
                counted[graph.numbered[place.ids]] = True
    for axis in (*(positions.channels for positions in graph.positions), *graph.turned):
        counted[axis] = True
    return frozenset(g.id for g in graph.groups if not counted[g.channels].any())


class _Units:
    """The unit of each side of a layer at each width."""

    def __init__(self, target: Target) -> None:
        self.target, self.varies = target, bool(target.active.rules)
        self.known: dict[tuple[object, ...], int] = {}

    def at(self, layer: Layer, side: Side, width: int) -> int:
        """The multiple that the whole side must be: where groups are narrowed alike, a unit for each."""
        key = (layer.kind, layer.kernel, layer.groups, side, width if self.varies else 0, layer.c_in, layer.c_out)
        unit = self.known.get(key)
        if unit is None:
            units = self.target.units(layer, **{"c_in" if side == "in" else "c_out": width})
            unit = units.input if side == "in" else units.output
            unit *= 1 if layer.kind == "depthwise" else layer.groups
            self.known[key] = unit
        return unit

    def fits(self, layer: Layer, side: Side, sizes: Widths) -> npt.NDArray[np.bool_]:
        if self.varies:
            return np.array([size % self.at(layer, side, size) == 0 for size in sizes.tolist()])
        fitting: npt.NDArray[np.bool_] = sizes % self.at(layer, side, 0) == 0
        return fitting


def _stays(layer: Layer, side: Side, owners: Mapping[Axis, list[tuple[ChannelGroup, int]]], units: _Units) -> bool:
    """Whether no cut can align a side: nothing on it may be cut, or what must stay there is misaligned."""
    size = layer.c_in if side == "in" else layer.c_out
    free = sum(repeats * group.width for group, repeats in owners[layer.name, side] if not group.pinned)
    if free == 0 or (layer.drops_groups and layer.kind != "depthwise"):
        return True
    return (size - free) % units.at(layer, side, size) != 0


def _joint(
    axis: Axis,
    layer: Layer,
    owners: list[tuple[ChannelGroup, int]],
    widths: Mapping[str, Widths],
    units: _Units,
) -> JointAxis:
    size = layer.c_in if axis[1] == "in" else layer.c_out
    free = {group.id: repeats for group, repeats in owners if not group.pinned}
    rest = size - sum(group.width * repeats for group, repeats in owners if not group.pinned)
    widest = rest + sum(
        repeats * int(widths[id][-1]) for id, repeats in free.items()
    )  # where units grow with the width
    return JointAxis(layer=axis[0], side=axis[1], unit=units.at(layer, axis[1], widest), rest=rest, repeats=free)


def _together(
    axes: list[JointAxis], widths: dict[str, Widths], dense: Mapping[str, int]
) -> tuple[tuple[JointAxis, ...], set[Axis], dict[str, int]]:
    """Shared axes: those that only sums align, those out of reach, and widths that align the former.

    Where every group of a component can fill the units of its shared axes alone, its levels (in `widths`) are made so:
    nothing is left to be weighed. Elsewhere the sums count.
    """
    joint: list[JointAxis] = []
    for component in _components(axes):
        alone = {id: widths[id] for axis in component for id in axis.repeats}
        for axis in component:
            for id, repeats in axis.repeats.items():
                alone[id] = alone[id][alone[id] * repeats % axis.unit == 0]
        if all(len(levels) for levels in alone.values()):
            widths.update(alone)
        else:
            joint += component
    if not joint:
        return (), set(), {}
    shared = {id: widths[id] for axis in joint for id in axis.repeats}
    full = {id: float(levels[-1]) for id, levels in shared.items()}
    example = settled(shared, joint, full, dense, lenient=True) or {id: int(width) for id, width in full.items()}
    return (
        tuple(axis for axis in joint if axis.holds(example)),
        {(axis.layer, axis.side) for axis in joint if not axis.holds(example)},
        example,
    )


def _components(axes: list[JointAxis]) -> list[list[JointAxis]]:
    """Axes that share groups, directly or through others."""
    number = {id: i for i, id in enumerate(dict.fromkeys(id for axis in axes for id in axis.repeats))}
    pairs = [(number[next(iter(axis.repeats))], number[id]) for axis in axes for id in axis.repeats]
    if not pairs:
        return []
    links = coo_array((np.ones(len(pairs)), tuple(zip(*pairs, strict=True))), shape=(len(number), len(number)))
    label = connected_components(links, directed=False)[1]
    components: dict[int, list[JointAxis]] = defaultdict(list)
    for axis in axes:
        components[int(label[number[next(iter(axis.repeats))]])].append(axis)
    return list(components.values())
