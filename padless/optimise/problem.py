"""What is asked of the optimiser, and what it answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from padless.optimise.buckets import Array, Factor, Pick, sum_at

Ladder = Callable[[float], Pick]  # from 0, widest, to 1, narrowest: levels of the variables that have a value
_Limit = TypeVar("_Limit", float, Array)
Status = Literal["optimal", "time limit", "gap left", "infeasible"]


def with_tolerance(limit: _Limit) -> _Limit:
    """What a sum of costs may come to and still be within its limit: sums in another order round differently."""
    return limit * (1 + 1e-12) + 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """Choose a level for each variable: the most `value` with each sum of `costs` within its limit.

    `hard` are tables of 0 and +inf: combinations that are not allowed. `ladders` are simple ways down from the widest
    levels, to begin with where nothing is proven.
    """

    sizes: Mapping[str, int]
    value: Mapping[str, Array]
    costs: Sequence[Sequence[Factor]]
    limits: Sequence[float]
    hard: Sequence[Factor] = ()
    ladders: Sequence[Ladder] = ()

    def worth(self, pick: Pick) -> float:
        return float(sum(values[pick[v]] for v, values in self.value.items()))

    def factors(self) -> list[Factor]:
        """Every table of the costs, then the hard ones."""
        return [factor for cost in (*self.costs, self.hard) for factor in cost]

    def spent(self, pick: Pick) -> Array:
        return np.array([sum_at(cost, pick) for cost in self.costs])

    def within(self, spent: Array) -> bool:
        return bool((spent <= with_tolerance(np.array(self.limits))).all())


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """`gap` is (bound - objective) / objective: no answer within the budgets is better by more."""

    status: Status
    pick: Pick
    objective: float
    bound: float
    seconds: float
    name: str
    blame: int | None = None  # the budget that cannot be met, and the least that can be reached of it
    least: float | None = None

    @property
    def gap(self) -> float:
        return max(0.0, self.bound - self.objective) / max(abs(self.objective), 1e-300)
