"""Where memory binds: the layer and the maps that no choice of widths makes smaller, and what would help."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from padless.cost.memory import value_bytes
from padless.graph import Graph
from padless.graph.liveness import Moment, moments
from padless.hardware import Target

LISTED = 4  # maps, the largest first


@dataclass(frozen=True, slots=True)
class _Map:
    """A tensor that lives at the moment that binds, in the narrowest network."""

    maker: str  # the module that writes it, or the input
    shape: tuple[int, ...]  # without the batch
    bytes: int
    stays: tuple[str, ...]  # groups of its channels that must stay, with their reasons

    def __str__(self) -> str:
        return f"{'x'.join(map(str, self.shape))} of {self.maker} ({self.bytes:,} bytes)"


def tightest(graph: Graph, widths: Mapping[str, int], target: Target) -> str:
    """Which layer needs most memory where each group has its width of `widths`, by live ranges, and what would help."""
    lives = [(moment, _maps(graph, moment, widths, target)) for moment in moments(graph)]
    moment, maps = max(lives, key=lambda pair: sum(each.bytes for each in pair[1]))
    largest = sorted(maps, key=lambda each: -each.bytes)
    more = f" and {len(largest) - LISTED} smaller ones" if len(largest) > LISTED else ""
    total = sum(each.bytes for each in maps)
    where = "the input" if moment.where == "input" else f"layer {moment.where}"
    return (
        f"At their narrowest, {where} binds with {total:,} bytes of activations (by live ranges): the maps "
        f"{', '.join(map(str, largest[:LISTED]))}{more} are there at once. {_help(largest, target)}"
    )


def _maps(graph: Graph, moment: Moment, widths: Mapping[str, int], target: Target) -> list[_Map]:
    makers = {value: op for op in graph.recording.ops for value in op.outputs}
    left = np.ones(graph.channels + 1, dtype=np.int64)  # FIXED is the last one, and stays
    for group in graph.groups:
        left[group.first + min(widths[group.id], group.width) : group.first + group.width] = 0
    maps = []
    for value in moment.values:
        shape = list(graph.recording.shape(value))
        axis, count, stays = graph.values.get(value), None, tuple[str, ...]()
        if axis is not None:
            count = np.array(left[axis.channels].sum())
            shape[axis.axis] = int(count)
            stays = tuple(
                f"{group.id} ({group.pinned})"
                for group in graph.groups
                if group.pinned and np.isin(axis.channels, np.arange(group.first, group.first + group.width)).any()
            )
        maker = makers[value].module or makers[value].name if value in makers else "the input"
        maps.append(_Map(maker, tuple(shape[1:]), int(value_bytes(graph, value, target, count)), stays))
    return maps


def _help(maps: list[_Map], target: Target) -> str:
    """The next steps, those that change the network last."""
    ways = []
    if target.block > 1:
        ways.append(f"The target stores channels in blocks of {target.block}: fewer than that save nothing.")
    stays = dict.fromkeys(reason for each in maps for reason in each.stays)
    if stays:
        ways.append(f"Channels that stay: {', '.join(list(stays)[:2])}.")
    ways.append("A smaller input, or a stride or a pool before that layer, makes these maps smaller.")
    return " ".join(ways)
