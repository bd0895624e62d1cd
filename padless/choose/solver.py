"""The best levels under budgets, with a proof of how good they are.

Prices on the budgets make the problem a sum of small tables, which bucket elimination solves exactly (`factors`); the
prices' dual value bounds every answer within the budgets (Lagrangian relaxation: Geoffrion, Mathematical Programming
Study 2, 1974). What then remains between the best answer and the bound is closed: levels that the bound rules out are
dropped, the prices are found anew, and an integer program (HiGHS) ends the rest.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog

from padless.choose.factors import (
    Array,
    Factor,
    Pick,
    TooWideError,
    elimination_order,
    marginals,
    minimise,
    sum_at,
)
from padless.choose.program import integer_program

Status = Literal["optimal", "within tolerance", "time limit", "gap left", "infeasible"]
WIDEST = 5_000_000  # entries of a bucket
PRICES = 60  # rounds of finding prices, at most
CLOSED = 1e-9  # of the objective
RANGE = 1000.0  # of the objective inside: solvers' tolerances are absolute
LARGEST = 400_000  # table entries that an integer program is given


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


def solve(problem: Problem, time_limit: float = 10.0, tolerance: float = 0.0) -> Solution:
    """The best levels found within `time_limit` seconds, and the bound. Ends at a gap of `tolerance`.

    Deterministic, but for where the time runs out.
    """
    unit = sum(float(np.ptp(values)) for values in problem.value.values()) / RANGE or 1.0
    value = {v: values / unit for v, values in problem.value.items()}
    found = _solved(replace(problem, value=value), time_limit, tolerance)
    objective = problem.worth(found.pick) if found.pick else -np.inf
    return replace(found, objective=objective, bound=max(objective, found.bound * unit))


def _solved(problem: Problem, time_limit: float, tolerance: float) -> Solution:
    started = time.monotonic()
    try:
        search = _Search(problem, started + time_limit, tolerance)
    except TooWideError:
        return _program_alone(problem, started, time_limit)
    if (blamed := search.unreachable()) is not None:
        return Solution(
            status="infeasible", pick={}, objective=-np.inf, bound=-np.inf, seconds=time.monotonic() - started,
            name="Lagrangian prices", blame=blamed[0], least=blamed[1],
        )  # fmt: skip
    search.run()
    closed = search.bound - search.best <= CLOSED * max(1.0, abs(search.best))
    late: Status = "time limit" if time.monotonic() > started + time_limit else "gap left"
    reached: Status = "optimal" if closed else "within tolerance" if search.done(search.bound) else late
    return Solution(
        status="infeasible" if not search.pick else reached,
        pick=search.pick,
        objective=search.best,
        bound=max(search.best, search.bound),
        seconds=time.monotonic() - started,
        name=search.name,
        blame=0 if not search.pick else None,
    )


class _Search:
    """Prices, answers, and the levels that are still in question."""

    def __init__(self, problem: Problem, deadline: float, tolerance: float) -> None:
        self.problem, self.deadline, self.tolerance = problem, deadline, tolerance
        self.limits = np.array(problem.limits, dtype=float)
        self.levels: dict[str, npt.NDArray[np.int64]] = {v: np.arange(n) for v, n in problem.sizes.items()}
        scopes = [f.scope for one in (*problem.costs, problem.hard) for f in one]
        self.order = elimination_order(problem.sizes, scopes, WIDEST)
        self.best, self.pick, self.bound = -np.inf, Pick(), np.inf
        self.name = "Lagrangian prices, bucket elimination"
        self.prices = np.zeros(len(problem.costs))

    # --- the relaxed problem ---------------------------------------------------------------------------------------

    def tables(self, worth: float, prices: Array) -> list[Factor]:
        """The sum to minimise, over the levels that are left."""
        found = [Factor((v,), -worth * values[self.levels[v]]) for v, values in self.problem.value.items()]
        for price, one in zip(prices, self.problem.costs, strict=True):
            if price:
                found += [Factor(f.scope, price * self._left(f)) for f in one]
        return found + [Factor(f.scope, self._left(f)) for f in self.problem.hard]

    def _left(self, factor: Factor) -> Array:
        return factor.table[np.ix_(*(self.levels[v] for v in factor.scope))] if factor.scope else factor.table

    @property
    def sizes(self) -> dict[str, int]:
        return {v: len(levels) for v, levels in self.levels.items()}

    def cheapest(self, worth: float, prices: Array) -> tuple[float, Pick]:
        value, pick = minimise(self.sizes, self.tables(worth, prices), self.order)
        return value, {v: int(self.levels[v][level]) for v, level in pick.items()}

    def consider(self, pick: Pick) -> Array:
        """Remember an answer if it is within the budgets and better; what it spends."""
        spent = self.problem.spent(pick)
        if self.problem.within(spent) and (worth := self.problem.worth(pick)) > self.best:
            self.best, self.pick = worth, pick
        return spent

    def unreachable(self) -> tuple[int, float] | None:
        """A budget that no levels meet, and the least that can be reached of it."""
        for k, limit in enumerate(self.limits):
            least, pick = self.cheapest(0.0, np.eye(len(self.limits))[k])
            if least > limit * (1 + 1e-12) + 1e-9:
                return k, least
            self.consider(pick)
        return None

    # --- prices ----------------------------------------------------------------------------------------------------

    def find_prices(self) -> None:
        """Kelley's cutting planes on the dual: the prices at which the bound is least."""
        scale = np.maximum(self.limits, 1e-12)
        cuts: list[tuple[float, Array]] = []
        lowest = np.inf
        top = 10.0 * (1.0 + sum(float(np.ptp(values)) for values in self.problem.value.values()))
        prices = self.prices * scale  # in worth for the whole budget
        for _ in range(PRICES):
            value, pick = self.cheapest(1.0, prices / scale)
            if not np.isfinite(value):
                self.bound = min(self.bound, self.best)
                return
            dual = -value + float(prices.sum())
            if dual < lowest:
                lowest, self.prices = dual, prices / scale
            spent = self.consider(pick)
            cuts.append((self.problem.worth(pick), 1.0 - spent / scale))
            if self.done(min(self.bound, lowest)) or time.monotonic() > self.deadline:
                break
            # least theta with theta >= worth_i + prices * (1 - spent_i)
            rows = [[-1.0, *slope] for _, slope in cuts]
            found = linprog(
                [1.0, *np.zeros(len(prices))], A_ub=rows, b_ub=[-worth for worth, _ in cuts],
                bounds=[(None, None), *[(0.0, top)] * len(prices)],
            )  # fmt: skip
            if found.x is None or lowest - found.x[0] <= CLOSED * max(1.0, abs(lowest)):
                break
            prices = found.x[1:]
        self.bound = min(self.bound, lowest)

    def done(self, bound: float) -> bool:
        return bound - self.best <= max(CLOSED * max(1.0, abs(self.best)), self.tolerance * abs(self.best))

    # --- closing the gap -------------------------------------------------------------------------------------------

    def run(self) -> None:
        self.find_prices()
        while not self.done(self.bound) and time.monotonic() < self.deadline:
            self.improve()
            before = sum(self.sizes.values())
            self.drop_levels()
            if sum(self.sizes.values()) > 0.9 * before:
                break
            self.find_prices()
        if not self.done(self.bound) and time.monotonic() < self.deadline:
            self.finish()

    def drop_levels(self) -> None:
        """Levels whose own bound is not above the best answer cannot be part of a better one."""
        if not self.pick:
            return
        paid = float(self.prices @ self.limits)
        found = marginals(self.sizes, self.tables(1.0, self.prices), self.order)
        slack = CLOSED * max(1.0, abs(self.best))
        for v, least in found.items():
            mine = self.levels[v] == self.pick[v]
            self.levels[v] = self.levels[v][(paid - least > self.best + slack) | mine]

    def improve(self) -> None:
        """Change one or two neighbouring variables of the best answer as long as it gets better."""
        if not self.pick:
            return
        touching: dict[str, list[tuple[int, Factor]]] = {v: [] for v in self.problem.sizes}
        for k, one in enumerate(self.problem.costs):
            for f in one:
                for v in f.scope:
                    touching[v].append((k, f))
        hard: dict[str, list[Factor]] = {v: [f for f in self.problem.hard if v in f.scope] for v in self.problem.sizes}
        better = True
        while better and time.monotonic() < self.deadline:
            better = False
            spent = self.problem.spent(self.pick)
            for v in self.problem.sizes:
                line = self._line(v, touching, hard, spent)
                gain = self.problem.value.get(v, np.zeros(self.problem.sizes[v]))
                gain = np.where(line, gain - gain[self.pick[v]], -np.inf)
                level = int(gain.argmax())
                if gain[level] > CLOSED * max(1.0, abs(self.best)):
                    self.consider({**self.pick, v: level})
                    better = True
                    break

    def _line(
        self, v: str, touching: Mapping[str, list[tuple[int, Factor]]], hard: Mapping[str, list[Factor]], spent: Array
    ) -> npt.NDArray[np.bool_]:
        """Which levels of one variable stay within the budgets when all others keep theirs."""
        more = np.zeros((len(self.limits), self.problem.sizes[v]))
        for k, f in touching[v]:
            row = f.table[tuple(slice(None) if u == v else self.pick[u] for u in f.scope)]
            more[k] += row - row[self.pick[v]]
        allowed: npt.NDArray[np.bool_] = np.all((spent[:, None] + more) <= self.limits[:, None] * (1 + 1e-12), axis=0)
        for f in hard[v]:
            allowed &= np.isfinite(f.table[tuple(slice(None) if u == v else self.pick[u] for u in f.scope)])
        return allowed

    def finish(self) -> None:
        """An integer program over the levels that are left."""
        entries = sum(
            int(np.prod([len(self.levels[v]) for v in f.scope]))
            for one in (*self.problem.costs, self.problem.hard)
            for f in one
        )
        if entries > LARGEST:
            return
        left = self.deadline - time.monotonic()
        found = integer_program(self.problem, self.levels, left, self.tolerance)
        self.name += ", HiGHS"
        if found.pick:
            self.consider(found.pick)
        self.bound = max(self.best, min(self.bound, found.bound))


def _program_alone(problem: Problem, started: float, time_limit: float) -> Solution:
    """For graphs that are too entangled for elimination."""
    levels = {v: np.arange(n) for v, n in problem.sizes.items()}
    found = integer_program(problem, levels, time_limit)
    objective = problem.worth(found.pick) if found.pick else -np.inf
    proven = found.bound - objective <= 1e-6 * abs(objective)
    return Solution(
        status="infeasible" if not found.pick else "optimal" if proven else "time limit",
        pick=found.pick,
        objective=objective,
        bound=max(objective, found.bound),
        seconds=time.monotonic() - started,
        name="HiGHS",
        blame=None if found.pick else 0,
    )
