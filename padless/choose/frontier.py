"""A family of budgets: how much importance each keeps, so that one can be picked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from padless.calls import batches_of
from padless.choose.budget import LATENCY, PEAKS, Budget
from padless.choose.choices import Choices
from padless.choose.offering import offered
from padless.choose.peaks import problem_of
from padless.choose.planning import scored
from padless.choose.restrict import check_prunable
from padless.choose.tables import FROM_ORACLE, Tables
from padless.choose.undercut import priced
from padless.cost import OracleLike
from padless.cost.pricing import Pricing
from padless.errors import UsageError
from padless.hardware import Target
from padless.hardware.target import as_target
from padless.importance import Importance
from padless.optimise import Problem, solve
from padless.progress import track


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """The best widths for one budget. `cost` is the sum over layers (a latency's in milliseconds), brought to the dense
    network's total as `inspect` has it; `share` is of that total."""

    cost: float
    share: float
    importance_kept: float
    gap: float
    seconds: float
    widths: dict[str, int]


def pareto(
    model: nn.Module,
    *example: Any,
    target: Target | str | Path,
    quantity: str = "cycles",
    points: int = 20,
    images: Iterable[Any] = (),
    oracle: str | OracleLike | None = None,
    choices: Choices | None = None,
) -> list[FrontierPoint]:
    """The best widths for `points` budgets, from the least that can be reached to the dense network, cheapest first.

    Widths that are the best for several budgets come once. Layers are priced once, then each budget takes milliseconds to
    seconds. Costs are sums over layers, times what the dense network costs as a whole over the sum of its layers: what a
    compiler says of each network as a whole is asked when a budget is planned. Arguments as for `padless.plan`.

    Raises UsageError where the target cannot price `quantity`, or nothing may be cut.
    """
    if points < 2:
        raise UsageError(f"A family of budgets has at least 2 points; got {points}.")
    if quantity in PEAKS:
        raise UsageError(
            f"A family of budgets is for costs that add up over layers, which {quantity} does not. Ask for one budget at a "
            f"time: --budget {quantity}=70%."
        )
    choices, hardware = choices or Choices(), as_target(target)
    if choices.treat:
        raise UsageError("A family of budgets is of widths alone. Plan each budget with treat, or leave it out.")
    batches = batches_of(images, len(example))
    with Pricing(model, example, hardware, oracle=oracle, outputs=choices.outputs) as pricing:
        graph = pricing.graph
        check_prunable(graph)
        budget = Budget(quantity=quantity, share=1.0)
        choices = replace(choices, align=choices.align or "unit")
        dense = pricing.dense()
        total = budget.of(dense)  # raises where the target cannot say
        unit = 1e3 / (dense.clock_hz or 1) if quantity == LATENCY else 1.0
        layers = summed(pricing, budget.counted) or total
        curves = scored(pricing, choices, batches)
        levels = offered(pricing, choices, curves)
        tables = priced(graph, levels, hardware, pricing.oracle, [budget.counted])
    fixed = {g.id: int(levels.widths[g.id][-1]) for g in graph.groups if g.id not in tables.widths}
    problem = problem_of(tables, curves, [budget])
    found = _solved(problem, tables, curves, fixed, points, choices.time_limit)
    whole = total / layers if layers else 1.0
    return [
        replace(
            point,
            cost=point.cost * whole * unit,
            share=point.cost * whole / total,
            widths={group.id: point.widths[group.id] for group in graph.groups},
        )
        for point in found
    ]


def summed(pricing: Pricing, counted: str) -> float | None:
    """What the dense network's layers come to, each alone, where the oracle counts that."""
    of_answer = FROM_ORACLE.get(counted)
    if pricing.oracle is None or of_answer is None:
        return None
    return float(sum(getattr(answer, of_answer) or 0 for answer in pricing.oracle(pricing.graph.layers)))


def _solved(
    problem: Problem, tables: Tables, curves: Importance, fixed: Mapping[str, int], points: int, time_limit: float
) -> list[FrontierPoint]:
    """The best widths at limits evenly spaced between the least and all, each once. Shares are left to the caller."""
    least = solve(replace(problem, limits=[-1.0]), time_limit).least or 0.0
    full = float(problem.spent(solve(replace(problem, limits=[1e300]), time_limit).pick)[0])
    solved: list[FrontierPoint] = []
    for limit in track(np.linspace(least, full, points).tolist(), "Solving budgets", total=points):
        solution = solve(replace(problem, limits=[limit]), time_limit)
        widths = {**fixed, **{id: int(levels[solution.pick[id]]) for id, levels in tables.widths.items()}}
        cost = float(problem.spent(solution.pick)[0])
        if solved and solved[-1].widths == widths:
            continue
        solved.append(FrontierPoint(
            cost=cost, share=1.0, importance_kept=curves.kept(widths), gap=solution.gap,
            seconds=round(solution.seconds, 3), widths=widths,
        ))  # fmt: skip
    return solved
