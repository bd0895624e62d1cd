"""The best levels under budgets, with a proof of how good they are.

Prices on the budgets make the problem a sum of small tables, which bucket elimination solves exactly (`buckets`); the
prices' dual value bounds every answer within the budgets (Lagrangian relaxation: Geoffrion, Mathematical Programming
Study 2, 1974). What then remains between the best answer and the bound is closed by looking through all answers that the
bound leaves in question (`fronts`). Where those are too many an integer program (HiGHS) takes over. Where the graph of
variables is too entangled, buckets are split (`minibuckets`): the bound is looser, and still a bound.

Where no answer is proven, the baselines' are taken to begin with: none of them is better than what is returned.

What is done is bounded by counts, so that the same problem has the same answer on a busy machine. Seconds are a last
resort, and the status says so.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import scipy

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
from padless.optimise.minibuckets import MiniBuckets
from padless.optimise.moves import Moves
from padless.optimise.problem import Problem, Solution, Status, with_tolerance
from padless.optimise.program import Levels, integer_program
from padless.optimise.starts import starts

WIDEST = 5_000_000  # entries of a bucket
PRICES = 60  # rounds of finding prices, at most
NO_LIMIT = 1e300  # of a cost
CLOSED = 1e-9  # of the objective
RANGE = 1000.0  # of the objective inside: solvers' tolerances are absolute
BANDS = tuple(2.0**-n for n in range(4, -1, -1))  # of the gap that is left
LARGEST = 400_000  # table entries that an integer program is given
LARGEST_ALONE = 40_000  # where it has no price to begin with
PROGRAM_SECONDS = 10.0  # of an integer program, which cannot be counted
COMPUTED = 10_000_000  # entries of a bucket of an entangled graph whose sums are computed
SPLIT = 200_000  # above which buckets are split where that is not enough
SWEPT = 1_000_000_000  # entries in all rounds of finding prices on it


def solve(problem: Problem, time_limit: float = 60.0) -> Solution:
    """The best levels, and the bound. Deterministic, unless the status says "time limit"."""
    unit = sum(float(np.ptp(values)) for values in problem.value.values()) / RANGE or 1.0
    value = {v: values / unit for v, values in problem.value.items()}
    solution = _solved(replace(problem, value=value), time_limit)
    objective = problem.worth(solution.pick) if solution.pick else -np.inf
    return replace(solution, objective=objective, bound=max(objective, solution.bound * unit))


def pricer(problem: Problem) -> tuple[Callable[[float, Array], tuple[float, Pick]], int]:
    """A function from what worth counts and a price for each cost to the least of price x cost - worth, and its levels; and
    how often it may well be called: less often where each call takes long.

    Exact but where buckets had to be split: then the levels are good ones.
    """
    try:
        search = _Search(problem, np.inf)
    except TooWideError:
        search = _Entangled(problem, np.inf)
    return search.cheapest, search.rounds


def _solved(problem: Problem, time_limit: float) -> Solution:
    started = time.monotonic()
    try:
        search = _Search(problem, started + time_limit)
    except TooWideError:
        search = _Entangled(problem, started + time_limit)
    if (blamed := search.unreachable()) is not None:
        return Solution(
            status="infeasible", pick={}, objective=-np.inf, bound=-np.inf, seconds=time.monotonic() - started,
            name=search.name, blame=blamed[0], least=blamed[1],
        )  # fmt: skip
    search.find_prices()
    if not search.closed and time.monotonic() < search.deadline:
        search.close()
    if not search.closed and search.bound > -np.inf:
        for pick in starts(problem, search.pick, search.deadline):
            search.consider(pick)
    late: Status = "time limit" if search.hurried or time.monotonic() > search.deadline else "gap left"
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
        self.best, self.pick, self.bound = -np.inf, Pick(), np.inf
        self.prices = np.zeros(len(problem.costs))
        self.rounds, self.hurried = PRICES, False
        self.name = "Lagrangian prices, bucket elimination"
        self.prepare()

    def prepare(self) -> None:
        """Order the variables. Raises TooWideError."""
        scopes = [factor.scope for factor in self.problem.factors()]
        self.order = elimination_order(self.problem.sizes, scopes, WIDEST)

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
        for _ in range(self.rounds):
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
            master = scipy.optimize.linprog(
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
        if entries <= LARGEST:
            self.run_program(levels)

    def run_program(self, levels: Levels) -> None:
        """An integer program over the levels that are left."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            return
        result = integer_program(self.problem, levels, min(left, PROGRAM_SECONDS))
        self.name += ", HiGHS"
        self.hurried = not result.finished
        if result.pick:
            self.consider(result.pick)
        self.bound = max(self.best, min(self.bound, result.bound))


class _Entangled(_Search):
    """Prices from mini-buckets, for graphs that are too entangled for elimination."""

    def prepare(self) -> None:
        problem = self.problem
        factors = [*(Factor((v,), values) for v, values in problem.value.items()), *problem.factors()]
        self.buckets = MiniBuckets(problem.sizes, factors, problem.hard, COMPUTED)
        if not self.buckets.exact:
            self.buckets = MiniBuckets(problem.sizes, factors, problem.hard, SPLIT)
        self.moves = Moves(problem)
        self.rounds = int(np.clip(SWEPT // max(1, self.buckets.entries), 8, PRICES))
        self.name = "Lagrangian prices, " + ("elimination of sums" if self.buckets.exact else "mini-buckets")

    def cheapest(self, worth: float, prices: Array) -> tuple[float, Pick]:
        """The least that the buckets tell, and a pick: where they are split it need not cost as little."""
        least, pick = self.buckets.minimise(self.tables(worth, prices))
        return least, self.moves.completed({v: pick[v] for v in self.problem.value})

    def unreachable(self) -> tuple[int | None, float | None] | None:
        """As ever; the least is then what a pick costs, not its bound."""
        blamed = super().unreachable()
        if blamed is None or blamed[0] is None or self.buckets.exact:
            return blamed
        pick = self.cheapest(0.0, np.eye(len(self.limits))[blamed[0]])[1]
        return blamed[0], float(self.problem.spent(pick)[blamed[0]])

    def find_prices(self) -> None:
        """As ever where no bucket is split. Else picks say little of the slope: prices are tried, closer and closer."""
        if self.buckets.exact:
            return super().find_prices()
        worth = sum(float(np.ptp(values)) for values in self.problem.value.values())
        shares = worth / np.maximum(self.limits, 1e-12) / len(self.limits)
        duals: dict[float, float] = {}
        powers = [-np.inf, *np.linspace(-4.0, 4.0, max(3, self.rounds // 2)).tolist()]
        while powers and time.monotonic() < self.deadline:
            power = powers.pop(0)
            prices = shares * 10.0**power
            value, pick = self.cheapest(1.0, prices)
            duals[power] = -value + float(prices @ self.limits)
            if not np.isfinite(value):
                self.bound = self.best
                return None
            if duals[power] < self.bound:
                self.bound, self.prices = duals[power], prices
            self.consider(pick)
            if not powers and len(duals) + 1 < self.rounds:
                powers = _between(duals)
        return None

    def consider(self, pick: Pick) -> Array:
        return super().consider(pick) if self.moves.allowed(pick) else self.problem.spent(pick)

    def close(self) -> None:
        """An integer program where it is small."""
        if sum(factor.table.size for factor in self.problem.factors()) <= LARGEST_ALONE:
            self.run_program({v: np.arange(n) for v, n in self.problem.sizes.items()})


def _between(duals: Mapping[float, float]) -> list[float]:
    """The powers halfway from the best one to its neighbours."""
    tried = sorted(duals)
    best = tried.index(min(duals, key=duals.__getitem__))
    near = [tried[i] for i in (best - 1, best + 1) if 0 <= i < len(tried)]
    return [(tried[best] + power) / 2 for power in near if np.isfinite(tried[best] + power)]
