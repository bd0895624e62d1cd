"""The widths that each group may have: by units, by a compiler's costs or all, and by what the user wants of single ones."""

from collections.abc import Sequence
from dataclasses import replace

from padless.align import Levels, aligned_levels, free_levels, priced_levels
from padless.choose.budget import Budget
from padless.choose.choices import METHODS, Choices
from padless.choose.restrict import Held, bounded, held, restricted
from padless.choose.tables import FROM_ORACLE
from padless.cost import CachedOracle
from padless.cost.pricing import Pricing
from padless.cut.branches import Branches
from padless.errors import UsageError
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
    """The widths that each group may have, and with `depth` the groups that may have none.

    Raises UsageError where no branch may go, or the importance does not say what one is worth.
    """
    levels = restricted(_of_target(pricing, choices), pricing.graph, curves, choices)
    return replace(levels, branches=_branches(pricing, choices, curves, levels)) if choices.depth else levels


def _branches(pricing: Pricing, choices: Choices, curves: Importance, levels: Levels) -> Branches:
    """Those that may go, but for what was frozen, limited, or is on an axis that only a sum aligns."""
    if not curves.comparable:
        raise UsageError(
            f"The importance {curves.name} has no unit in common with that of a whole branch. Use reconstruction (with "
            "--data), or leave depth out."
        )
    limited = bounded(pricing.graph, choices)
    stay = {id for axis in levels.joint for id in axis.repeats} | limited
    if choices.floor:
        stay |= {group.id for group in pricing.graph.groups}
    left = pricing.branches.without(stay)
    if not left.groups:
        raise UsageError(
            "No branch of this network may go altogether: the outputs must still depend on the inputs beside it, and it "
            "must stand between layers of torch's own (those of ONNX files are not). Leave depth out"
            + (", or freeze, limit and floor." if limited or choices.floor else ".")
        )
    return left


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


def why_held(pricing: Pricing, budgets: list[Budget], levels: Levels, choices: Choices, curves: Importance) -> Held:
    """Why groups are no narrower than `levels` allow, and whether branches could go that were not asked for."""
    shallower = not choices.depth and choices.allocate in METHODS and curves.comparable
    finer = choices.allocate in METHODS and compiled(pricing.oracle, budgets)
    return held(
        pricing.graph, pricing.target, _of_target(pricing, choices), levels,
        aligned=choices.align != "none", finer=finer,
        shallower=lambda: shallower and bool(pricing.branches.groups),
    )  # fmt: skip
