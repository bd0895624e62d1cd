"""The best levels under budgets, with a proof of how good they are.

Prices on the budgets make the problem a sum of small tables, which bucket elimination solves exactly (`buckets`); the
prices' dual value bounds every answer within the budgets (Lagrangian relaxation: Geoffrion, Mathematical Programming
Study 2, 1974). What then remains between the best answer and the bound is closed by looking through all answers that the
bound leaves in question (`fronts`). Where those are too many, or the graph of variables is too entangled, an integer
program (HiGHS) takes over.
"""

import time
from dataclasses import replace

import numpy as np
from scipy.optimize import linprog

from padless.optimise.buckets import (
    Array,
    Buckets,
    Factor,
    Pick,
    TooWideError,
    elimination_order,
    minimise,
)
from padless.optimise.fronts import GivenUpError, best_in_band
from padless.optimise.problem import Problem, Solution, Status, with_tolerance
from padless.optimise.program import integer_program

WIDEST = 5_000_000  # entries of a bucket
PRICES = 60  # rounds of finding prices, at most
NO_LIMIT = 1e300  # of a cost
CLOSED = 1e-9  # of the objective
RANGE = 1000.0  # of the objective inside: solvers' tolerances are absolute
BANDS = tuple(2.0**-n for n in range(4, -1, -1))  # of the gap that is left
LARGEST = 400_000  # table entries that an integer program is given


def solve(problem: Problem, time_limit: float = 10.0) -> Solution:
    """The best levels found within `time_limit` seconds, and the bound.

    Deterministic, but for where the time runs out.
    """
    unit = sum(float(np.ptp(values)) for values in problem.value.values()) / RANGE or 1.0
    value = {v: values / unit for v, values in problem.value.items()}
    solution = _solved(replace(problem, value=value), time_limit)
    objective = problem.worth(solution.pick) if solution.pick else -np.inf
    return replace(solution, objective=objective, bound=max(objective, solution.bound * unit))


def _solved(problem: Problem, time_limit: float) -> Solution:
    started = time.monotonic()
    try:
        search = _Search(problem, started + time_limit)
    except TooWideError:
        return _program_alone(problem, started, time_limit)
    if (blamed := search.unreachable()) is not None:
        return Solution(
            status="infeasible", pick={}, objective=-np.inf, bound=-np.inf, seconds=time.monotonic() - started,
            name="Lagrangian prices", blame=blamed[0], least=blamed[1],
        )  # fmt: skip
    search.find_prices()
    if not search.closed and time.monotonic() < search.deadline:
        search.close()
    late: Status = "time limit" if time.monotonic() > search.deadline else "gap left"
    reached: Status = "optimal" if search.closed else late
    return Solution(
        status="infeasible" if search.bound == -np.inf else reached,
        pick=search.pick,
        objective=search.best,
        bound=max(search.best, search.bound),
        seconds=time.monotonic() - started,
        name=search.name,
        blame=0 if not search.pick else None,
    )


class _Search:
    """Prices, the best answer, and what bounds every answer."""

    def __init__(self, problem: Problem, deadline: float) -> None:
        self.problem, self.deadline = problem, deadline
        self.limits = np.minimum(np.array(problem.limits, dtype=float), NO_LIMIT)
        scopes = [factor.scope for factor in problem.factors()]
        self.order = elimination_order(problem.sizes, scopes, WIDEST)
        self.best, self.pick, self.bound = -np.inf, Pick(), np.inf
        self.name = "Lagrangian prices, bucket elimination"
        self.prices = np.zeros(len(problem.costs))

    def tables(self, worth: float, prices: Array) -> list[Factor]:
        """The sum to minimise."""
        tables = [Factor((v,), -worth * values) for v, values in self.problem.value.items()]
        for price, cost in zip(prices, self.problem.costs, strict=True):
            tables += [Factor(f.scope, price * f.table) for f in cost]
        return [*tables, *self.problem.hard]

    def cheapest(self, worth: float, prices: Array) -> tuple[float, Pick]:
        return minimise(self.problem.sizes, self.tables(worth, prices), self.order)

    def consider(self, pick: Pick) -> Array:
        """Remember an answer if it is within the budgets and better; what it spends."""
        spent = self.problem.spent(pick)
        if self.problem.within(spent) and (worth := self.problem.worth(pick)) > self.best:
            self.best, self.pick = worth, pick
        return spent

    def unreachable(self) -> tuple[int | None, float | None] | None:
        """A budget that no levels meet, and the least that can be reached of it; of none, where no levels are allowed."""
        for k, limit in enumerate(self.limits):
            least, pick = self.cheapest(0.0, np.eye(len(self.limits))[k])
            if not np.isfinite(least):
                return None, None
            if least > with_tolerance(float(limit)):
                return k, least
            self.consider(pick)
        return None

    def find_prices(self) -> None:
        """Kelley's cutting planes on the dual: the prices at which the bound is least."""
        scale = np.maximum(self.limits, 1e-12)
        cuts: list[tuple[float, Array]] = []
        top = 10.0 * (1.0 + sum(float(np.ptp(values)) for values in self.problem.value.values()))
        prices = self.prices * scale  # in worth for the whole budget
        for _ in range(PRICES):
            value, pick = self.cheapest(1.0, prices / scale)
            if not np.isfinite(value):
                self.bound = self.best
                return
            dual = -value + float(prices.sum())
            if dual < self.bound:
                self.bound, self.prices = dual, prices / scale
            spent = self.consider(pick)
            cuts.append((self.problem.worth(pick), 1.0 - spent / scale))
            if self.closed or time.monotonic() > self.deadline:
                return
            # least theta with theta >= worth_i + prices * (1 - spent_i)
            rows = [[-1.0, *slope] for _, slope in cuts]
            master = linprog(
                [1.0, *np.zeros(len(prices))], A_ub=rows, b_ub=[-worth for worth, _ in cuts],
                bounds=[(None, None), *[(0.0, top)] * len(prices)],
            )  # fmt: skip
            if master.x is None or self.bound - master.x[0] <= CLOSED * max(1.0, abs(self.bound)):
                return
            prices = master.x[1:]

    @property
    def closed(self) -> bool:
        return bool(self.pick) and self.bound - self.best <= CLOSED * max(1.0, abs(self.best))

    def close(self) -> None:
        """Look through all answers worth at least the bound less a band, which grows until it holds the best answer."""
        least = self.best if self.pick else sum(float(values.min()) for values in self.problem.value.values())
        gap = self.bound - least
        buckets = Buckets(self.problem.sizes, self.tables(1.0, self.prices), self.order)
        self.name += ", fronts"
        top = self.bound
        for part in BANDS:
            band = part * gap + CLOSED * max(1.0, abs(top))
            try:
                pick = best_in_band(buckets, self.problem.costs, self.prices, self.limits, band, self.deadline)
            except GivenUpError:
                return self.finish(buckets)
            if pick:
                self.consider(pick)
            self.bound = max(self.best, top - part * gap) if part < 1 else self.best
            if self.closed:
                return None
        return None

    def finish(self, buckets: Buckets) -> None:
        """An integer program over the levels whose own bound is above the best answer."""
        paid, slack = float(self.prices @ self.limits), CLOSED * max(1.0, abs(self.best)) if self.pick else 0.0
        levels = {
            v: np.flatnonzero((paid - least > self.best + slack) | (np.arange(len(least)) == self.pick.get(v)))
            for v, least in buckets.marginals().items()
        }
        entries = sum(int(np.prod([len(levels[v]) for v in f.scope])) for f in self.problem.factors())
        left = self.deadline - time.monotonic()
        if entries > LARGEST or left <= 0:
            return
        result = integer_program(self.problem, levels, left)
        self.name += ", HiGHS"
        if result.pick:
            self.consider(result.pick)
        self.bound = max(self.best, min(self.bound, result.bound))


def _program_alone(problem: Problem, started: float, time_limit: float) -> Solution:
    """For graphs that are too entangled for elimination."""
    levels = {v: np.arange(n) for v, n in problem.sizes.items()}
    result = integer_program(problem, levels, time_limit)
    objective = problem.worth(result.pick) if result.pick else -np.inf
    proven = bool(result.pick) and result.bound - objective <= 1e-6 * abs(objective)
    return Solution(
        status="infeasible" if result.bound == -np.inf else "optimal" if proven else "time limit",
        pick=result.pick,
        objective=objective,
        bound=max(objective, result.bound),
        seconds=time.monotonic() - started,
        name="HiGHS",
        blame=None if result.pick else 0,
    )
