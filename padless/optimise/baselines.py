"""How others choose widths, on the same tables and within the same budgets: baselines to compare `search` with."""

import time
from dataclasses import replace

import numpy as np

from padless.optimise.buckets import Factor, Pick
from padless.optimise.moves import Moves, greedy_pick
from padless.optimise.problem import Problem, Solution
from padless.optimise.search import solve

FITTED = 14  # halvings of the range in which the frozen knapsack's limit is raised


def greedy(problem: Problem, time_limit: float) -> Solution:
    """From full widths down, always the step that loses the least importance for the cost that it saves.

    Costs of several budgets count by the share of those that are not met yet. Steps that save nothing are not taken.
    """
    started = time.monotonic()
    pick = greedy_pick(Moves(problem))
    return _answer(problem, pick, started, "greedy by importance per cost")


def frozen_inputs(problem: Problem, time_limit: float) -> Solution:
    """A layer's cost counts by its output width alone, its inputs as wide as they are (the idea of HALP, NeurIPS 2022).

    Then each group has a cost of its own, and the choice is a knapsack, which is solved exactly here. Narrower inputs make
    its answer cheaper than it believes: its limits are raised by one factor as far as the true costs allow.
    """
    started = time.monotonic()
    limits = np.array(problem.limits)
    frozen = replace(problem, costs=[[_frozen(f) for f in cost] for cost in problem.costs])
    widest = {v: size - 1 for v, size in problem.sizes.items()}
    low, high = 1.0, max(2.0, float((frozen.spent(widest) / limits).max()))
    best = solve(frozen, time_limit)
    for _ in range(FITTED):
        middle = (low + high) / 2
        raised = solve(replace(frozen, limits=(middle * limits).tolist()), time_limit)
        met = bool(raised.pick) and problem.within(problem.spent(raised.pick))
        if met and (not best.pick or problem.worth(raised.pick) > problem.worth(best.pick)):
            best = raised
        low, high = (middle, high) if met or not raised.pick else (low, middle)
    pick = best.pick if best.pick and problem.within(problem.spent(best.pick)) else {}
    return _answer(problem, pick, started, "knapsack with frozen inputs")


def _frozen(factor: Factor) -> Factor:
    """A table of inputs and outputs, at the widest inputs."""
    if len(factor.scope) < 2:
        return factor
    return Factor(factor.scope[1:], factor.table[-1])


def _answer(problem: Problem, pick: Pick, started: float, name: str) -> Solution:
    objective = problem.worth(pick) if pick else -np.inf
    return Solution(
        status="gap left" if pick else "infeasible", pick=pick, objective=objective, bound=np.inf,
        seconds=time.monotonic() - started, name=name, blame=None if pick else 0,
    )  # fmt: skip
