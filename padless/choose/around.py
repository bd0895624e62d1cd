"""What lies around a plan: what each group's other widths would cost, what the budget's price is, what others would keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from padless.align import Levels
from padless.choose.budget import PEAKS, Budget
from padless.choose.choices import Choices
from padless.choose.frontier import summed
from padless.choose.offering import offered
from padless.choose.peaks import problem_of
from padless.choose.plan import Plan
from padless.choose.ratios import RATIOS
from padless.choose.tables import FROM_ORACLE, Tables
from padless.choose.treated import offered_to
from padless.choose.undercut import priced
from padless.cost import NetworkCost
from padless.cost.pricing import Pricing
from padless.importance import Importance
from padless.importance.curves import ranked
from padless.optimise import Corner, Moves, hull, price_at

COUNTED = "padded_macs"  # where every budget is on a peak: peaks do not add up


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """A group's widths, and at each of them: what its layers cost, the other groups being as planned (None where that is
    not allowed), what it is worth, and the share of the group's importance that stays (both empty where it is not known)."""

    widths: tuple[int, ...]
    costs: tuple[float | None, ...]
    worths: tuple[float, ...]
    kept: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """What the best widths for another budget cost and keep."""

    cost: float
    kept: float
    widths: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """`quantity` is what all costs here are of, by the tables: a sum over layers.

    `spent` is the plan's, `dense` the dense network's. `price` is the worth that one unit more of it buys at the plan, 0
    where no budget is on it. `kept` is the importance that the plan keeps. `levels` are the widths that were offered.
    `family` are the best widths of other budgets on this quantity alone, cheapest first.
    """

    quantity: str
    spent: float
    dense: float
    price: float
    kept: float | None
    levels: Levels
    steps: dict[str, Steps]
    family: tuple[Neighbour, ...]


def around(
    pricing: Pricing, plan: Plan, choices: Choices, curves: Importance | None, dense: NetworkCost
) -> Around | None:
    """What the tables that a plan was made on say beside it. Without `curves` of importance there is no price and no family.

    The tables are made again, from answers that the oracle has given; None where the plan was made without any.
    """
    budgets, graph = [Budget.parse(outcome.budget) for outcome in plan.outcomes], pricing.graph
    quantity = _quantity(budgets)
    if plan.allocate in RATIOS and quantity in FROM_ORACLE:
        return None
    chosen = replace(choices, align=plan.align, floor=choices.floor if curves else 0.0)
    importance = curves or ranked(graph, np.ones(graph.channels), comparable=True)  # of which nothing is told
    levels = offered(pricing, chosen, importance)
    quantities = list(dict.fromkeys([*(budget.counted for budget in budgets), quantity]))
    planned = {layer: (each,) for layer, each in plan.treatments.items()} if quantity in FROM_ORACLE else {}
    treated = offered_to(planned, pricing, dense)
    tables = priced(graph, levels, pricing.target, pricing.oracle, quantities, treated).treated(plan.treatments)
    fixed = {g.id: int(levels.widths[g.id][-1]) for g in graph.groups if g.id not in tables.widths}
    problem = problem_of(tables, importance, [Budget(quantity=quantity, share=1.0)])
    moves = Moves(problem)
    widths = {id: len(kept) + plan.zeros.get(id, 0) for id, kept in plan.keep.items()}
    state = moves.start({id: int(np.abs(levels - widths[id]).argmin()) for id, levels in tables.widths.items()})
    spent = float(state.spent[0])
    corners = hull(problem, spent) if curves and tables.sizes else []
    return Around(
        quantity=quantity,
        spent=spent,
        dense=summed(pricing, quantity) or float(Budget(quantity=quantity, share=1.0).of(dense)),
        price=price_at(corners, spent) if any(budget.counted == quantity for budget in budgets) else 0.0,
        kept=importance.kept({id: min(width, graph.group(id).width) for id, width in widths.items()})
        if curves
        else None,
        levels=levels,
        steps={
            id: _steps(curves, id, levels.tolist(), moves.ladder(state, id)) for id, levels in tables.widths.items()
        },
        family=tuple(_neighbour(corner, tables, fixed, importance) for corner in corners),
    )


def _quantity(budgets: Sequence[Budget]) -> str:
    """What a family of budgets is on: what an oracle counts, else the first budget that adds up over layers."""
    sums = [budget.counted for budget in budgets if budget.counted not in PEAKS]
    return next((each for each in sums if each in FROM_ORACLE), sums[0] if sums else COUNTED)


def _steps(importance: Importance | None, id: str, widths: list[int], costs: list[float | None]) -> Steps:
    if importance is None:
        return Steps(widths=tuple(widths), costs=tuple(costs), worths=(), kept=())
    curve, at = importance.curves[id], np.array(widths)
    whole = float(curve.kept[-1]) or 1.0
    return Steps(
        widths=tuple(widths),
        costs=tuple(costs),
        worths=tuple(importance.worth(id, at).tolist()),
        kept=tuple((curve.at(at) / whole).tolist()),
    )


def _neighbour(corner: Corner, tables: Tables, fixed: Mapping[str, int], importance: Importance) -> Neighbour:
    widths = {**fixed, **{id: int(levels[corner.pick[id]]) for id, levels in tables.widths.items()}}
    return Neighbour(cost=corner.cost, kept=importance.kept(widths), widths=widths)
