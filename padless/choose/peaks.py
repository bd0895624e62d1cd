"""Choosing levels within several budgets, those on a peak among them.

A peak is the most of many sums, one for each moment of a run. Few of them bind: a choice is made with those that were seen
to, and made again with the one that it exceeds most, until it exceeds none. What is left out can only loosen the
problem, so the bound holds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from padless.choose.budget import PEAKS, Budget
from padless.choose.tables import Tables
from padless.choose.treated import variable
from padless.importance import Importance
from padless.optimise.buckets import Array, Factor, Pick, sum_at
from padless.optimise.problem import Ladder, Problem, Solution, with_tolerance

Method = Callable[[Problem, float], Solution]
WidthsAt = Callable[[float], Mapping[str, int]]  # by the share of channels that go


def problem_of(
    tables: Tables, importance: Importance, budgets: Sequence[Budget], ladders: Sequence[WidthsAt] = ()
) -> Problem:
    """The choice of levels, without limits yet. A budget on a peak is there with its largest moment.

    `ladders` are simple ways to narrow the network, from a ratio to widths; each width becomes the nearest level.
    """
    widest = {v: size - 1 for v, size in tables.sizes.items()}
    largest = max(tables.peaks, key=lambda moment: sum_at(moment, widest), default=())
    return Problem(
        sizes=tables.sizes,
        value={
            **{id: importance.worth(id, widths) for id, widths in tables.widths.items()},
            **{variable(layer): importance.worth_treated(layer, all) for layer, all in tables.treatments.items()},
        },
        costs=[largest if budget.quantity in PEAKS else tables.costs[budget.counted] for budget in budgets],
        limits=[np.inf] * len(budgets),
        hard=tables.hard,
        ladders=[_on_levels(tables, ladder) for ladder in ladders],
    )


def _on_levels(tables: Tables, widths_at: WidthsAt) -> Ladder:
    def levels(ratio: float) -> Pick:
        wanted = widths_at(ratio)
        untreated = {variable(layer): len(all) - 1 for layer, all in tables.treatments.items()}
        return {id: int(np.abs(widths - wanted[id]).argmin()) for id, widths in tables.widths.items()} | untreated

    return levels


class Chooser:
    """The best levels within limits by a method, and what they cost."""

    def __init__(
        self,
        tables: Tables,
        importance: Importance,
        budgets: Sequence[Budget],
        method: Method,
        time_limit: float,
        ladders: Sequence[WidthsAt] = (),
    ) -> None:
        self.problem = problem_of(tables, importance, budgets, ladders)
        self.tables, self.method, self.time_limit = tables, method, time_limit
        self.peaks = [k for k, budget in enumerate(budgets) if budget.quantity in PEAKS]
        self.more: list[tuple[int, tuple[Factor, ...]]] = []  # a budget and another of its moments

    def choose(self, limits: Sequence[float]) -> Solution:
        """The best within `limits`. `blame` is the place of a budget."""
        owners = [*range(len(limits)), *(k for k, _ in self.more)]
        costs = [*self.problem.costs, *(moment for _, moment in self.more)]
        while True:
            problem = replace(self.problem, costs=costs, limits=[limits[k] for k in owners])
            solution = self.method(problem, self.time_limit)
            if not solution.pick:
                return solution if solution.blame is None else replace(solution, blame=owners[solution.blame])
            exceeded = self._exceeded(solution.pick, limits)
            if exceeded is None or any(known is exceeded[1] for known in costs):  # a solver's tolerance
                return solution
            self.more.append(exceeded)
            owners.append(exceeded[0])
            costs.append(exceeded[1])

    def spent(self, pick: Pick) -> Array:
        """The tables' total for each budget."""
        totals = self.problem.spent(pick)
        for k in self.peaks:
            totals[k] = max(sum_at(moment, pick) for moment in self.tables.peaks)
        return totals

    def _exceeded(self, pick: Pick, limits: Sequence[float]) -> tuple[int, tuple[Factor, ...]] | None:
        for k in self.peaks:
            worst = max(self.tables.peaks, key=lambda moment: sum_at(moment, pick))
            if sum_at(worst, pick) > with_tolerance(float(limits[k])):
                return k, worst
        return None
