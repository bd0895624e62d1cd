"""What is asked of the optimiser, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from padless.optimise.buckets import Array, Factor, Pick, sum_at

Status = Literal["optimal", "time limit", "gap left", "infeasible"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """Choose a level for each variable: the most `value` with each sum of `costs` within its limit.

    `hard` are tables of 0 and +inf: combinations that are not allowed.
    """

    sizes: Mapping[str, int]
    value: Mapping[str, Array]
    costs: Sequence[Sequence[Factor]]
    limits: Sequence[float]
    hard: Sequence[Factor] = ()

    def worth(self, pick: Pick) -> float:
        return float(sum(values[pick[v]] for v, values in self.value.items()))

    def spent(self, pick: Pick) -> Array:
        return np.array([sum_at(one, pick) for one in self.costs])

    def within(self, spent: Array) -> bool:
        return bool((spent <= np.array(self.limits) * (1 + 1e-12) + 1e-9).all())


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
