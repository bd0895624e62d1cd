"""The widths that keep most importance within budgets, and how far from the best they can be.

The tables price layers one by one; a compiler prices the network. Where they differ (cascading, allocation, operators
between the layers), the tables' limits are moved by what was seen, and the choice is made again, until the compiler's own
total meets the budgets and uses them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from padless.choose.budget import Budget
from padless.choose.peaks import Chooser, Method
from padless.choose.tables import WHOLE, Tables
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chosen:
    """Widths, their cost as a whole, the last solution, and per budget what the tables say."""

    widths: dict[str, int]
    cost: NetworkCost
    solution: Solution
    table_totals: tuple[float, ...]
    rounds: int


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


def optimal(
    tables: Tables,
    importance: Importance,
    fixed: dict[str, int],
    budgets: Sequence[Budget],
    dense: NetworkCost,
    price: Callable[[dict[str, int]], NetworkCost],
    *,
    time_limit: float,
    method: Method = solve,
) -> Chosen:
    """The best widths found with `time_limit` seconds for each solution. `fixed` are the widths that cannot be chosen.

    `method` chooses levels within the tables' limits: `solve`, or one of the rivals.

    Raises InfeasibleError, naming the budget to blame and the least that can be reached.
    """
    chooser = Chooser(tables, importance, budgets, method, time_limit)
    full = chooser.spent({v: size - 1 for v, size in tables.sizes.items()}) if not tables.sums else None
    approximate = [budget.quantity in WHOLE for budget in budgets]
    limits = []
    for k, budget in enumerate(budgets):
        asked = budget.limit(dense)
        ratio = budget.of(dense) / full[k] if full is not None and approximate[k] else 1.0
        aim = AIM if approximate[k] else 1.0
        limits.append(_Limit(asked=asked, now=aim * asked / ratio, aim=aim, ratio=ratio))
    if not tables.sizes:
        return _as_it_is(fixed, budgets, dense, price)
    best: Chosen | None = None
    used = 0.0  # by the best
    priced: dict[tuple[int, ...], NetworkCost] = {}
    cheapest: list[int] = []  # the least seen of each budget
    tried: dict[int, float] = {}  # of a budget, its least by the tables, which the compiler was asked about
    for _ in range(ROUNDS):
        solution = chooser.choose([limit.now for limit in limits])
        if not solution.pick:
            if best:
                break
            blame, least = solution.blame, solution.least
            if solution.status != "infeasible":
                _infeasible(solution, budgets, limits, dense, reached=cheapest)
            if blame is None or least is None or not approximate[blame] or least <= tried.get(blame, -math.inf):
                _infeasible(solution, budgets, limits, dense, reached=cheapest)
            tried[blame] = limits[blame].now = least  # the compiler may well see it otherwise
            continue
        widths = fixed | {id: int(found[solution.pick[id]]) for id, found in tables.widths.items()}
        same = tuple(solution.pick.values())
        news = same not in priced
        cost = priced[same] = price(widths) if news else priced[same]
        totals = chooser.spent(solution.pick)
        wholes = [budget.of(cost) for budget in budgets]
        cheapest = [min(pair) for pair in zip(wholes, cheapest or wholes, strict=True)]
        shares = [whole / limit.asked for whole, limit in zip(wholes, limits, strict=True)]
        if max(shares) <= 1 and (best is None or solution.objective >= best.solution.objective):
            used = max(shares)
            best = Chosen(
                widths=widths, cost=cost, solution=solution, table_totals=tuple(totals.tolist()), rounds=len(priced)
            )
        everything = all(solution.pick[v] == size - 1 for v, size in tables.sizes.items())
        if used >= (USED if len(priced) < PATIENT else ENOUGH) or (max(shares) <= 1 and everything):
            break
        if max(shares) <= 1 and not news:  # few widths: the next ones may still be within the budget
            loose = [limit for limit, table, whole in zip(limits, totals, wholes, strict=True) if table != whole]
            if not loose or any(limit.now * WIDER >= limit.high for limit in loose):
                break
            for limit in loose:
                limit.now *= WIDER
            continue
        for k, limit in enumerate(limits):
            limit.learn(float(totals[k]), wholes[k])
    if best is None:
        _infeasible(solution, budgets, limits, dense, reached=cheapest)
    return best


def _as_it_is(
    fixed: dict[str, int],
    budgets: Sequence[Budget],
    dense: NetworkCost,
    price: Callable[[dict[str, int]], NetworkCost],
) -> Chosen:
    """The answer where nothing can be chosen."""
    cost = price(dict(fixed))
    for budget in budgets:
        if budget.of(cost) > budget.limit(dense):
            raise InfeasibleError(
                f"The budget {budget} asks for at most {math.floor(budget.limit(dense)):,}; nothing may be cut, and the "
                f"network costs {budget.of(cost):,}. Freeze or limit fewer layers."
            )
    solution = Solution(status="optimal", pick={}, objective=0.0, bound=0.0, seconds=0.0, name="nothing to choose")
    totals = tuple(float(budget.of(cost)) for budget in budgets)
    return Chosen(widths=dict(fixed), cost=cost, solution=solution, table_totals=totals, rounds=1)


def _infeasible(
    solution: Solution,
    budgets: Sequence[Budget],
    limits: Sequence[_Limit],
    dense: NetworkCost,
    reached: Sequence[int],
) -> NoReturn:
    if solution.status == "infeasible" and solution.blame is None:
        raise InfeasibleError(
            "No combination of the widths that are allowed fills whole units where branches are joined. "
            "Freeze or limit fewer layers, or use --align none."
        )
    if solution.status != "infeasible" and not reached:
        raise InfeasibleError(
            f"No widths within {', '.join(map(str, budgets))} were found in {solution.seconds:.1f} s, nor ruled out. "
            "Give --time-limit more, or ask for more."
        )
    k = solution.blame or 0
    budget, limit = budgets[k], limits[k]
    if solution.least is None and (len(budgets) > 1 or not reached):
        raise InfeasibleError(
            f"No widths of this target meet all of {', '.join(map(str, budgets))} together. Ask for more of one."
        )
    least = float(reached[k]) if reached else (solution.least or 0.0) * limit.ratio
    who = "cheapest network found" if reached else "narrowest network that this target and allocation allow"
    raise InfeasibleError(
        f"The budget {budget} asks for at most {math.floor(limit.asked):,}; the {who} costs {math.ceil(least):,} "
        f"({100 * least / budget.of(dense):.1f} % of dense). "
        "Ask for that or more, or cut outside the units (--align none --allocate global)."
    )
