"""The widths that keep most importance within budgets, and how far from the best they can be.

The tables price layers one by one; a compiler prices the network. Where they differ (cascading, allocation, operators
between the layers), the tables' limits are moved by what was seen, and the choice is made again, until the compiler's own
total meets the budgets and uses them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from padless.choose.allocation import Allocation
from padless.choose.budget import Budget, amount
from padless.choose.peaks import Chooser, Method, WidthsAt
from padless.choose.plan import Proof
from padless.choose.restrict import Held
from padless.choose.tables import FROM_ORACLE, WHOLE, Tables
from padless.choose.treated import variable
from padless.cost import NetworkCost
from padless.errors import InfeasibleError
from padless.importance import Importance
from padless.optimise.problem import Solution
from padless.optimise.search import solve

ROUNDS = 20  # of choosing
WIDER = 1.01  # how much more the tables may spend where the same widths were chosen again
USED, ENOUGH = 0.985, 0.97  # of a budget, at least, if the tables can; from round PATIENT on, less will do
PATIENT = 3
AIM = 0.996  # of a budget whose tables are not the compiler's: to hit it exactly is to miss it every other time

HELD = Held()  # of nobody

Price = Callable[[dict[str, int], dict[str, str]], NetworkCost]  # of widths and treatments


@dataclass(slots=True, kw_only=True)
class _Limit:
    """What the tables may spend of one budget, between limits known to be within it and above it."""

    asked: float
    now: float
    aim: float
    ratio: float  # of the compiler's total to the tables', for the dense network
    low: float = 0.0
    high: float = math.inf

    def learn(self, table: float, whole: float) -> None:
        """Move the limit by the ratio that was seen, but never to where the answer is known."""
        if whole > self.asked:
            self.high = min(self.high, self.now, table) if self.low < table else min(self.high, self.now)
        else:
            self.low = max(self.low, table)
        wanted = self.aim * self.asked * table / max(whole, 1.0)
        if not self.low < wanted < self.high:
            wanted = (self.low + self.high) / 2 if math.isfinite(self.high) else wanted
        self.now = wanted


def best_widths(
    tables: Tables,
    importance: Importance,
    fixed: dict[str, int],
    budgets: Sequence[Budget],
    dense: NetworkCost,
    price: Price,
    *,
    time_limit: float,
    spare: float = 0.0,
    method: Method = solve,
    ladders: Sequence[WidthsAt] = (),
    held: Held = HELD,
) -> Allocation:
    """The best widths found with `time_limit` seconds for each solution. `fixed` are the widths that cannot be chosen.

    `spare` is the share of a compiler's budget that stays free where weights are treated.
    `method` chooses levels within the tables' limits: `solve`, which proves how good they are, or one of the baselines.
    `ladders` are simple ways to narrow the network, than which no answer of `solve` is worse. `held` says why
    groups are no narrower.

    Raises InfeasibleError, naming the budget to blame and the least that can be reached.
    """
    if not tables.sizes:
        return _as_it_is(fixed, budgets, dense, price, held, proven=method is solve)
    chooser = Chooser(tables, importance, budgets, method, time_limit, ladders)
    return _Fit(chooser, fixed, budgets, dense, price, held, spare).run()


def may_be_better(
    tables: Tables,
    importance: Importance,
    budgets: Sequence[Budget],
    dense: NetworkCost,
    time_limit: float,
    than: Allocation,
) -> bool:
    """Whether something on `tables` is worth more than an answer.

    They may spend what the dense network shows, or that answer, whichever is more.
    """
    assert than.proof
    assert than.table_totals is not None
    chooser, limits = Chooser(tables, importance, budgets, solve, time_limit), []
    for budget, first, table in zip(budgets, _first_limits(chooser, budgets, dense), than.table_totals, strict=True):
        shown = first.asked * table / max(budget.of(than.cost), 1) if budget.counted in WHOLE else first.now
        limits.append(max(first.now, shown))
    found = chooser.choose(limits)
    return bool(found.pick) and found.objective > than.proof.objective


def _first_limits(chooser: Chooser, budgets: Sequence[Budget], dense: NetworkCost) -> list[_Limit]:
    """What tables may spend by what they say of the dense network."""
    tables, limits = chooser.tables, []
    full = chooser.spent({v: size - 1 for v, size in tables.sizes.items()}) if not tables.sums else None
    for k, budget in enumerate(budgets):
        asked, approximate = budget.limit(dense), budget.counted in WHOLE
        ratio = budget.of(dense) / full[k] if full is not None and approximate else 1.0
        aim = AIM if approximate else 1.0
        limits.append(_Limit(asked=asked, now=aim * asked / ratio, aim=aim, ratio=ratio))
    return limits


class _Fit:
    """Rounds of choosing on the tables and asking what the network as a whole costs."""

    def __init__(
        self,
        chooser: Chooser,
        fixed: dict[str, int],
        budgets: Sequence[Budget],
        dense: NetworkCost,
        price: Price,
        held: Held,
        spare: float,
    ) -> None:
        self.chooser, self.tables, self.fixed = chooser, chooser.tables, fixed
        self.budgets, self.dense, self.price, self.held, self.spare = budgets, dense, price, held, spare
        self.approximate = [budget.counted in WHOLE for budget in budgets]
        self.limits = _first_limits(chooser, budgets, dense)
        self.best: Allocation | None = None
        self.objective = -math.inf  # of the best
        self.used = 0.0  # by the best
        self.priced: dict[tuple[int, ...], NetworkCost] = {}
        self.cheapest: list[int] = []  # the least seen of each budget
        self.tried: dict[int, float] = {}  # of a budget, its least by the tables, which the compiler was asked about

    def run(self) -> Allocation:
        for _ in range(ROUNDS):
            solution = self.chooser.choose([limit.now for limit in self.limits])
            if solution.pick:
                if self.weigh(solution):
                    break
            elif self.best:
                break
            else:
                self.lower(solution)
        if self.best is None:
            raise self.infeasible(solution)
        return self.best

    def weigh(self, solution: Solution) -> bool:
        """Ask what the chosen widths cost as a whole and move the limits; whether no further round is needed."""
        key = tuple(solution.pick.values())
        new = key not in self.priced
        widths = self.fixed | {id: int(levels[solution.pick[id]]) for id, levels in self.tables.widths.items()}
        treatments = self.treatments(solution)
        cost = self.priced[key] = self.price(widths, treatments) if new else self.priced[key]
        totals = self.chooser.spent(solution.pick)
        seen = [budget.of(cost) for budget in self.budgets]
        wholes = [
            round(whole / (1 - self.spare)) if treatments and budget.counted in FROM_ORACLE else whole
            for budget, whole in zip(self.budgets, seen, strict=True)
        ]
        self.cheapest = [min(pair) for pair in zip(seen, self.cheapest or seen, strict=True)]
        share = max(whole / limit.asked for whole, limit in zip(wholes, self.limits, strict=True))
        if share <= 1 and (self.best is None or solution.objective >= self.objective):
            self.used, self.objective = share, solution.objective
            proof = _proof(solution, len(self.priced)) if self.chooser.method is solve else None
            self.best = Allocation(
                widths=widths, cost=cost, treatments=treatments, table_totals=tuple(totals.tolist()), proof=proof
            )
        widest = all(solution.pick[v] == size - 1 for v, size in self.tables.sizes.items())
        if self.used >= (USED if len(self.priced) < PATIENT else ENOUGH) or (share <= 1 and widest):
            return True
        if share <= 1 and not new:  # few widths: the next ones may still be within the budget
            return not self.widen(totals.tolist(), wholes)
        for k, limit in enumerate(self.limits):
            limit.learn(float(totals[k]), wholes[k])
        return False

    def treatments(self, solution: Solution) -> dict[str, str]:
        """Those that a solution chose, of the layers that get one."""
        chosen = {name: all[solution.pick[variable(name)]] for name, all in self.tables.treatments.items()}
        return {name: each for name, each in chosen.items() if each != self.tables.treatments[name][-1]}

    def widen(self, totals: Sequence[float], wholes: Sequence[int]) -> bool:
        """Let the tables spend a little more, where they are not the compiler's; whether they may."""
        loose = [limit for limit, table, whole in zip(self.limits, totals, wholes, strict=True) if table != whole]
        if not loose or any(limit.now * WIDER >= limit.high for limit in loose):
            return False
        for limit in loose:
            limit.now *= WIDER
        return True

    def lower(self, solution: Solution) -> None:
        """Where the tables rule a budget out, try the least that they allow: the compiler may well see it otherwise."""
        blame, least = solution.blame, solution.least
        if (
            solution.status != "infeasible"
            or blame is None
            or least is None
            or not self.approximate[blame]
            or least <= self.tried.get(blame, -math.inf)
        ):
            raise self.infeasible(solution)
        self.tried[blame] = self.limits[blame].now = least

    def infeasible(self, solution: Solution) -> InfeasibleError:
        """Why there is no answer."""
        budgets, reached = self.budgets, self.cheapest
        every = ", ".join(map(str, budgets))
        if solution.status == "infeasible" and solution.blame is None:
            return InfeasibleError(
                "No combination of the widths that are allowed fills whole units where branches are joined. "
                + ("Freeze or limit fewer layers, or use --align none." if self.held.limited else "Use --align none.")
            )
        if solution.status != "infeasible" and not reached:
            return InfeasibleError(
                f"No widths within {every} were found in {solution.seconds:.1f} s, nor ruled out. "
                + ("Give --time-limit more, or ask for more." if solution.status == "time limit" else "Ask for more.")
            )
        k = solution.blame or 0
        budget, limit = budgets[k], self.limits[k]
        if solution.least is None and (len(budgets) > 1 or not reached):
            return InfeasibleError(f"No widths of this target meet all of {every} together. Ask for more of one.")
        least = float(reached[k]) if reached else (solution.least or 0.0) * limit.ratio
        totals = self.dense.totals()
        who = "cheapest network found" if reached else "narrowest network that this target and allocation allow"
        return InfeasibleError(
            f"The budget {budget} asks for at most {amount(budget, math.floor(limit.asked), totals)}; "
            f"the {who} costs {amount(budget, math.ceil(least), totals)} "
            f"({100 * least / budget.of(self.dense):.1f} % of dense{self._reserve(budget)}). " + self.held.loosen(),
            budget.quantity,
        )

    def _reserve(self, budget: Budget) -> str:
        if not self.tables.treatments or not self.spare or budget.counted not in FROM_ORACLE:
            return ""
        return f"; {100 * self.spare:.3g} % is kept for what compensation adds to treated weights"


def _proof(solution: Solution, rounds: int) -> Proof:
    return Proof(
        name=solution.name, status=solution.status, objective=solution.objective, bound=solution.bound,
        gap=solution.gap, seconds=round(solution.seconds, 3), rounds=rounds,
    )  # fmt: skip


def _as_it_is(
    fixed: dict[str, int],
    budgets: Sequence[Budget],
    dense: NetworkCost,
    price: Price,
    held: Held,
    *,
    proven: bool,
) -> Allocation:
    """The answer where nothing can be chosen."""
    cost = price(dict(fixed), {})
    for budget in budgets:
        if budget.of(cost) > budget.limit(dense):
            raise InfeasibleError(
                f"The budget {budget} asks for at most {math.floor(budget.limit(dense)):,}; every group of channels has one "
                f"width, and the network costs {budget.of(cost):,}. " + held.explain(),
                budget.quantity,
            )
    proof = Proof(name="nothing to choose", status="optimal", objective=0.0, bound=0.0, gap=0.0, seconds=0.0, rounds=1)
    totals = tuple(float(budget.of(cost)) for budget in budgets)
    return Allocation(widths=dict(fixed), cost=cost, table_totals=totals, proof=proof if proven else None)
