"""Axes that only the sum of several groups can align, as behind a concatenation."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import gcd, lcm

import numpy as np
import scipy  # its parts are imported at their first use: they take a second

from padless.graph.structure import Side


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointAxis:
    """One axis: the sum of its groups' widths, each times its repeats, and of the channels that stay."""

    layer: str
    side: Side
    unit: int
    rest: int  # channels on it that must stay
    repeats: Mapping[str, int]  # of the groups that may be cut

    def holds(self, widths: Mapping[str, int]) -> bool:
        return (self.rest + sum(r * widths[id] for id, r in self.repeats.items())) % self.unit == 0


def components(axes: Sequence[JointAxis]) -> list[list[JointAxis]]:
    """Axes that share groups, directly or through others."""
    number = {id: i for i, id in enumerate(dict.fromkeys(id for axis in axes for id in axis.repeats))}
    pairs = [(number[next(iter(axis.repeats))], number[id]) for axis in axes for id in axis.repeats]
    if not pairs:
        return []
    links = scipy.sparse.coo_array(
        (np.ones(len(pairs)), tuple(zip(*pairs, strict=True))), shape=(len(number), len(number))
    )
    label = scipy.sparse.csgraph.connected_components(links, directed=False)[1]
    components: dict[int, list[JointAxis]] = defaultdict(list)
    for axis in axes:
        components[int(label[number[next(iter(axis.repeats))]])].append(axis)
    return list(components.values())


def differences(axes: Sequence[JointAxis]) -> list[JointAxis]:
    """Axes that hold for the same widths as `axes`, with fewer groups: less another axis that lies within them.

    Behind each block of a dense network stand all groups of the block before and a few more. The few fill units by
    themselves then, which a program of all of them finds out by trying.
    """
    fewer: list[JointAxis] = []
    for axis in sorted(axes, key=lambda axis: len(axis.repeats)):
        rest, repeats = axis.rest, dict(axis.repeats)
        for within in reversed(fewer):  # the longest first, as they were
            if within.unit % axis.unit == 0 and within.repeats.items() <= repeats.items():
                rest -= within.rest
                repeats = {id: r for id, r in repeats.items() if id not in within.repeats}
        if repeats or rest % axis.unit:  # without groups, one that never holds
            fewer.append(replace(axis, rest=rest % axis.unit, repeats=repeats))
    return fewer


def periods(axes: Sequence[JointAxis]) -> dict[str, int]:
    """How many channels more leave as much over on each axis of a group."""
    periods: dict[str, int] = {}
    for axis in axes:
        for id, repeats in axis.repeats.items():
            periods[id] = lcm(periods.get(id, 1), axis.unit // gcd(axis.unit, repeats))
    return periods
