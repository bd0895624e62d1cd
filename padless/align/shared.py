"""Axes on which several groups lie: which of them each group can align alone, and which only their sum."""

from collections.abc import Mapping, Sequence

from padless.align.joint import JointAxis, components, periods
from padless.align.settle import settled
from padless.align.units import Units, Widths
from padless.graph import ChannelGroup, Layer
from padless.graph.structure import Side

Axis = tuple[str, Side]


def joint_axis(
    axis: Axis,
    layer: Layer,
    owners: list[tuple[ChannelGroup, int]],
    widths: Mapping[str, Widths],
    units: Units,
) -> JointAxis:
    size = layer.c_in if axis[1] == "in" else layer.c_out
    free = {group.id: repeats for group, repeats in owners if not group.pinned}
    rest = size - sum(group.width * repeats for group, repeats in owners if not group.pinned)
    widest = rest + sum(
        repeats * int(widths[id][-1]) for id, repeats in free.items()
    )  # where units grow with the width
    return JointAxis(layer=axis[0], side=axis[1], unit=units.at(layer, axis[1], widest), rest=rest, repeats=free)


def together(
    axes: list[JointAxis], widths: dict[str, Widths], dense: Mapping[str, int]
) -> tuple[tuple[JointAxis, ...], set[Axis], dict[str, int]]:
    """Shared axes: those that only sums align, those out of reach, and widths that align the former.

    Where every group of a component can fill the units of its shared axes alone, its levels (in `widths`) are made so:
    nothing is left to be weighed. So are those that make up for channels that must stay and fill no units. Elsewhere the
    sums count.
    """
    joint: list[JointAxis] = []
    unreachable: set[Axis] = set()
    for component in components(axes):
        shared = {id: widths[id] for axis in component for id in axis.repeats}
        if all(axis.rest % axis.unit == 0 for axis in component):
            alone = _in_class(component, shared, dict.fromkeys(shared, 0))
        else:
            alone, missed = _making_up(component, shared, dense)
            unreachable |= missed if alone else set()
        if alone:
            widths.update(alone)
        else:
            joint += component
    example: dict[str, int] = {}
    for component in components(joint):
        example |= _most_aligned(component, widths, dense)
    return (
        tuple(axis for axis in joint if axis.holds(example)),
        unreachable | {(axis.layer, axis.side) for axis in joint if not axis.holds(example)},
        example,
    )


def _most_aligned(
    component: Sequence[JointAxis], widths: Mapping[str, Widths], dense: Mapping[str, int]
) -> dict[str, int]:
    """Widths that align as many of the axes as any that are found, the nearest to the widest.

    The widest themselves where they align as many: of two choices that are as good a program may find either, and what is
    aligned as it is must not be told to be misaligned.
    """
    shared = {id: widths[id] for axis in component for id in axis.repeats}
    widest = {id: int(levels[-1]) for id, levels in shared.items()}
    found = settled(shared, component, {id: float(w) for id, w in widest.items()}, dense, lenient=True) or widest
    as_they_are, settled_for = (sum(axis.holds(each) for axis in component) for each in (widest, found))
    return widest if as_they_are >= settled_for else found


def _in_class(
    component: Sequence[JointAxis], levels: Mapping[str, Widths], like: Mapping[str, int]
) -> dict[str, Widths]:
    """The levels that leave what `like` leaves over on every axis; empty where a group has none."""
    left = dict(levels)
    for axis in component:
        for id, repeats in axis.repeats.items():
            left[id] = left[id][(left[id] - like[id]) * repeats % axis.unit == 0]
    return left if all(len(widths) for widths in left.values()) else {}


def _making_up(
    component: Sequence[JointAxis], levels: Mapping[str, Widths], dense: Mapping[str, int]
) -> tuple[dict[str, Widths], set[Axis]]:
    """Levels that make up for what stays on the axes and fills no units, and the axes where none do.

    One choice that aligns what can be aligned says what each group leaves over; all of a group's levels that leave as much
    do as well. Empty where a group is too narrow to lose nothing by that.
    """
    full = {id: float(widths[-1]) for id, widths in levels.items()}
    like = settled(levels, component, full, dense, lenient=True)
    if like is None or any(dense[id] < period for id, period in periods(component).items()):
        return {}, set()
    return _in_class(component, levels, like), {(a.layer, a.side) for a in component if not a.holds(like)}
