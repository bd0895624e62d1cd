"""Widths whose sums fill units, the best of all: group by group, what every sum leaves over."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from padless.align.joint import JointAxis

Ints = npt.NDArray[np.int64]
Costs = npt.NDArray[np.float64]
STATES = 2_000  # ways to leave something over that are followed at once


def cheapest(
    levels: Mapping[str, Ints], axes: Sequence[JointAxis], costs: Mapping[str, Costs], price: float
) -> dict[str, int] | None:
    """Of each group the level, so that the costs, and `price` for each axis that fills no whole units, are least.

    A dynamic program over what the axes leave over. Behind each block of a dense network stand the groups of the block
    before and one more: of such nested sums all that are not complete leave over the same, so that a unit's worth of
    states is all there is. Empty where the least is infinite; None where the axes are so entangled that there are more
    than `STATES`.
    """
    order = list(dict.fromkeys(id for axis in sorted(axes, key=lambda axis: len(axis.repeats)) for id in axis.repeats))
    units = np.array([axis.unit for axis in axes], dtype=np.int64)
    last = np.array([max((order.index(id) for id in axis.repeats), default=-1) for axis in axes], dtype=np.int64)
    over = np.array([[axis.rest for axis in axes]], dtype=np.int64) % units
    least = _charged(np.zeros(1), over, last == -1, price)
    steps: list[tuple[Ints, Ints]] = []  # of each state that was kept the one before it, and the level that led to it
    for place, id in enumerate(order):
        repeats = np.array([axis.repeats.get(id, 0) for axis in axes], dtype=np.int64)
        now = (over[:, None] + np.outer(levels[id], repeats)[None]) % units
        cost = _charged(least[:, None] + costs[id][None], now, last == place, price).ravel()
        now = now.reshape(len(cost), len(axes))
        now[:, last <= place] = 0  # complete, and paid for
        kept = _cheapest_of_each(now[finite := np.flatnonzero(np.isfinite(cost))], cost[finite])
        if len(kept) > STATES:
            return None
        kept = finite[kept]
        over, least = now[kept], cost[kept]
        steps.append((kept // len(levels[id]), kept % len(levels[id])))
    if not np.isfinite(least).any():
        return {}
    chosen = {id: int(allowed[np.argmin(costs[id])]) for id, allowed in levels.items() if id not in order}
    state = 0  # all are complete
    for id, (before, level) in zip(reversed(order), reversed(steps), strict=True):
        chosen[id] = int(levels[id][level[state]])
        state = int(before[state])
    return {id: chosen[id] for id in levels}


def _charged(cost: Costs, over: Ints, complete: npt.NDArray[np.bool_], price: float) -> Costs:
    """The cost, and the price of each axis that is complete now and leaves something over."""
    misfits = (over[..., complete] != 0).sum(-1)
    return np.where(misfits > 0, cost + price * np.maximum(misfits, 1), cost)


def _cheapest_of_each(states: Ints, cost: Costs) -> Ints:
    """Where each distinct state stands at its least cost, the first of equal ones."""
    by_cost = np.argsort(cost, kind="stable")
    if states.shape[1] == 0:
        return by_cost[:1]
    first: Ints = np.unique(states[by_cost], axis=0, return_index=True)[1]
    return by_cost[first]
