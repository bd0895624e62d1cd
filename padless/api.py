"""The verbs that work on a model and a target: `inspect` what it costs, `plan` a cut."""

from importlib.metadata import version
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from padless.choose import (
    ALLOCATIONS,
    Budget,
    Outcome,
    Plan,
    aligned_levels,
    free_levels,
    importance,
    parse_budget,
    search,
    strongest,
)
from padless.cost import NetworkCost
from padless.errors import UsageError, suggest
from padless.graph import Graph
from padless.hardware import Target, load_target
from padless.pricing import Pricing
from padless.progress import bar

ALIGNMENTS = ("unit", "none")
REPAIRS = ("down", "up")


def inspect(
    model: nn.Module,
    *example: Tensor,
    target: Target | str | Path,
    oracle: str | None = None,
    system_config: str | None = None,
    memory_mode: str | None = None,
) -> NetworkCost:
    """What `model` computes, stores and wastes on `target`, layer by layer and in all, for inputs shaped as `example`.

    `oracle` says who is asked for cycles: `ceil`, `vela`, `scalesim 16x16`, `zigzag 16x16`, `onnxruntime`, `csv FILE`, a
    command with `{cin}` and `{cout}` in it, or one that another package brings; by default the best that the target has.
    `system_config` and `memory_mode` are Vela's, for Ethos-U targets; the target's own are the default.
    Raises UsageError for an unknown target, TraceError for a model that does not run, OracleError from the compiler.
    """
    with Pricing(
        model, example, _target(target), oracle=oracle, system_config=system_config, memory_mode=memory_mode
    ) as pricing:
        return pricing.dense()


def plan(
    model: nn.Module,
    *example: Tensor,
    target: Target | str | Path,
    budget: Budget | str,
    importance: str = "l1",
    allocate: str = "global",
    align: str = "unit",
    repair: str = "down",
    seed: int = 0,
    oracle: str | None = None,
    system_config: str | None = None,
    memory_mode: str | None = None,
) -> Plan:
    """Which channels each group of `model` keeps so that its cost on `target` meets `budget`.

    `budget` is `cycles=50%`, `macs=50%`, `weight_bytes=300k` and the like, and is met after alignment. `align="unit"`
    keeps only widths that fill the target's units; `align="none"` is general pruning, the baseline. A group whose own
    width fills none (24 channels in units of 16) goes down to one that does, or with `repair="up"` may keep all its
    channels and get zeros, which the hardware would have multiplied anyway. The model is only
    read. `oracle` as for `inspect`. Raises UsageError, InfeasibleError (with the least possible), TraceError, OracleError.
    """
    with Pricing(
        model, example, _target(target), oracle=oracle, system_config=system_config, memory_mode=memory_mode
    ) as pricing:
        return make_plan(
            pricing, budget, criterion=importance, allocate=allocate, align=align, repair=repair, seed=seed
        )


def make_plan(
    pricing: Pricing,
    budget: Budget | str,
    *,
    criterion: str,
    allocate: str,
    align: str,
    repair: str,
    seed: int,
    dense: NetworkCost | None = None,
) -> Plan:
    """`plan` for a model whose pricing is open already; `dense` is its cost where that is known."""
    budget = parse_budget(budget) if isinstance(budget, str) else budget
    for what, value, known in (
        ("allocate", allocate, list(ALLOCATIONS)),
        ("align", align, list(ALIGNMENTS)),
        ("repair", repair, list(REPAIRS)),
    ):
        if value not in known:
            raise UsageError(f"{what} cannot be {value!r}. {suggest(value, known)}")
    graph = pricing.graph
    check_prunable(graph)
    scores = importance(graph, pricing.model, criterion)
    aligned = pricing.levels if repair == "down" else aligned_levels(graph, pricing.target, repair=repair)
    levels = aligned if align == "unit" else free_levels(graph)
    dense = dense or pricing.dense()
    asks_cycles = budget.quantity in ("cycles", "npu_cycles")
    with bar(f"Searching {budget}", None) as shown:

        def price(widths: dict[str, int]) -> NetworkCost:
            cost = pricing.cut(strongest(graph, scores, widths), cycles=asks_cycles)
            shown.advance(1, f"{budget.of(cost):,} of at most {budget.limit(dense):,.0f}")
            return cost

        choice = search(budget, dense, lambda ratio: ALLOCATIONS[allocate](graph, scores, levels, ratio), price)
    keep = strongest(graph, scores, choice.widths)
    if (keep == 1).all():
        raise UsageError(
            f"Nothing to cut: the network already meets {budget} and fills the units of {pricing.target.id}. "
            "Ask for a smaller budget."
        )
    after = choice.cost if asks_cycles else pricing.cut(keep)
    return Plan(
        version=version("padless"),
        digest=graph.digest(),
        example_shapes=[list(shape) for shape in graph.example_shapes],
        target=pricing.target.id,
        importance=criterion,
        allocate=allocate,
        align=align,
        ratio=choice.ratio,
        seed=seed,
        outcome=Outcome(
            budget=str(budget),
            limit=budget.limit(dense),
            achieved=budget.of(after),
            next_milder=budget.of(choice.milder) if choice.milder else None,
        ),
        before=dense.totals(),
        after=after.totals(),
        keep={g.id: np.flatnonzero(keep[g.channels]).tolist() for g in graph.groups},
        zeros={g.id: more for g in graph.groups if (more := choice.widths[g.id] - g.width) > 0},
    )


def check_prunable(graph: Graph) -> None:
    """Raises UsageError, with the reasons, when no channel of the network may be cut."""
    if any(g.pinned is None for g in graph.groups):
        return
    reasons = dict.fromkeys(f"{g.id}: {g.pinned}" for g in graph.groups)
    raise UsageError(
        "There is nothing to prune: no layer of this network has output channels that may be cut."
        + "".join(f"\n  {reason}" for reason in list(reasons)[:5])
    )


def _target(target: Target | str | Path) -> Target:
    return target if isinstance(target, Target) else load_target(target)
