"""How far from optimal are the widths, and what do other solvers and other allocations reach on the same tables?

    python benchmarks/allocation.py [--networks NAME ...] [--targets ID ...] [--limit 10] [--alone 10]

For each network, target and budget (70, 50, 35, 25 % of the tables' cycles, from Vela): our solver within `--limit` seconds,
and within 60 where that leaves a gap; HiGHS and CP-SAT (where ortools is installed: `pip install ortools`) alone within
`--alone` seconds; the importance that greedy and the frozen-input knapsack keep at the same cycles. Importance is L1 on
random weights (seed 0): shares that multiply. Networks that are done are read from the results: a stopped run goes on.
"""

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from common import NETWORKS, TARGETS, rows_of, unmeasured, write

from padless import load_target
from padless.choose import Budget, tabulate
from padless.choose.peaks import problem_of
from padless.cost.pricing import Pricing
from padless.importance import importance
from padless.inputs import load_model
from padless.optimise import frozen_inputs, greedy, solve
from padless.optimise.problem import Problem
from padless.optimise.program import integer_program

SHARES = (0.7, 0.5, 0.35, 0.25)
FULL = 60.0  # seconds for what is left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--targets", nargs="+", default=list(TARGETS))
    parser.add_argument("--limit", type=float, default=10.0)
    parser.add_argument("--alone", type=float, default=10.0)
    given = parser.parse_args()
    rows = rows_of("allocation")
    for name, id in unmeasured(rows, given.networks, given.targets):
        rows += compared(name, id, given.limit, given.alone)
        write("allocation", rows, limit_seconds=given.limit, alone_seconds=given.alone, seed=0, importance="l1")


def compared(name: str, id: str, limit: float, alone: float) -> list[dict]:
    """A row a budget."""
    torch.manual_seed(0)
    source = load_model(name)
    model = source.model.eval()
    with Pricing(model, (torch.zeros(source.input_shape),), load_target(id)) as pricing:
        started = time.monotonic()
        tables = tabulate(pricing.graph, pricing.levels, pricing.target, pricing.oracle, ["cycles"])
        vela: Any = pricing.oracle.oracle
        seconds, oracle = time.monotonic() - started, str(vela.source)
    found = importance(pricing.graph, model, "l1")
    problem = problem_of(tables, found, [Budget(quantity="cycles", share=1.0)])
    full = float(problem.spent(solve(replace(problem, limits=[1e300])).pick)[0])
    facts = {
        "network": name, "target": id, "oracle": oracle, "groups": len(tables.widths), "sums": len(tables.sums),
        "levels": sum(map(len, tables.widths.values())), "entries": sum(f.table.size for f in tables.costs["cycles"]),
        "table_seconds": round(seconds, 1),
    }  # fmt: skip
    rows = []
    for share in SHARES:
        at = replace(problem, limits=[share * full])
        ours = solve(at, limit)
        row = {**facts, "share": share, "status": ours.status}
        if not ours.pick:
            rows.append({**row, "least_share": ours.least / full if ours.least else None})
            print(row, flush=True)
            continue
        row |= {
            "objective": ours.objective,
            "bound": ours.bound,
            "gap_percent": 100 * ours.gap,
            "seconds": ours.seconds,
        }
        if ours.gap > 0:
            longer = solve(at, FULL)
            row |= {"gap_percent_60s": 100 * longer.gap, "seconds_60s": longer.seconds}
        row |= {f"highs_{k}": v for k, v in highs(at, alone).items()}
        row |= {f"cp_sat_{k}": v for k, v in cp_sat(at, alone).items()}
        for label, rival in (("greedy", greedy), ("frozen", frozen_inputs)):
            other = rival(at, limit)
            row[f"{label}_objective"] = at.worth(other.pick) if other.pick else None
        rows.append(row)
        print({k: v for k, v in row.items() if k not in facts or k in ("network", "target")}, flush=True)
    return rows


def highs(problem: Problem, seconds: float) -> dict:
    """HiGHS on the whole problem."""
    started = time.monotonic()
    levels = {v: np.arange(n) for v, n in problem.sizes.items()}
    found = integer_program(problem, levels, seconds)
    objective = problem.worth(found.pick) if found.pick else None
    return verdict(objective, found.bound, started)


def cp_sat(problem: Problem, seconds: float) -> dict:
    """OR-tools' CP-SAT: element constraints for tables of two variables, a linear budget."""
    try:
        from ortools.sat.python import cp_model
    except ImportError:
        return {}
    started = time.monotonic()
    model, scale = cp_model.CpModel(), 10**6
    var = {v: model.new_int_var(0, n - 1, v) for v, n in problem.sizes.items()}
    for factor in problem.hard:
        allowed = np.argwhere(np.isfinite(factor.table)).tolist()
        model.add_allowed_assignments([var[v] for v in factor.scope], allowed)
    spent = 0
    for factor in problem.costs[0]:
        table = factor.table.round().astype(int)
        if not factor.scope:
            spent += int(table)
            continue
        index, flat = var[factor.scope[0]], table.ravel().tolist()
        if len(factor.scope) == 2:
            index = model.new_int_var(0, table.size - 1, "")
            model.add(index == var[factor.scope[0]] * table.shape[1] + var[factor.scope[1]])
        cost = model.new_int_var(min(flat), max(flat), "")
        model.add_element(index, flat, cost)
        spent += cost
    model.add(spent <= int(problem.limits[0]))
    worth = 0
    for v, values in problem.value.items():
        flat = (values * scale).round().astype(int).tolist()
        mine = model.new_int_var(min(flat), max(flat), "")
        model.add_element(var[v], flat, mine)
        worth += mine
    model.maximize(worth)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds, solver.parameters.num_workers = seconds, 2
    status = solver.solve(model)
    objective = solver.objective_value / scale if status in (cp_model.OPTIMAL, cp_model.FEASIBLE) else None
    return verdict(objective, solver.best_objective_bound / scale, started)


def verdict(objective: float | None, bound: float, started: float) -> dict:
    gap = None if objective is None else 100 * max(0.0, bound - objective) / max(abs(objective), 1e-300)
    return {"objective": objective, "gap_percent": gap, "seconds": time.monotonic() - started}


if __name__ == "__main__":
    main()
