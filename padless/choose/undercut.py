"""Alignment by cost: a width that a larger one undercuts wastes what is paid for, and is not offered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from padless.align import Levels
from padless.choose.budget import Budget
from padless.choose.plan import Plan
from padless.choose.tables import FROM_ORACLE, Tables, tabulate
from padless.choose.treated import Offered
from padless.cost import CachedOracle, NetworkCost
from padless.cost.pricing import Pricing
from padless.errors import UsageError
from padless.graph import Graph
from padless.hardware import Target
from padless.optimise.buckets import Array, Factor


def priced(
    graph: Graph,
    levels: Levels,
    target: Target,
    oracle: CachedOracle | None,
    quantities: Sequence[str],
    offered: Offered | None = None,
) -> Tables:
    """`tabulate`, and where the tables decide which widths are aligned (`Levels.priced`), what is left of them.

    Raises UsageError where none of the quantities is the oracle's.
    """
    if levels.priced and not any(quantity in FROM_ORACLE for quantity in quantities):
        raise UsageError(
            f"With align 'cost' an oracle's cycles say which widths are aligned, and the budget is on "
            f"{' and '.join(quantities)}. Use align 'unit', or a budget on cycles."
        )
    tables = tabulate(graph, levels, target, oracle, quantities, offered)
    return not_undercut(tables) if levels.priced else tables


def not_undercut(tables: Tables) -> Tables:
    """The tables without the levels of each group at which a larger width costs no more, whatever the others are.

    All of the tables' quantities must say so, so no answer is lost: the larger width keeps at least as much importance.
    Groups that lie with others on one axis keep their levels.
    """
    tied = {v for factor in tables.hard for v in factor.scope}
    factors = [*(f for costs in tables.costs.values() for f in costs), *(f for moment in tables.peaks for f in moment)]
    stay = {v: np.arange(size) for v, size in tables.sizes.items()}
    for group in tables.widths:
        if group not in tied:
            rows = [_by_level(factor, group, stay) for factor in factors if group in factor.scope]
            stay[group] = _undominated(np.concatenate(rows, axis=1)) if rows else stay[group]

    def narrowed(factors: Iterable[Factor]) -> tuple[Factor, ...]:
        return tuple(
            Factor(f.scope, f.table[np.ix_(*(stay[v] for v in f.scope))] if f.scope else f.table) for f in factors
        )

    return replace(
        tables,
        widths={id: levels[stay[id]] for id, levels in tables.widths.items()},
        costs={quantity: narrowed(costs) for quantity, costs in tables.costs.items()},
        peaks=tuple(narrowed(moment) for moment in tables.peaks),
        hard=narrowed(tables.hard),
    )


def _by_level(factor: Factor, group: str, stay: dict[str, np.ndarray]) -> Array:
    """A table as one row for each level of a group, over those levels of the others that stay."""
    table = factor.table[np.ix_(*(stay[v] for v in factor.scope))]
    return np.moveaxis(table, factor.scope.index(group), 0).reshape(len(stay[group]), -1)


def _undominated(rows: Sequence[Array] | Array) -> np.ndarray:
    """The places of those rows that no later row is nowhere above."""
    return np.array([k for k in range(len(rows)) if not any((row <= rows[k]).all() for row in rows[k + 1 :])])


def charged_for(
    pricing: Pricing, budgets: Sequence[Budget], cost: NetworkCost, widths: Mapping[str, int]
) -> NetworkCost:
    """A network whose groups are so wide, its avoidable MACs by what the oracle charges of the first budget on it."""
    return pricing.charged(cost, widths, next(FROM_ORACLE[b.counted] for b in budgets if b.counted in FROM_ORACLE))


def charged_sides(
    pricing: Pricing, budgets: Sequence[Budget], plan: Plan, dense: NetworkCost, final: NetworkCost
) -> tuple[NetworkCost, NetworkCost]:
    """Both networks of a plan; where it was aligned by cost, avoidable is what the oracle charges for."""
    if plan.align != "cost":
        return dense, final
    widths = {id: len(kept) + plan.zeros.get(id, 0) for id, kept in plan.keep.items()}
    whole = {group.id: group.width for group in pricing.graph.groups}
    return charged_for(pricing, budgets, dense, whole), charged_for(pricing, budgets, final, widths)
