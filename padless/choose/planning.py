"""The verb that decides a cut: `plan`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from torch import nn

from padless.align import Levels, aligned_levels, free_levels, priced_levels
from padless.calls import batches_of
from padless.choose.allocation import Allocation
from padless.choose.budget import PEAKS, Budget, Budgets, amount, read_budgets
from padless.choose.choices import METHODS, Changes, Choices
from padless.choose.fit import best_widths
from padless.choose.peaks import Chooser
from padless.choose.plan import Outcome, Plan
from padless.choose.ratios import RATIOS, mildest
from padless.choose.restrict import Held, check_prunable, held, restricted
from padless.choose.tables import FROM_ORACLE, WHOLE
from padless.choose.tightest import tightest
from padless.choose.undercut import priced
from padless.cost import CachedOracle, NetworkCost, OracleLike
from padless.cost.pricing import Pricing
from padless.errors import InfeasibleError, UsageError, expect
from padless.graph import Graph, Keep
from padless.hardware import Target
from padless.hardware.target import as_target
from padless.importance import Importance, importance
from padless.onnx import file_digest
from padless.progress import bar


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
    shuffled, from the training data; they are read once.
    `oracle` and `memory_oracle` are as for `inspect`. `choices` say how channels are scored and widths chosen; single ones
    may be given by name, as in `plan(…, allocate="greedy", floor=0.2)`: see `Choices`. How far from optimal the answer can
    be stands in `plan.solver`.

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
    choices = aligned_by(pricing, budgets, choices)
    curves = scored(pricing, choices, images)
    levels = offered(pricing, choices, curves)
    dense = dense or pricing.dense()
    for each in budgets:
        each.of(dense)  # raises where the target cannot say
    decide = _by_tables if choices.allocate in METHODS else _by_ratio
    try:
        allocation = decide(pricing, budgets, curves, levels, dense, choices)
    except InfeasibleError as error:
        if error.quantity not in PEAKS:
            raise
        narrowest = {id: int(widths[0]) for id, widths in levels.widths.items()}
        raise InfeasibleError(f"{error}\n{tightest(graph, narrowest, pricing.target)}", error.quantity) from error
    keep = curves.strongest(graph, allocation.widths)
    if (keep == 1).all():
        raise UsageError(
            f"Nothing to cut: the network already meets {', '.join(map(str, budgets))} and fills the units of "
            f"{pricing.target.id}. Ask for a smaller budget."
        )
    after = allocation.cost if _asks_whole(budgets) else pricing.cut(keep, whole=pricing.oracle is not None)
    before = dense
    if choices.align == "cost":
        counted = FROM_ORACLE[next(each.counted for each in budgets if each.counted in FROM_ORACLE)]
        before = pricing.charged(dense, {g.id: g.width for g in graph.groups}, counted)
        after = pricing.charged(after, allocation.widths, counted)
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
        before=before.totals,
        after=after.totals,
        keep=_kept(graph, keep),
        outputs=None if choices.outputs is None else [str(path) for path in choices.outputs],
        example_types=list(graph.example_types),
        example_structure=graph.example_structure,
        file_digest=file_digest(pricing.model),
        zeros={g.id: more for g in graph.groups if (more := allocation.widths[g.id] - g.width) > 0},
    )


def aligned_by(pricing: Pricing, budgets: Sequence[Budget], choices: Choices) -> Choices:
    """`choices` with the alignment that stands for none given: by cost where a compiler counts what is budgeted."""
    by_cost = choices.allocate in METHODS and compiled(pricing.oracle, budgets)
    return replace(choices, align=choices.align or ("cost" if by_cost else "unit"))


def compiled(oracle: CachedOracle | None, budgets: Sequence[Budget]) -> bool:
    """Whether a budget is on what a compiler counts."""
    return oracle is not None and oracle.oracle.compiles and any(each.counted in FROM_ORACLE for each in budgets)


def scored(pricing: Pricing, choices: Choices, images: Sequence[Any]) -> Importance:
    """The importance that each group keeps at each width."""
    criterion = choices.criterion(images)
    if isinstance(criterion, Importance):
        return criterion
    return importance(pricing.graph, pricing.model, criterion, images, seed=choices.seed)


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


def _by_ratio(
    pricing: Pricing, budgets: list[Budget], curves: Importance, levels: Levels, dense: NetworkCost, choices: Choices
) -> Allocation:
    with _pricing_widths("Searching", pricing, budgets, curves, dense) as price:
        ladder = _ladder(choices.allocate, pricing.graph, curves, levels)
        return mildest(budgets, dense, ladder, price, _held(pricing, budgets, levels, choices).loosen())


def _ladder(name: str, graph: Graph, curves: Importance, levels: Levels) -> Callable[[float], dict[str, int]]:
    return lambda ratio: RATIOS[name](graph, curves, levels, ratio)


def _by_tables(
    pricing: Pricing, budgets: list[Budget], curves: Importance, levels: Levels, dense: NetworkCost, choices: Choices
) -> Allocation:
    if not levels.priced:
        return _fitted(pricing, budgets, curves, levels, dense, choices)
    rival, in_units = None, replace(choices, align="unit")
    with suppress(InfeasibleError):
        rival = _fitted(pricing, budgets, curves, offered(pricing, in_units, curves), dense, in_units)
    try:
        best = _fitted(pricing, budgets, curves, levels, dense, choices)
    except InfeasibleError:
        if rival is None:
            raise
        return _proven_again(rival, pricing, budgets, curves, levels, choices)
    if rival is None or _worth(curves, best.widths) >= _worth(curves, rival.widths):
        return best
    return _proven_again(rival, pricing, budgets, curves, levels, choices)


def _proven_again(
    rival: Allocation, pricing: Pricing, budgets: list[Budget], curves: Importance, levels: Levels, choices: Choices
) -> Allocation:
    """An answer from fewer widths, with the bound of all that are offered.

    Tables of finer widths are followed further from what the compiler says of the whole network; whole units may do better.
    """
    if rival.proof is None or rival.table_totals is None:
        return rival
    tables = priced(pricing.graph, levels, pricing.target, pricing.oracle, [budget.counted for budget in budgets])
    chooser = Chooser(tables, curves, budgets, METHODS[choices.allocate], choices.time_limit)
    solution = chooser.choose(rival.table_totals)
    objective = _worth(curves, {id: rival.widths[id] for id in tables.widths})
    bound = max(solution.bound, objective)
    gap = (bound - objective) / max(abs(objective), 1e-300)
    proof = replace(
        rival.proof, status="gap left" if gap > 1e-9 else rival.proof.status, objective=objective, bound=bound, gap=gap
    )
    return replace(rival, proof=proof)


def _worth(curves: Importance, widths: Mapping[str, int]) -> float:
    return sum(float(curves.worth(id, np.array([width]))[0]) for id, width in widths.items())


def _fitted(
    pricing: Pricing, budgets: list[Budget], curves: Importance, levels: Levels, dense: NetworkCost, choices: Choices
) -> Allocation:
    graph = pricing.graph
    tables = priced(graph, levels, pricing.target, pricing.oracle, [budget.counted for budget in budgets])
    fixed = {g.id: int(levels.widths[g.id][-1]) for g in graph.groups if g.id not in tables.widths}
    ladders = [_ladder(name, graph, curves, levels) for name in RATIOS]
    with _pricing_widths("Choosing widths for", pricing, budgets, curves, dense) as price:
        best = best_widths(
            tables, curves, fixed, budgets, dense, price,
            time_limit=choices.time_limit, method=METHODS[choices.allocate], ladders=ladders,
            held=_held(pricing, budgets, levels, choices),
        )  # fmt: skip
        if best.proof and best.proof.status != "optimal" and not _asks_whole(budgets):
            best = _no_worse(best, ladders, curves, budgets, dense, price)
        return best


def _held(pricing: Pricing, budgets: list[Budget], levels: Levels, choices: Choices) -> Held:
    """Why groups are no narrower than `levels` allow."""
    finer = choices.allocate in METHODS and compiled(pricing.oracle, budgets)
    return held(
        pricing.graph, pricing.target, _of_target(pricing, choices), levels,
        aligned=choices.align != "none", finer=finer,
    )  # fmt: skip


def _no_worse(
    best: Allocation,
    ladders: Sequence[Callable[[float], dict[str, int]]],
    curves: Importance,
    budgets: list[Budget],
    dense: NetworkCost,
    price: Callable[[dict[str, int]], NetworkCost],
) -> Allocation:
    """The best answer, or what a ladder reaches: it knows widths between those that the tables offer."""
    for ladder in ladders:
        try:
            rival = mildest(budgets, dense, ladder, price)
        except InfeasibleError:
            continue
        if (more := _worth(curves, rival.widths) - _worth(curves, best.widths)) > 0 and best.proof:
            objective = best.proof.objective + more
            bound = max(best.proof.bound, objective)
            gap = (bound - objective) / max(abs(objective), 1e-300)
            proof = replace(best.proof, objective=objective, bound=bound, gap=gap)
            best = replace(best, widths=rival.widths, cost=rival.cost, proof=proof, table_totals=None)
    return best


@contextmanager
def _pricing_widths(
    title: str, pricing: Pricing, budgets: list[Budget], curves: Importance, dense: NetworkCost
) -> Iterator[Callable[[dict[str, int]], NetworkCost]]:
    """A function from widths to what the network costs with the strongest channels of each group; a bar meanwhile."""
    totals = dense.totals
    with bar(f"{title} {', '.join(map(str, budgets))}", None) as progress:

        def price(widths: dict[str, int]) -> NetworkCost:
            cost = pricing.cut(curves.strongest(pricing.graph, widths), whole=_asks_whole(budgets))
            spent = (
                f"{amount(budget, budget.of(cost), totals)} of at most {amount(budget, budget.limit(dense), totals)}"
                for budget in budgets
            )
            progress.advance(1, ", ".join(spent))
            return cost

        yield price


def _asks_whole(budgets: list[Budget]) -> bool:
    """Whether a budget is on what only the whole network tells."""
    return any(budget.counted in WHOLE for budget in budgets)
