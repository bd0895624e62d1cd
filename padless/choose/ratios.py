"""How many channels each group keeps, without prices: `uniform` and `global`, and the search for the ratio.

Both turn one ratio into widths. Given the feasible widths of the target they are NPU-aware; given every width they are
general pruning, the baseline of Lee et al. (ICEIC 2023).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from padless.align.levels import Levels
from padless.choose.allocation import Allocation
from padless.choose.budget import Budget, amount
from padless.cost import NetworkCost
from padless.errors import InfeasibleError
from padless.graph import Graph
from padless.importance import Importance

Ratio = Callable[[Graph, Importance, Levels, float], dict[str, int]]

# A threshold over all layers can starve one of them, and no recovery brings back a layer without channels.
FLOOR = 0.1


def uniform(graph: Graph, importance: Importance, levels: Levels, ratio: float) -> dict[str, int]:
    """Every group keeps the same share, 1 - ratio, of its channels (to the nearest allowed width)."""
    return levels.settle({g.id: (1 - ratio) * g.width for g in graph.groups})


def global_threshold(graph: Graph, importance: Importance, levels: Levels, ratio: float) -> dict[str, int]:
    """One threshold over the whole network: the `ratio` least important of all channels go.

    Scores are taken relative to their group's mean, unless all groups have one unit. A group keeps at least a tenth of
    its channels. Each count then moves to the nearest allowed width.
    """
    scores = {}
    for group in graph.groups:
        curve = importance.curves[group.id]
        gains = np.diff(curve.kept)
        scores[group.id] = gains if importance.comparable else gains * group.width
    ordered = np.sort(np.concatenate([scores[g.id] for g in graph.groups if not g.pinned]))
    threshold = np.append(ordered, np.inf)[round(ratio * len(ordered))]
    kept = {g.id: int((scores[g.id] >= threshold).sum()) for g in graph.groups}
    return levels.settle({g.id: max(kept[g.id], FLOOR * g.width) for g in graph.groups})


RATIOS: dict[str, Ratio] = {"uniform": uniform, "global": global_threshold}


def mildest(
    budgets: Sequence[Budget],
    dense: NetworkCost,
    widths_at: Callable[[float], dict[str, int]],
    price: Callable[[dict[str, int]], NetworkCost],
    way_out: str = "",
) -> Allocation:
    """The least ratio whose widths meet the budgets, by bisection; each set of widths is priced once.

    A compiler's cost is not quite monotone in the ratio, so the answer is the mildest cut seen that meets the budget.

    Raises InfeasibleError when even the narrowest widths cost more; `way_out` ends its message.
    """
    limits = [budget.limit(dense) for budget in budgets]
    priced: dict[tuple[int, ...], NetworkCost] = {}

    def attempt(ratio: float) -> Allocation:
        widths = widths_at(ratio)
        key = tuple(widths.values())
        if key not in priced:
            priced[key] = price(widths)
        return Allocation(widths=widths, cost=priced[key], ratio=ratio)

    def met(allocation: Allocation) -> bool:
        return all(budget.of(allocation.cost) <= limit for budget, limit in zip(budgets, limits, strict=True))

    low, high = 0.0, 1.0
    mild = attempt(low)
    if met(mild):
        return mild
    severe = attempt(high)
    if not met(severe):
        raise _out_of_reach(budgets, limits, severe, dense, way_out)
    while high - low > 1e-3 and mild.widths != severe.widths:
        ratio = (low + high) / 2
        middle = attempt(ratio)
        if met(middle):
            high, severe = ratio, middle
        else:
            low, mild = ratio, middle
    return replace(severe, milder=mild.cost)


def _out_of_reach(
    budgets: Sequence[Budget], limits: Sequence[float], narrowest: Allocation, dense: NetworkCost, way_out: str
) -> InfeasibleError:
    totals = dense.totals()
    least, limit, budget = next(
        (budget.of(narrowest.cost), limit, budget)
        for budget, limit in zip(budgets, limits, strict=True)
        if budget.of(narrowest.cost) > limit
    )
    return InfeasibleError(
        f"The budget {budget} asks for at most {amount(budget, math.floor(limit), totals)}; the narrowest network "
        f"that this target and allocation allow costs {amount(budget, least, totals)} "
        f"({100 * least / budget.of(dense):.1f} % of dense). {way_out}".rstrip(),
        budget.quantity,
    )
