"""Axes that only the sum of several groups can align, as behind a concatenation: a small integer program."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy  # its parts are imported at their first use: they take a second

from padless.graph.structure import Side

Ints = npt.NDArray[np.int64]
Costs = npt.NDArray[np.float64]
Places = Mapping[str, tuple[int, Ints]]  # a group's first variable, and its levels
# The best that was found by then is taken. Nodes are counted, so that a busy machine answers the same; seconds are for
# programs so large that a node takes one.
NODES, SECONDS = 100, 60.0


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


def settled(
    levels: Mapping[str, Ints],
    axes: Sequence[JointAxis],
    wanted: Mapping[str, float],
    dense: Mapping[str, int],
    *,
    lenient: bool = False,
) -> dict[str, int] | None:
    """The widths nearest to the wanted ones (least sum of relative differences) at which every axis fills whole units.

    One binary variable a level, one count of units an axis. With `lenient` an axis may stay misaligned, at a price above
    any difference, so that the others are aligned all the same. None when nothing is found within the nodes.
    """
    starts = np.cumsum([0] + [len(allowed) for allowed in levels.values()])
    at = {id: (int(start), allowed) for start, (id, allowed) in zip(starts[:-1], levels.items(), strict=True)}
    binaries = int(starts[-1])
    cost = _costs(at, len(axes), wanted, dense, lenient=lenient)
    solution = scipy.optimize.milp(
        cost,
        integrality=np.ones(len(cost)),
        bounds=scipy.optimize.Bounds(np.zeros(len(cost)), _largest(levels, axes, binaries, lenient=lenient)),
        constraints=_constraint(at, axes, binaries, len(cost), lenient=lenient),
        options={"node_limit": NODES, "time_limit": SECONDS, "mip_rel_gap": 0.02},
    )
    if solution.x is None:
        return None
    chosen = solution.x[:binaries] > 0.5
    return {id: int(allowed[chosen[start : start + len(allowed)]][0]) for id, (start, allowed) in at.items()}


# The variables: a binary for each level of each group, the count of units of each axis, and where an axis may stay
# misaligned, how far each is over, then whether it is.


def _costs(at: Places, n_axes: int, wanted: Mapping[str, float], dense: Mapping[str, int], *, lenient: bool) -> Costs:
    binaries = sum(len(allowed) for _, allowed in at.values())
    cost = np.zeros(binaries + n_axes + (2 * n_axes if lenient else 0))
    for id, (start, allowed) in at.items():
        cost[start : start + len(allowed)] = np.abs(np.minimum(allowed, dense[id]) - wanted[id]) / dense[id]
    if lenient:
        cost[binaries + 2 * n_axes :] = 4.0 * len(at)
    return cost


def _largest(levels: Mapping[str, Ints], axes: Sequence[JointAxis], binaries: int, *, lenient: bool) -> Costs:
    """The most that each variable may be."""
    most = np.array([(a.rest + sum(r * levels[id][-1] for id, r in a.repeats.items())) // a.unit + 1 for a in axes])
    units = np.array([a.unit - 1 for a in axes])
    return np.concatenate([np.ones(binaries), most, *([units, np.ones(len(axes))] if lenient else [])])


def _constraint(
    at: Places, axes: Sequence[JointAxis], binaries: int, count: int, *, lenient: bool
) -> "scipy.optimize.LinearConstraint":
    """Each group has one level; each axis' sum is its units, and with `lenient` what is over."""
    entries: list[tuple[int, int, float]] = []
    low = [1.0] * len(at) + [float(-a.rest) for a in axes]
    high = list(low)
    for row, (start, allowed) in enumerate(at.values()):
        entries += [(row, start + k, 1.0) for k in range(len(allowed))]
    for row, axis in enumerate(axes, start=len(at)):
        for id, repeats in axis.repeats.items():
            start, allowed = at[id]
            entries += [(row, start + k, float(repeats * w)) for k, w in enumerate(allowed.tolist())]
        entries.append((row, binaries + row - len(at), -float(axis.unit)))
    if lenient:
        for i, axis in enumerate(axes):
            over, any_over = binaries + len(axes) + i, binaries + 2 * len(axes) + i
            entries += [(len(at) + i, over, -1.0), (len(low), over, 1.0), (len(low), any_over, -float(axis.unit))]
            low.append(-np.inf)
            high.append(0.0)
    rows, columns, values = zip(*entries, strict=True)
    matrix = scipy.sparse.coo_array((values, (rows, columns)), shape=(len(low), count)).tocsr()
    return scipy.optimize.LinearConstraint(matrix, low, high)
