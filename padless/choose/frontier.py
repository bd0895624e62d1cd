"""A family of budgets: how much importance each keeps, so that one can be picked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor, nn

from padless.choose.budget import Budget
from padless.choose.peaks import problem_of
from padless.choose.restrict import check_prunable
from padless.choose.tables import PEAKS, tabulate
from padless.cost.pricing import Pricing
from padless.errors import UsageError
from padless.hardware import Target
from padless.importance import Criterion, importance
from padless.optimise import solve
from padless.progress import track


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The best widths for one budget. `cost` is the sum over layers, `share` of that of the dense network."""

    cost: float
    share: float
    importance_kept: float
    gap: float
    seconds: float
    widths: dict[str, int]


def pareto(
    model: nn.Module,
    *example: Tensor,
    target: Target,
    quantity: str = "cycles",
    points: int = 20,
    importance_by: str | Criterion | None = None,
    images: Sequence[Tensor] = (),
    time_limit: float = 10.0,
    seed: int = 0,
    oracle: str | None = None,
    system_config: str | None = None,
    memory_mode: str | None = None,
) -> list[Point]:
    """The best widths for `points` budgets, from the least that can be reached to the dense network, cheapest first.

    Layers are priced once, then each budget takes milliseconds to seconds. Costs are sums over layers: what a compiler
    says of the whole network is asked when a budget is planned. Arguments as for `padless.plan`.

    Raises UsageError where the target cannot price `quantity`, or nothing may be cut.
    """
    if points < 2:
        raise UsageError(f"A family of budgets has at least 2 points; got {points}.")
    if quantity in PEAKS:
        raise UsageError(
            f"A family of budgets is for costs that add up over layers, which {quantity} does not. Ask for one budget at a "
            f"time: --budget {quantity}=70%."
        )
    with Pricing(
        model, example, target, oracle=oracle, system_config=system_config, memory_mode=memory_mode
    ) as pricing:
        graph = pricing.graph
        check_prunable(graph)
        budget = Budget(quantity=quantity, share=1.0)
        if pricing.asked is None:
            budget.of(pricing.dense())  # raises where the target cannot say
        tables = tabulate(graph, pricing.levels, target, pricing.asked, [quantity])
    criterion = importance_by or ("reconstruction" if images else "l1")
    found = importance(graph, model, criterion, images, seed=seed)
    problem = problem_of(tables, found, [budget])
    fixed = {g.id: g.width for g in graph.groups if g.id not in tables.widths}
    least = solve(replace(problem, limits=[-1.0]), time_limit).least or 0.0
    full = float(problem.spent(solve(replace(problem, limits=[1e300]), time_limit).pick)[0])
    made = []
    for limit in track(np.linspace(least, full, points).tolist(), "Solving budgets", total=points):
        solution = solve(replace(problem, limits=[limit]), time_limit)
        widths = fixed | {id: int(w[solution.pick[id]]) for id, w in tables.widths.items()}
        cost = float(problem.spent(solution.pick)[0])
        made.append(Point(
            cost=cost, share=cost / full, importance_kept=found.kept(widths), gap=solution.gap,
            seconds=round(solution.seconds, 3), widths=widths,
        ))  # fmt: skip
    return made
