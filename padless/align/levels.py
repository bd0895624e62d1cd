"""The widths that groups of channels may have: those at which every axis they take part in fills whole units."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import gcd, lcm

import numpy as np

from padless.align.joint import JointAxis, components, differences
from padless.align.settle import settled
from padless.align.shared import Axis, joint_axis, together
from padless.align.units import Units, Widths
from padless.cut.branches import NONE, Branches
from padless.graph import ChannelGroup, Graph, Layer
from padless.graph.structure import SIDES, Side
from padless.hardware import Target, round_up

Owners = Mapping[Axis, list[tuple[ChannelGroup, int]]]
FINEST = 16  # multiples of a unit that a compiler prices
REACH = 256  # how far above its own width a group's next level may lie


@dataclass(frozen=True, kw_only=True, eq=False)
class Levels:
    """Per group its feasible widths, ascending; axes that are only aligned together; per layer the sides out of reach."""

    widths: Mapping[str, Widths]
    dense: Mapping[str, int]  # a width above it is made up with zeros
    joint: tuple[JointAxis, ...] = ()
    example: Mapping[str, int]  # widths of the groups on joint axes that align them all
    fixed: Mapping[str, frozenset[Side]]
    priced: bool = False  # whether those that a larger one undercuts in the tables are to go
    branches: Branches = NONE  # the groups that may also have no channel at all

    def settle(self, wanted: Mapping[str, float]) -> dict[str, int]:
        """Feasible widths near the wanted ones: for each group the nearest, of two the wider.

        Groups that share an axis which only their sum can align are settled together.
        """
        widths = {}
        for id, levels in self.widths.items():
            far = np.abs(np.minimum(levels, self.dense[id])[::-1] - wanted[id])
            widths[id] = int(levels[::-1][np.argmin(far)])
        for axes in self._apart:
            if any(not axis.holds(widths) for axis in axes):
                shared = dict.fromkeys(id for axis in axes for id in axis.repeats)  # in one order in every process
                near = settled({id: self.widths[id] for id in shared}, axes, wanted, self.dense)
                widths |= near or {id: self.example[id] for id in shared}
        return widths

    @cached_property
    def _apart(self) -> list[list[JointAxis]]:
        """The joint axes, those that share no group apart."""
        return [differences(axes) for axes in components(self.joint)]


def aligned_levels(graph: Graph, target: Target, *, repair: str = "down") -> Levels:
    """Widths of whole units, never below one unit. A pinned group has its own width only.

    Where a part of an axis must stay and fills no units, the free part makes up for it: both together are whole units. A
    side stays outside the reach of pruning, and is reported so, where nothing on it may be cut (the class outputs), where
    whole groups of filters go (their inner width stays), where no width of the free part will do, or only one that
    misaligns other sides. On an axis that several groups share (a concat) their sum counts.

    With `repair="up"` a group whose own width fills no units may also have the next width above it, made up with zeros.
    """
    axes = _Axes(graph, target)
    fixed = set(axes.staying)
    widths: dict[str, Widths] = {}
    wider = _widenable(graph) if repair == "up" else frozenset()
    for group in graph.groups:
        if group.pinned:
            widths[group.id] = np.array([group.width])
            continue
        widest = group.width + (REACH if group.id in wider else 0)
        feasible, unmet = axes.filling(group, np.arange(1, widest + 1))
        fixed |= unmet
        widths[group.id] = _up_to(group.width, feasible)
    joint_axes = [joint_axis(axis, axes.layers[axis[0]], axes.owners[axis], widths, axes.units) for axis in axes.shared]
    dense = {g.id: g.width for g in graph.groups}
    joint, unreachable, example = together(joint_axes, widths, dense)
    return Levels(widths=widths, dense=dense, joint=joint, example=example, fixed=_by_layer(fixed | unreachable))


def priced_levels(graph: Graph, target: Target, *, repair: str = "down") -> Levels:
    """Widths for a compiler to price: whole units of the outputs that are computed at once, whatever the inputs' units.

    What a width costs the layers that read it, the compiler's tables say; those that a larger one undercuts go there. A
    group has its width and at most `FINEST` multiples of its outputs' unit, or of that doubled, and the few below. Where
    several groups share an axis (a concat) or a part of it must stay, and on targets that reject what fills no units, the
    units hold as they do for `aligned_levels`, of which `repair` is too.
    """
    aligned = aligned_levels(graph, target, repair=repair)
    if target.active.misfit == "reject":
        return replace(aligned, priced=True)
    axes = _Axes(graph, target)
    wider = _widenable(graph) if repair == "up" else frozenset()
    bound = {group.id for axis in (*axes.shared, *axes.misfit) for group, _ in axes.owners[axis]}
    widths = dict(aligned.widths)
    for group in graph.groups:
        if group.pinned is None and group.id not in bound:
            widths[group.id] = _grid(group.width, axes.output_step(group), up=group.id in wider)
    return replace(aligned, widths=widths, priced=True)


def _grid(width: int, step: int, *, up: bool) -> Widths:
    """Some multiples of `step` up to `width`, that itself, and with `up` the next above it."""
    coarse = step
    while width // coarse > FINEST:
        coarse *= 2
    finer = [step << k for k in range((coarse // step).bit_length())]
    levels = {*range(coarse, width + 1, coarse), *(n for n in finer if n < width), width}
    return np.array(sorted(levels | ({round_up(width, step)} if up else set())))


class _Axes:
    """Which groups lie on each side of each layer, and what of it stays."""

    def __init__(self, graph: Graph, target: Target) -> None:
        self.units = Units(target)
        self.layers = {layer.name: layer for layer in graph.layers}
        self.owners = _owners(graph)
        self.staying = {(ly.name, side) for ly in graph.layers for side in SIDES if _stays(ly, side, self.owners)}
        self.rest: dict[Axis, int] = {}
        self.misfit: set[Axis] = set()  # where what must stay fills no units
        for name, side in self.owners:
            layer = self.layers[name]
            size = layer.c_in if side == "in" else layer.c_out
            free = [(group.width, repeats) for group, repeats in self.owners[name, side] if not group.pinned]
            rest = self.rest[name, side] = size - sum(width * repeats for width, repeats in free)
            if rest % self.units.at(layer, side, size):
                self.misfit.add((name, side))
        reached = (axis for group in graph.groups if not group.pinned for axis, _ in self.of(group))
        self.shared = dict.fromkeys(axis for axis in reached if self._is_shared(axis))

    def _is_shared(self, axis: Axis) -> bool:
        """Whether groups on it are weighed together; one free group that makes up for the others is not."""
        free = sum(not group.pinned for group, _ in self.owners[axis])
        return free > 1 or (len(self.owners[axis]) > 1 and axis not in self.misfit)

    def of(self, group: ChannelGroup) -> list[tuple[Axis, int]]:
        """A group's axes within reach, and its repeats there.

        Producers first: where a narrow group cannot serve every axis, the filters themselves are aligned.
        """
        members = sorted(group.members, key=lambda m: m.side == "in")
        return [((m.layer, m.side), m.repeats) for m in members if (m.layer, m.side) not in self.staying]

    def output_step(self, group: ChannelGroup) -> int:
        """What the layers that write a group compute at once: its width is wasted on them unless it is a multiple."""
        step = 1
        for axis, repeats in self.of(group):
            layer = self.layers[axis[0]]
            if axis[1] == "out" or layer.kind == "depthwise":
                unit = self.units.at(layer, axis[1], layer.c_in if axis[1] == "in" else layer.c_out)
                step = lcm(step, unit // gcd(unit, repeats))
        return step

    def filling(self, group: ChannelGroup, widths: Widths) -> tuple[Widths, set[Axis]]:
        """Those of `widths` that fill the units of the axes that are the group's alone; axes that none of these fill.

        Where axes with a part that stays ask for other widths than those without, the ones with more MACs have their way.
        """
        alone = [(axis, repeats) for axis, repeats in self.of(group) if axis not in self.shared]
        by_misfit = sorted(alone, key=lambda place: place[0] in self.misfit)
        feasible, unmet = self._filling(by_misfit, widths)
        if unmet and any(axis in self.misfit for axis, _ in alone):
            others = self._filling(sorted(alone, key=lambda place: place[0] not in self.misfit), widths)
            if self._macs(others[1]) < self._macs(unmet):
                return others
        return feasible, unmet

    def _filling(self, axes: Iterable[tuple[Axis, int]], widths: Widths) -> tuple[Widths, set[Axis]]:
        unmet = set()
        for axis, repeats in axes:
            layer, side = self.layers[axis[0]], axis[1]
            fits = self.units.fits(layer, side, self.rest[axis] + widths * repeats)
            if fits.any():
                widths = widths[fits]
            else:
                unmet.add(axis)
        return widths, unmet

    def _macs(self, axes: Iterable[Axis]) -> int:
        return sum(self.layers[name].macs for name, _ in axes)


def _owners(graph: Graph) -> Owners:
    """The groups on each axis, and how many places a channel of theirs has there."""
    owners: dict[Axis, list[tuple[ChannelGroup, int]]] = defaultdict(list)
    for group in graph.groups:
        for member in group.members:
            owners[member.layer, member.side].append((group, member.repeats))
    return owners


def _stays(layer: Layer, side: Side, owners: Owners) -> bool:
    """Whether no cut can change a side: nothing on it may be cut, or whole groups of filters go."""
    if layer.drops_groups and layer.kind != "depthwise":
        return True
    return all(group.pinned for group, _ in owners.get((layer.name, side), ()))


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
