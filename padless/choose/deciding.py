"""How many channels each group keeps: on tables of costs, or by one ratio."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import numpy as np

from padless.align import Levels
from padless.choose.allocation import Allocation
from padless.choose.budget import Budget, amount
from padless.choose.choices import METHODS, Choices
from padless.choose.fit import Price, best_widths, may_be_better
from padless.choose.offering import offered, why_held
from padless.choose.peaks import Chooser
from padless.choose.ratios import RATIOS, mildest
from padless.choose.tables import WHOLE, Tables
from padless.choose.treated import offered_to
from padless.choose.undercut import priced
from padless.cost import NetworkCost
from padless.cost.pricing import Pricing
from padless.errors import InfeasibleError, UsageError
from padless.graph import Graph
from padless.importance import Importance
from padless.progress import bar


def by_ratio(
    pricing: Pricing, budgets: list[Budget], curves: Importance, levels: Levels, dense: NetworkCost, choices: Choices
) -> Allocation:
    """The widths of the mildest ratio that meets the budgets."""
    with _pricing_widths("Searching", pricing, budgets, curves, dense) as price:
        ladder = _ladder(choices.allocate, pricing.graph, curves, levels)
        way_out = why_held(pricing, budgets, levels, choices, curves).loosen()
        return mildest(budgets, dense, ladder, lambda widths: price(widths, {}), way_out)


def _ladder(name: str, graph: Graph, curves: Importance, levels: Levels) -> Callable[[float], dict[str, int]]:
    return lambda ratio: RATIOS[name](graph, curves, levels, ratio)


def by_tables(
    pricing: Pricing, budgets: list[Budget], curves: Importance, levels: Levels, dense: NetworkCost, choices: Choices
) -> Allocation:
    """The best widths on tables of costs; where a compiler's costs align, no worse than whole units."""
    if not levels.priced:
        return _fitted(pricing, budgets, curves, levels, dense, choices)
    rival, in_units = None, replace(choices, align="unit")
    with suppress(UsageError):  # units may leave no width between the user's limits
        rival = _fitted(pricing, budgets, curves, offered(pricing, in_units, curves), dense, in_units)
    try:
        best = _fitted(pricing, budgets, curves, levels, dense, choices)
    except InfeasibleError:
        if rival is None:
            raise
        return _proven_again(rival, _tables(pricing, budgets, curves, levels, dense), budgets, curves, choices)
    if rival is None or _worth(curves, best) >= _worth(curves, rival):
        return best
    return _proven_again(rival, _tables(pricing, budgets, curves, levels, dense), budgets, curves, choices)


def _proven_again(
    rival: Allocation, tables: Tables, budgets: list[Budget], curves: Importance, choices: Choices
) -> Allocation:
    """An answer from a part of what is offered, with the bound of all of it.

    Larger tables are followed further from what the compiler says of the whole network; whole units, or widths alone, may do
    better.
    """
    if rival.proof is None or rival.table_totals is None:
        return rival
    chooser = Chooser(tables, curves, budgets, METHODS[choices.allocate], choices.time_limit)
    solution = chooser.choose(rival.table_totals)
    objective = _worth(curves, replace(rival, widths={id: rival.widths[id] for id in tables.widths}))
    bound = max(solution.bound, objective)
    gap = (bound - objective) / max(abs(objective), 1e-300)
    proof = replace(
        rival.proof, status="gap left" if gap > 1e-9 else rival.proof.status, objective=objective, bound=bound, gap=gap
    )
    return replace(rival, proof=proof)


def _tables(pricing: Pricing, budgets: list[Budget], curves: Importance, levels: Levels, dense: NetworkCost) -> Tables:
    quantities = [budget.counted for budget in budgets]
    return priced(
        pricing.graph, levels, pricing.target, pricing.oracle, quantities, offered_to(curves.treated, pricing, dense)
    )


def _worth(curves: Importance, allocation: Allocation) -> float:
    widths = sum(float(curves.worth(id, np.array([width]))[0]) for id, width in allocation.widths.items())
    return widths + sum(float(curves.worth_treated(layer, [each])[0]) for layer, each in allocation.treatments.items())


def _fitted(
    pricing: Pricing, budgets: list[Budget], curves: Importance, levels: Levels, dense: NetworkCost, choices: Choices
) -> Allocation:
    graph = pricing.graph
    tables = _tables(pricing, budgets, curves, levels, dense)
    fixed = {g.id: int(levels.widths[g.id][-1]) for g in graph.groups if g.id not in tables.widths}
    ladders = [_ladder(name, graph, curves, levels) for name in RATIOS]
    with _pricing_widths("Choosing widths for", pricing, budgets, curves, dense) as price:

        def best_on(tables: Tables) -> Allocation:
            return best_widths(
                tables, curves, fixed, budgets, dense, price,
                time_limit=choices.time_limit, spare=choices.spare, method=METHODS[choices.allocate], ladders=ladders,
                held=why_held(pricing, budgets, levels, choices, curves),
            )  # fmt: skip

        best = best_on(tables)
        untreated = tables.treated({})
        if tables.treatments and may_be_better(untreated, curves, budgets, dense, choices.time_limit, best):
            with suppress(InfeasibleError):
                alone = best_on(untreated)
                if _worth(curves, alone) > _worth(curves, best):
                    best = _proven_again(alone, tables, budgets, curves, choices)
        if best.proof and best.proof.status != "optimal" and not asks_whole(budgets):
            best = _no_worse(best, ladders, curves, budgets, dense, price)
        return best


def _no_worse(
    best: Allocation,
    ladders: Sequence[Callable[[float], dict[str, int]]],
    curves: Importance,
    budgets: list[Budget],
    dense: NetworkCost,
    price: Price,
) -> Allocation:
    """The best answer, or what a ladder reaches: it knows widths between those that the tables offer."""
    for ladder in ladders:
        try:
            rival = mildest(budgets, dense, ladder, lambda widths: price(widths, {}))
        except InfeasibleError:
            continue
        if (more := _worth(curves, rival) - _worth(curves, best)) > 0 and best.proof:
            objective = best.proof.objective + more
            bound = max(best.proof.bound, objective)
            gap = (bound - objective) / max(abs(objective), 1e-300)
            proof = replace(best.proof, objective=objective, bound=bound, gap=gap)
            best = replace(rival, proof=proof, ratio=None, milder=None)
    return best


@contextmanager
def _pricing_widths(
    title: str, pricing: Pricing, budgets: list[Budget], curves: Importance, dense: NetworkCost
) -> Iterator[Price]:
    """A function from widths and treatments to what the network costs with the strongest channels of each group, its weights
    rounded as the treatments say; a bar meanwhile."""
    totals = dense.totals()
    with bar(f"{title} {', '.join(map(str, budgets))}", None) as progress:

        def price(widths: dict[str, int], treatments: dict[str, str]) -> NetworkCost:
            keep = curves.strongest(pricing.graph, widths)
            cost = pricing.cut(keep, whole=asks_whole(budgets), treatments=treatments)
            spent = (
                f"{amount(budget, budget.of(cost), totals)} of at most {amount(budget, budget.limit(dense), totals)}"
                for budget in budgets
            )
            progress.advance(1, ", ".join(spent))
            return cost

        yield price


def asks_whole(budgets: list[Budget]) -> bool:
    """Whether a budget is on what only the whole network tells."""
    return any(budget.counted in WHOLE for budget in budgets)
