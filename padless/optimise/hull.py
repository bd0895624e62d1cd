"""The best picks for every limit on one cost, as far as prices reach them: the corners of the concave front.

Where a limit lies between two corners, the slope of the line between them is the price of the cost there: the worth that one
unit more of it would buy (the dual value of Lagrangian relaxation). Corners are found from the two ends: the pick of most
worth at the slope of a line is a corner above it, or there is none (Aneja and Nair, Management Science 25, 1979).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from padless.optimise.buckets import Pick
from padless.optimise.moves import Moves
from padless.optimise.problem import Problem
from padless.optimise.search import pricer

MOST = 24  # corners that are looked for
NARROW = 0.03  # of the whole cost: lines around the limit are divided first until they are narrower
NONE = 1e-9  # of the whole worth: a corner that stands out by less is on the line


@dataclass(frozen=True, slots=True, kw_only=True)
class Corner:
    """A pick that no other beats in cost and worth, and these."""

    pick: Pick
    cost: float
    worth: float


def hull(problem: Problem, near: float, most: int = MOST) -> list[Corner]:
    """At most `most` corners, cheapest first: the ends, those around the cost `near`, then those that stand out most.

    Only the first cost counts, and no limit does. Where the problem is too entangled for exact prices, the corners are those
    of the picks that were found; none where an end is not.
    """
    cheapest, rounds = pricer(problem)
    others, moves = [0.0] * (len(problem.costs) - 1), Moves(problem)

    def corner(worth: float, price: float) -> Corner | None:
        pick = cheapest(worth, np.array([price, *others]))[1]
        if not moves.allowed(pick):  # where buckets were split
            return None
        return Corner(pick=pick, cost=float(problem.spent(pick)[0]), worth=problem.worth(pick))

    low, high = corner(0.0, 1.0), corner(1.0, 0.0)
    if low is None or high is None:
        return []
    whole_cost, whole_worth = high.cost - low.cost, high.worth - low.worth

    def next_one(line: tuple[Corner, Corner]) -> tuple[bool, float]:
        left, right = line
        wide = right.cost - left.cost > NARROW * whole_cost
        return wide and left.cost <= near <= right.cost, (right.cost - left.cost) * (right.worth - left.worth)

    corners, lines = [low, high], [(low, high)]
    while lines and len(corners) < min(most, rounds):
        lines.sort(key=next_one)
        left, right = lines.pop()
        if right.cost <= left.cost or right.worth <= left.worth:
            continue
        price = (right.worth - left.worth) / (right.cost - left.cost)
        between = corner(1.0, price)
        if between is None or not left.cost < between.cost < right.cost:
            continue
        if between.worth - left.worth - price * (between.cost - left.cost) > NONE * whole_worth:
            corners.append(between)
            lines += [(left, between), (between, right)]
    return _front(corners)


def price_at(corners: list[Corner], cost: float) -> float:
    """The worth that one unit of cost buys at `cost`: 0 above the last corner, that of the first line below it."""
    for left, right in pairwise(corners):
        if cost < right.cost:
            return (right.worth - left.worth) / (right.cost - left.cost)
    return 0.0


def _front(corners: list[Corner]) -> list[Corner]:
    """By rising cost, without those that another beats."""
    front: list[Corner] = []
    for corner in sorted(corners, key=lambda each: (each.cost, -each.worth)):
        if not front or corner.worth > front[-1].worth:
            front.append(corner)
    return front
