"""Axes that only the sum of several groups can align, as behind a concatenation: a small integer program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from padless.graph.structure import Side

SECONDS = 5.0  # the best that was found by then is taken


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


def settled(
    levels: Mapping[str, npt.NDArray[np.int64]],
    axes: Sequence[JointAxis],
    wanted: Mapping[str, float],
    dense: Mapping[str, int],
    *,
    lenient: bool = False,
) -> dict[str, int] | None:
    """The widths nearest to the wanted ones (least sum of relative differences) at which every axis fills whole units.

    One binary variable a level, one count of units an axis. With `lenient` an axis may stay misaligned, at a price above
    any difference, so that the others are aligned all the same. None when there is nothing within the time.
    """
    ids = list(levels)
    starts = np.cumsum([0] + [len(levels[id]) for id in ids])
    binaries, n_axes = int(starts[-1]), len(axes)
    at = {id: (int(starts[i]), levels[id]) for i, id in enumerate(ids)}
    slack = 2 * n_axes if lenient else 0  # per axis what is over, and whether anything is
    cost = np.zeros(binaries + n_axes + slack)
    for id in ids:
        start, allowed = at[id]
        cost[start : start + len(allowed)] = np.abs(np.minimum(allowed, dense[id]) - wanted[id]) / dense[id]
    entries: list[tuple[int, int, float]] = []
    low, high = [1.0] * len(ids) + [float(-a.rest) for a in axes], [1.0] * len(ids) + [float(-a.rest) for a in axes]
    for row, id in enumerate(ids):
        start, allowed = at[id]
        entries += [(row, start + k, 1.0) for k in range(len(allowed))]
    for row, axis in enumerate(axes, start=len(ids)):
        for id, repeats in axis.repeats.items():
            start, allowed = at[id]
            entries += [(row, start + k, float(repeats * w)) for k, w in enumerate(allowed.tolist())]
        entries.append((row, binaries + row - len(ids), -float(axis.unit)))
    if lenient:
        cost[binaries + 2 * n_axes :] = 4.0 * len(ids)
        for i, axis in enumerate(axes):
            over, any_over = binaries + n_axes + i, binaries + 2 * n_axes + i
            entries += [(len(ids) + i, over, -1.0), (len(low), over, 1.0), (len(low), any_over, -float(axis.unit))]
            low.append(-np.inf)
            high.append(0.0)
    rows, columns, values = zip(*entries, strict=True)
    matrix = coo_array((values, (rows, columns)), shape=(len(low), len(cost))).tocsr()
    most = np.array([(a.rest + sum(r * levels[id][-1] for id, r in a.repeats.items())) // a.unit + 1 for a in axes])
    units = np.array([a.unit - 1 for a in axes])
    upper = np.concatenate([np.ones(binaries), most, *([units, np.ones(n_axes)] if lenient else [])])
    found = milp(
        cost,
        integrality=np.ones(len(cost)),
        bounds=Bounds(np.zeros(len(cost)), upper),
        constraints=LinearConstraint(matrix, low, high),
        options={"time_limit": SECONDS, "mip_rel_gap": 0.02},
    )
    if found.x is None:
        return None
    chosen = found.x[:binaries] > 0.5
    return {id: int(allowed[chosen[start : start + len(allowed)]][0]) for id, (start, allowed) in at.items()}
