"""The widths nearest to wanted ones at which all sums fill units: exactly, or by a small integer program."""

from collections.abc import Mapping, Sequence

import numpy as np
import scipy  # its parts are imported at their first use: they take a second

from padless.align.joint import JointAxis, periods
from padless.align.sums import Costs, Ints, cheapest

Places = Mapping[str, tuple[int, Ints]]  # a group's first variable, and its levels
# The best that was found by then is taken. Nodes are counted, so that a busy machine answers the same; seconds are for
# programs so large that a node takes one.
NODES, SECONDS = 100, 60.0


def settled(
    levels: Mapping[str, Ints],
    axes: Sequence[JointAxis],
    wanted: Mapping[str, float],
    dense: Mapping[str, int],
    *,
    lenient: bool = False,
) -> dict[str, int] | None:
    """The widths nearest to the wanted ones (least sum of relative differences) at which every axis fills whole units.

    With `lenient` an axis may stay misaligned, at a price above any difference, so that the others are aligned all the
    same. Exact but where the axes are so entangled that an integer program is left, which takes the best of its first
    nodes. None where no widths do, or none are found within those.
    """
    # Of the levels that leave as much over on every axis only the nearest to what is wanted can be the best.
    period = periods(axes)
    levels = {id: _nearest(allowed, wanted[id], dense[id], period.get(id, 1)) for id, allowed in levels.items()}
    far = {id: np.abs(np.minimum(allowed, dense[id]) - wanted[id]) / dense[id] for id, allowed in levels.items()}
    price = 4.0 * len(levels) if lenient else np.inf
    best = cheapest(levels, axes, far, price)
    return _by_program(levels, axes, far, price) if best is None else best or None


def _nearest(levels: Ints, wanted: float, dense: int, period: int) -> Ints:
    """Of the levels that leave as much over the nearest to the wanted width, of two the wider."""
    order = np.lexsort((-levels, np.abs(np.minimum(levels, dense) - wanted)))
    _, first = np.unique(levels[order] % period, return_index=True)
    return np.sort(levels[order][first])


def _by_program(
    levels: Mapping[str, Ints], axes: Sequence[JointAxis], far: Mapping[str, Costs], price: float
) -> dict[str, int] | None:
    """The same by an integer program: one binary variable a level, one count of units an axis."""
    lenient = bool(np.isfinite(price))
    starts = np.cumsum([0] + [len(allowed) for allowed in levels.values()])
    at = {id: (int(start), allowed) for start, (id, allowed) in zip(starts[:-1], levels.items(), strict=True)}
    binaries = int(starts[-1])
    cost = np.concatenate(
        [*far.values(), np.zeros(len(axes)), *([np.zeros(len(axes)), np.full(len(axes), price)] if lenient else [])]
    )
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
