"""The widths that each group may have: by units, by a compiler's costs or all, and by what the user wants of single ones."""

from collections.abc import Sequence

from padless.align import Levels, aligned_levels, free_levels, priced_levels
from padless.choose.budget import Budget
from padless.choose.choices import METHODS, Choices
from padless.choose.restrict import Held, held, restricted
from padless.choose.tables import FROM_ORACLE
from padless.cost import CachedOracle
from padless.cost.pricing import Pricing
from padless.graph import Graph
from padless.hardware import Target
from padless.importance import Importance


def alignments_for(pricing: Pricing, budgets: Sequence[Budget], choices: Choices) -> tuple[str, ...]:
    """What is tried in turn: what was asked for, else whole units, then a compiler's costs where it counts a budget."""
    if choices.align:
        return (choices.align,)
    by_cost = choices.allocate in METHODS and compiled(pricing.oracle, budgets)
    return ("unit", "cost") if by_cost else ("unit",)


def compiled(oracle: CachedOracle | None, budgets: Sequence[Budget]) -> bool:
    """Whether a budget is on what a compiler counts."""
    return oracle is not None and oracle.oracle.compiles and any(each.counted in FROM_ORACLE for each in budgets)


def offered(pricing: Pricing, choices: Choices, curves: Importance) -> Levels:
    """The widths that each group may have."""
    return restricted(_of_target(pricing, choices), pricing.graph, curves, choices)


def _of_target(pricing: Pricing, choices: Choices) -> Levels:
    """The widths that fill units, those that the oracle is to price, or all."""
    if choices.align == "unit" and choices.repair == "down":
        return pricing.levels
    return levels_of(pricing.graph, pricing.target, choices)


def levels_of(graph: Graph, target: Target, choices: Choices) -> Levels:
    """The widths that a network's groups may have on a target, before any of them is frozen or limited."""
    if choices.align == "none":
        return free_levels(graph)
    if choices.align == "cost":
        return priced_levels(graph, target, repair=choices.repair)
    return aligned_levels(graph, target, repair=choices.repair)


def why_held(pricing: Pricing, budgets: list[Budget], levels: Levels, choices: Choices) -> Held:
    """Why groups are no narrower than `levels` allow."""
    finer = choices.allocate in METHODS and compiled(pricing.oracle, budgets)
    return held(
        pricing.graph, pricing.target, _of_target(pricing, choices), levels,
        aligned=choices.align != "none", finer=finer,
    )  # fmt: skip
