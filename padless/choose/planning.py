"""The verb that decides a cut: `plan`."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from torch import nn

from padless.batches import batches_of
from padless.choose.allocation import Allocation
from padless.choose.budget import PEAKS, Budget, Budgets, read_budgets
from padless.choose.choices import METHODS, Changes, Choices
from padless.choose.deciding import asks_whole, by_ratio, by_tables
from padless.choose.offering import alignments_for, offered
from padless.choose.paying import check_counted, paying
from padless.choose.plan import Outcome, Plan
from padless.choose.restrict import check_prunable
from padless.choose.tables import FROM_ORACLE
from padless.choose.tightest import tightest
from padless.choose.undercut import charged_for
from padless.cost import NetworkCost, OracleLike
from padless.cost.pricing import Pricing
from padless.errors import InfeasibleError, UntreatedError, UsageError, expect
from padless.graph import Graph, Keep
from padless.hardware import Target
from padless.hardware.target import as_target
from padless.importance import WATCHING, Criterion, Importance, importance
from padless.importance.kept import Kept
from padless.importance.treated import treatment_losses
from padless.onnx import file_digest
from padless.progress import console
from padless.treat.treatment import Treatment


def plan(
    model: nn.Module,
    *example: Any,
    target: Target | str | Path,
    budget: Budgets,
    images: Iterable[Any] = (),
    oracle: str | OracleLike | None = None,
    memory_oracle: str | OracleLike | None = None,
    choices: Choices | None = None,
    **changes: Unpack[Changes],
) -> Plan:
    """Which channels each group of `model` keeps so that its cost on `target` meets `budget`. The model is only read.

    `budget` is `cycles=50%`, `latency=5ms`, `weight_bytes=300k` and the like, or several of them; each is met after
    alignment. `example` are the forward's arguments: tensors, or tuples and dictionaries of them. `images` are calibration
    batches [N, ...] (tuples of several arguments, or dictionaries), a DataLoader, whose labels are left out, or a data set:
    shuffled, from the training data; they are read once. `oracle` and `memory_oracle` are as for `inspect`. `choices` say
    how channels are scored and widths chosen; single ones may be given by name, as in
    `plan(…, allocate="greedy", floor=0.2)`: see `Choices`. How far from optimal the answer can be stands in `plan.solver`.

    Raises UsageError, InfeasibleError (with the least that is possible), TraceError, OracleError.
    """
    expect(choices, (Choices, type(None)), "choices", "Write padless.Choices(allocate=…), or the choice by its name.")
    chosen = replace(choices or Choices(), **changes)
    batches = batches_of(images, len(example))
    with Pricing(
        model, example, as_target(target), oracle=oracle, memory_oracle=memory_oracle, outputs=chosen.outputs
    ) as pricing:
        return make_plan(pricing, budget, chosen, batches)


def make_plan(
    pricing: Pricing,
    budget: Budgets,
    choices: Choices,
    images: Sequence[Any] = (),
    *,
    dense: NetworkCost | None = None,
) -> Plan:
    """`plan` for a model whose pricing is open already; `dense` is its cost where that is known."""
    budgets, graph = read_budgets(budget), pricing.graph
    check_prunable(graph)
    curves = scored(pricing, choices, images, budgets)
    dense = dense or pricing.dense()
    for each in budgets:
        each.of(dense)  # raises where the target cannot say
    choices, allocation = _decided(pricing, budgets, curves, dense, choices)
    keep = curves.strongest(graph, allocation.widths)
    if (keep == 1).all() and not allocation.treatments:
        raise UsageError(
            f"Nothing to cut: the network already meets {', '.join(map(str, budgets))} and fills the units of "
            f"{pricing.target.id}. Ask for a smaller budget."
        )
    after = allocation.cost if asks_whole(budgets) else pricing.cut(keep, whole=pricing.oracle is not None)
    before = dense
    if choices.align == "cost":
        before = charged_for(pricing, budgets, dense, {g.id: g.width for g in graph.groups})
        after = charged_for(pricing, budgets, after, allocation.widths)
    return Plan(
        version=version("padless"),
        digest=graph.digest(),
        example_shapes=[list(shape) for shape in graph.example_shapes],
        target=pricing.target.id,
        importance=curves.name,
        allocate=choices.allocate,
        align=choices.align or "unit",
        ratio=allocation.ratio,
        seed=choices.seed,
        outcomes=_outcomes(budgets, allocation, dense, after),
        solver=allocation.proof,
        importance_kept=curves.kept({id: min(n, graph.group(id).width) for id, n in allocation.widths.items()}),
        before=before.totals(),
        after=after.totals(),
        keep=_kept(graph, keep),
        outputs=None if choices.outputs is None else [str(path) for path in choices.outputs],
        example_types=list(graph.example_types),
        example_structure=graph.example_structure,
        file_digest=file_digest(pricing.model),
        zeros={g.id: more for g in graph.groups if (more := allocation.widths[g.id] - g.width) > 0},
        treatments=allocation.treatments,
    )


def _decided(
    pricing: Pricing, budgets: list[Budget], curves: Importance, dense: NetworkCost, choices: Choices
) -> tuple[Choices, Allocation]:
    """The widths, and the choices with the alignment that they were found by."""
    alignments = alignments_for(pricing, budgets, choices)
    decide = by_tables if choices.allocate in METHODS else by_ratio
    for align in alignments[:-1]:
        chosen = replace(choices, align=align)
        with suppress(UsageError):  # out of reach, or one width for every group
            return chosen, decide(pricing, budgets, curves, offered(pricing, chosen, curves), dense, chosen)
    chosen = replace(choices, align=alignments[-1])
    levels = offered(pricing, chosen, curves)
    try:
        allocation = decide(pricing, budgets, curves, levels, dense, chosen)
    except InfeasibleError as error:
        if error.quantity not in PEAKS or choices.depth:  # what follows is of narrow networks, not of shallow ones
            raise
        narrowest = {id: int(widths[0]) for id, widths in levels.widths.items()}
        bound = tightest(pricing.graph, narrowest, pricing.target)
        raise InfeasibleError(f"{error}\n{bound}", error.quantity) from error
    if len(alignments) > 1:
        console.print("Whole units do not reach the budget: the compiler's costs align instead (--align cost).")
    return chosen, allocation


def scored(pricing: Pricing, choices: Choices, images: Sequence[Any], budgets: Sequence[Budget]) -> Importance:
    """The importance that each group keeps at each width, and what treatments of its layers lose where they are offered.

    Offered are those that make less of what a budget is on.
    """
    criterion = choices.criterion(images)
    check_counted(choices, budgets)
    if isinstance(criterion, Importance):
        if choices.insists and not criterion.treated:
            raise UsageError("These curves of importance say nothing of treatments. Leave the importance or treat out.")
        return criterion if choices.treat and choices.allocate == "optimal" else replace(criterion, treated={})
    kinds = _kinds(pricing, choices, criterion, budgets)  # before minutes are spent
    graph, model = pricing.graph, pricing.model
    criterion = "reconstruction" if kinds else criterion  # the one that treatments are weighed beside
    if criterion not in WATCHING:
        return importance(graph, model, criterion, images, seed=choices.seed)
    kept = Kept(graph, model, images)
    curves = kept.curves(lambda: importance(graph, model, criterion, images), criterion)
    if not kinds:
        return curves
    try:
        losses = kept.losses(lambda: treatment_losses(graph, model, images, kinds), *map(str, kinds))
    except UntreatedError as error:
        _untreated(choices, error)
        return curves
    return replace(curves, treated=losses)


def _kinds(
    pricing: Pricing, choices: Choices, criterion: str | Criterion, budgets: Sequence[Budget]
) -> tuple[Treatment, ...]:
    """The treatments that layers are offered. Those of `auto` are none where they are worth nothing or cannot be weighed."""
    fields = {FROM_ORACLE[budget.counted] for budget in budgets if budget.counted in FROM_ORACLE}
    unfit = choices.allocate != "optimal" or criterion != "reconstruction" or not fields
    if not choices.treat or (unfit and not choices.insists):
        return ()
    try:
        return paying(pricing, choices, fields)
    except UntreatedError as error:
        _untreated(choices, error)
        return ()


def _untreated(choices: Choices, error: UntreatedError) -> None:
    """Raises it where treatments are named; of `auto` it is told."""
    if choices.insists:
        raise error
    console.print(f"Weights stay as they are: {error.reason}")


def _outcomes(
    budgets: Sequence[Budget], allocation: Allocation, dense: NetworkCost, after: NetworkCost
) -> list[Outcome]:
    return [
        Outcome(
            budget=str(budget),
            asked=budget.limit(dense),
            table_total=allocation.table_totals[k] if allocation.table_totals else None,
            compiler_total=budget.of(after),
            next_milder=budget.of(allocation.milder) if allocation.milder else None,
        )
        for k, budget in enumerate(budgets)
    ]


def _kept(graph: Graph, keep: Keep) -> dict[str, list[int]]:
    return {g.id: np.flatnonzero(keep[g.channels]).tolist() for g in graph.groups}
