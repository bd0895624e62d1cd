"""A family of budgets: how much importance each keeps, so that one can be picked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from padless.batches import batches_of
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
from padless.graph import Graph
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
    family = family_of(model, example, target, quantity, images, oracle, choices or Choices())
    least, full = family.bounds()
    found: list[FrontierPoint] = []
    for limit in track(np.linspace(least, full, points).tolist(), "Solving budgets", total=points):
        point = family.best(limit)
        if point is not None and not (found and found[-1].widths == point.widths):
            found.append(point)
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Family:
    """All budgets on one quantity of a network on a target. Costs here are sums over layers, as the tables have them."""

    graph: Graph
    tables: Tables
    curves: Importance
    problem: Problem
    fixed: Mapping[str, int]
    time_limit: float
    total: float  # what the dense network costs as a whole, in what is counted
    layers: float  # and the sum over its layers
    unit: float  # how much of what is told one of what is counted is: of a latency, the milliseconds of a cycle

    @property
    def whole(self) -> float:
        """What the dense network costs for each one that its layers do."""
        return self.total / self.layers if self.layers else 1.0

    def bounds(self) -> tuple[float, float]:
        """The least that can be reached, and what the widest network costs."""
        least = solve(replace(self.problem, limits=[-1.0]), self.time_limit).least or 0.0
        widest = solve(replace(self.problem, limits=[1e300]), self.time_limit)
        return least, float(self.problem.spent(widest.pick)[0])

    def best(self, limit: float) -> FrontierPoint | None:
        """The best widths within a limit; None where none are."""
        solution = solve(replace(self.problem, limits=[limit]), self.time_limit)
        if not solution.pick:
            return None
        chosen = {id: int(levels[solution.pick[id]]) for id, levels in self.tables.widths.items()}
        widths = {group.id: chosen.get(group.id, self.fixed.get(group.id, group.width)) for group in self.graph.groups}
        cost = float(self.problem.spent(solution.pick)[0])
        return FrontierPoint(
            cost=cost * self.whole * self.unit, share=cost * self.whole / self.total,
            importance_kept=self.curves.kept(widths), gap=solution.gap, seconds=round(solution.seconds, 3), widths=widths,
        )  # fmt: skip


def family_of(
    model: nn.Module,
    example: tuple[Any, ...],
    target: Target | str | Path,
    quantity: str,
    images: Iterable[Any],
    oracle: str | OracleLike | None,
    choices: Choices,
) -> Family:
    """The tables and the importance that all budgets on `quantity` are solved on. Arguments and errors are `pareto`'s."""
    if quantity in PEAKS:
        raise UsageError(
            f"A family of budgets is for costs that add up over layers, which {quantity} does not. Ask for one budget at a "
            f"time: --budget {quantity}=70%."
        )
    if choices.treat:
        raise UsageError("A family of budgets is of widths alone. Plan each budget with treat, or leave it out.")
    batches, hardware = batches_of(images, len(example)), as_target(target)
    with Pricing(model, example, hardware, oracle=oracle, outputs=choices.outputs) as pricing:
        graph = pricing.graph
        check_prunable(graph)
        budget = Budget(quantity=quantity, share=1.0)
        choices = replace(choices, align=choices.align or "unit")
        dense = pricing.dense()
        total = budget.of(dense)  # raises where the target cannot say
        layers = summed(pricing, budget.counted) or total
        curves = scored(pricing, choices, batches, [budget])
        levels = offered(pricing, choices, curves)
        tables = priced(graph, levels, hardware, pricing.oracle, [budget.counted])
    return Family(
        graph=graph, tables=tables, curves=curves, problem=problem_of(tables, curves, [budget]),
        fixed={g.id: int(levels.widths[g.id][-1]) for g in graph.groups if g.id not in tables.widths},
        time_limit=choices.time_limit, total=total, layers=layers,
        unit=1e3 / (dense.clock_hz or 1) if quantity == LATENCY else 1.0,
    )  # fmt: skip


def summed(pricing: Pricing, counted: str) -> float | None:
    """What the dense network's layers come to, each alone, where the oracle counts that."""
    of_answer = FROM_ORACLE.get(counted)
    if pricing.oracle is None or of_answer is None:
        return None
    return float(sum(getattr(answer, of_answer) or 0 for answer in pricing.oracle(pricing.graph.layers)))
