"""The verbs that work on a model and a target: `inspect` what it costs, `plan` a cut."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from padless.align import Levels, aligned_levels, free_levels
from padless.choose.budget import Budget, read_budgets, search
from padless.choose.fit import optimal
from padless.choose.plan import Outcome, Plan, Solver
from padless.choose.ratios import RATIOS
from padless.choose.restrict import check_prunable, restricted
from padless.choose.tables import WHOLE, tabulate
from padless.cost import NetworkCost
from padless.cost.pricing import Pricing
from padless.errors import UsageError, suggest
from padless.hardware import Target
from padless.hardware.target import as_target
from padless.importance import Criterion, Importance, importance
from padless.optimise import frozen_inputs, greedy, solve
from padless.progress import bar

METHODS = {"optimal": solve, "greedy": greedy, "frozen": frozen_inputs}  # on tables of costs
ALLOCATIONS = (*METHODS, *RATIOS)
ALIGNMENTS = ("unit", "none")
REPAIRS = ("down", "up")


def plan(
    model: nn.Module,
    *example: Tensor,
    target: Target | str | Path,
    budget: Budget | str | Sequence[Budget | str],
    importance: str | Criterion | Importance | None = None,
    images: Sequence[Tensor] = (),
    allocate: str = "optimal",
    align: str = "unit",
    repair: str = "down",
    freeze: Sequence[str] = (),
    widths: Mapping[str, tuple[int, int]] | None = None,
    floor: float = 0.0,
    time_limit: float = 10.0,
    seed: int = 0,
    oracle: str | None = None,
    system_config: str | None = None,
    memory_mode: str | None = None,
) -> Plan:
    """Which channels each group of `model` keeps so that its cost on `target` meets `budget`.

    `budget` is `cycles=50%`, `macs=50%`, `weight_bytes=300k` and the like, or several of them; each is met after
    alignment. `allocate="optimal"` keeps the most importance that fits, and says how far from optimal it can be
    (`plan.solver`); `time_limit` is in seconds, for each solution. The others are baselines: `greedy` by importance per
    cost, `frozen` (a knapsack that prices layers by their outputs alone), `uniform` and `global` by one ratio or threshold.
    `importance` is a criterion's name, `package.module:function`, a function (graph, model, images) -> one score a
    channel, or curves from `padless.importance`; `reconstruction` by default where `images` (calibration
    batches [N, ...], shuffled, from the training data) are given, else `l1`.

    `align="unit"` keeps only widths that fill the target's units; `align="none"` is general pruning, the baseline. A
    group whose own width fills none (24 channels in units of 16) goes down to one that does, or with `repair="up"` may
    keep all its channels and get zeros, which the hardware would have multiplied anyway. Layers named in `freeze` keep
    all their output channels, those in `widths` from a least to a greatest number (both may have wildcards), and every
    group keeps at least the share `floor` of its importance. The model is only read. `oracle` as for `inspect`. Raises
    UsageError, InfeasibleError (with the least possible), TraceError, OracleError.
    """
    with Pricing(
        model, example, as_target(target), oracle=oracle, system_config=system_config, memory_mode=memory_mode
    ) as pricing:
        return make_plan(
            pricing, budget, criterion=importance, images=images, allocate=allocate, align=align, repair=repair,
            freeze=freeze, widths=widths, floor=floor, time_limit=time_limit, seed=seed,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Widths:
    """What an allocation decided."""

    widths: dict[str, int]
    cost: NetworkCost
    milder: NetworkCost | None = None
    ratio: float | None = None
    tables: tuple[float, ...] | None = None
    solver: Solver | None = None


def make_plan(
    pricing: Pricing,
    budget: Budget | str | Sequence[Budget | str],
    *,
    criterion: str | Criterion | Importance | None,
    images: Sequence[Tensor] = (),
    allocate: str,
    align: str,
    repair: str,
    freeze: Sequence[str] = (),
    widths: Mapping[str, tuple[int, int]] | None = None,
    floor: float = 0.0,
    time_limit: float = 10.0,
    seed: int,
    dense: NetworkCost | None = None,
) -> Plan:
    """`plan` for a model whose pricing is open already; `dense` is its cost where that is known."""
    budgets = read_budgets(budget)
    for what, value, known in (
        ("allocate", allocate, list(ALLOCATIONS)),
        ("align", align, list(ALIGNMENTS)),
        ("repair", repair, list(REPAIRS)),
    ):
        if value not in known:
            raise UsageError(f"{what} cannot be {value!r}. {suggest(value, known)}")
    graph = pricing.graph
    check_prunable(graph)
    criterion = criterion or ("reconstruction" if images else "l1")
    if isinstance(criterion, Importance):
        found = criterion
    else:
        found = importance(graph, pricing.model, criterion, images, seed=seed)
    aligned = pricing.levels if repair == "down" else aligned_levels(graph, pricing.target, repair=repair)
    levels = aligned if align == "unit" else free_levels(graph)
    levels = restricted(levels, graph, found, freeze=freeze, widths=widths, floor=floor)
    dense = dense or pricing.dense()
    for one in budgets:
        one.of(dense)  # raises where the target cannot say
    decide = _by_tables if allocate in METHODS else _by_ratio
    chosen = decide(pricing, budgets, found, levels, dense, allocate, time_limit)
    keep = found.strongest(graph, chosen.widths)
    asked = ", ".join(map(str, budgets))
    if (keep == 1).all():
        raise UsageError(
            f"Nothing to cut: the network already meets {asked} and fills the units of {pricing.target.id}. "
            "Ask for a smaller budget."
        )
    after = chosen.cost if _asks_whole(budgets) else pricing.cut(keep, whole=pricing.asked is not None)
    return Plan(
        version=version("padless"),
        digest=graph.digest(),
        example_shapes=[list(shape) for shape in graph.example_shapes],
        target=pricing.target.id,
        importance=found.name,
        allocate=allocate,
        align=align,
        ratio=chosen.ratio,
        seed=seed,
        outcomes=[
            Outcome(
                budget=str(one),
                asked=one.limit(dense),
                table_total=chosen.tables[k] if chosen.tables else None,
                compiler_total=one.of(after),
                next_milder=one.of(chosen.milder) if chosen.milder else None,
            )
            for k, one in enumerate(budgets)
        ],
        solver=chosen.solver,
        importance_kept=found.kept({id: min(width, graph.group(id).width) for id, width in chosen.widths.items()}),
        before=dense.totals(),
        after=after.totals(),
        keep={g.id: np.flatnonzero(keep[g.channels]).tolist() for g in graph.groups},
        zeros={g.id: more for g in graph.groups if (more := chosen.widths[g.id] - g.width) > 0},
    )


def _by_ratio(
    pricing: Pricing,
    budgets: list[Budget],
    found: Importance,
    levels: Levels,
    dense: NetworkCost,
    allocate: str,
    time_limit: float,
) -> _Widths:
    graph = pricing.graph
    with bar(f"Searching {', '.join(map(str, budgets))}", None) as shown:

        def price(widths: dict[str, int]) -> NetworkCost:
            cost = pricing.cut(found.strongest(graph, widths), whole=_asks_whole(budgets))
            shown.advance(1, _progress(budgets, cost, dense))
            return cost

        choice = search(budgets, dense, lambda ratio: RATIOS[allocate](graph, found, levels, ratio), price)
    return _Widths(widths=choice.widths, cost=choice.cost, milder=choice.milder, ratio=choice.ratio)


def _by_tables(
    pricing: Pricing,
    budgets: list[Budget],
    found: Importance,
    levels: Levels,
    dense: NetworkCost,
    allocate: str,
    time_limit: float,
) -> _Widths:
    graph = pricing.graph
    tables = tabulate(graph, levels, pricing.target, pricing.asked, [one.quantity for one in budgets])
    fixed = {g.id: int(levels.widths[g.id][-1]) for g in graph.groups if g.id not in tables.widths}
    with bar(f"Choosing widths for {', '.join(map(str, budgets))}", None) as shown:

        def price(widths: dict[str, int]) -> NetworkCost:
            cost = pricing.cut(found.strongest(graph, widths), whole=_asks_whole(budgets))
            shown.advance(1, _progress(budgets, cost, dense))
            return cost

        chosen = optimal(tables, found, fixed, budgets, dense, price, time_limit=time_limit, method=METHODS[allocate])
    solution = chosen.solution
    proven = None
    if allocate == "optimal":
        proven = Solver(
            name=solution.name, status=solution.status, objective=solution.objective, bound=solution.bound,
            gap=solution.gap, seconds=round(solution.seconds, 3), rounds=chosen.rounds,
        )  # fmt: skip
    return _Widths(widths=chosen.widths, cost=chosen.cost, tables=chosen.table_totals, solver=proven)


def _asks_whole(budgets: list[Budget]) -> bool:
    """Whether a budget is on what only the whole network tells."""
    return any(one.quantity in WHOLE for one in budgets)


def _progress(budgets: list[Budget], cost: NetworkCost, dense: NetworkCost) -> str:
    return ", ".join(f"{one.of(cost):,} of at most {one.limit(dense):,.0f}" for one in budgets)
