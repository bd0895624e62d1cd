"""The widths that a group of channels may have: those at which every axis it takes part in fills whole units."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from padless.graph import ChannelGroup, Graph, Layer
from padless.graph.structure import SIDES, Side
from padless.hardware import Target


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Levels:
    """Per group its feasible widths, ascending; per layer the sides that no cut can align."""

    widths: dict[str, npt.NDArray[np.int64]]
    fixed: dict[str, frozenset[Side]]


def aligned_levels(graph: Graph, target: Target) -> Levels:
    """Widths of whole units, never below one unit. A pinned group has its own width only.

    A side stays outside the reach of pruning, and is reported so, where it carries channels that must not be cut (the
    image, the class outputs), where its layer convolves groups of filters apart (cutting whole groups leaves their
    inner width), or where the group is narrower than one unit. On an axis shared by several groups (a concat) each is
    aligned by itself; widths that only fill units together are not looked for.
    """
    layers = {layer.name: layer for layer in graph.layers}
    fixed: dict[str, set[Side]] = defaultdict(set)
    owners: dict[tuple[str, Side], list[ChannelGroup]] = defaultdict(list)
    for group in graph.groups:
        for member in group.members:
            owners[member.layer, member.side].append(group)
    for layer in graph.layers:
        for side in SIDES:
            free = 0
            for group in owners[layer.name, side]:
                repeats = sum(m.repeats for m in group.members if (m.layer, m.side) == (layer.name, side))
                free += 0 if group.pinned else repeats * group.width
            size = layer.c_in if side == "in" else layer.c_out
            if free == 0 or layer.kind == "grouped" or (size - free) % _unit(target, layer, side, size):
                fixed[layer.name].add(side)
    widths: dict[str, npt.NDArray[np.int64]] = {}
    for group in graph.groups:
        feasible = np.arange(1, group.width + 1)
        if group.pinned:
            widths[group.id] = feasible[-1:]
            continue
        # Producers first: where a narrow group cannot serve every axis, the filters themselves are aligned.
        for member in sorted(group.members, key=lambda m: m.side == "in"):
            layer = layers[member.layer]
            if member.side in fixed[layer.name]:
                continue
            alone = len(owners[layer.name, member.side]) == 1
            size = layer.c_in if member.side == "in" else layer.c_out
            fits = np.array([
                w * member.repeats % _unit(target, layer, member.side, w * member.repeats if alone else size) == 0
                for w in feasible.tolist()
            ])  # fmt: skip
            if fits.any():
                feasible = feasible[fits]
            else:
                fixed[layer.name].add(member.side)
        widths[group.id] = feasible
    return Levels(widths=widths, fixed={name: frozenset(sides) for name, sides in fixed.items() if sides})


def free_levels(graph: Graph) -> dict[str, npt.NDArray[np.int64]]:
    """Every width from one channel up: general pruning, which knows no hardware."""
    return {g.id: np.arange(g.width if g.pinned else 1, g.width + 1) for g in graph.groups}


def _unit(target: Target, layer: Layer, side: Side, width: int) -> int:
    units = target.units(layer, c_in=width) if side == "in" else target.units(layer, c_out=width)
    return units.input if side == "in" else units.output
