"""The choice of levels as an integer program for HiGHS (through SciPy): the local polytope of its tables."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from padless.optimise.buckets import Factor, Pick
from padless.optimise.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    pick: Pick
    bound: float


def integer_program(problem: Problem, levels: Mapping[str, npt.NDArray[np.int64]], seconds: float) -> Found:
    """The best pick among `levels`, and a bound on it.

    One binary variable a level; for each table of several variables one continuous variable an entry, whose sums along
    the table's axes are the binaries.
    """
    starts: dict[str, int] = {}
    count = 0
    for v, left in levels.items():
        starts[v] = count
        count += len(left)
    binaries = count
    tables: dict[tuple[str, ...], int] = {}
    shapes: dict[tuple[str, ...], tuple[int, ...]] = {}
    everything = [f for one in (*problem.costs, problem.hard) for f in one]
    for f in everything:
        if len(f.scope) > 1 and f.scope not in tables:
            tables[f.scope] = count
            shapes[f.scope] = tuple(len(levels[v]) for v in f.scope)
            count += int(np.prod(shapes[f.scope]))
    value = np.zeros(count)
    for v, worth in problem.value.items():
        value[starts[v] : starts[v] + len(levels[v])] = worth[levels[v]]
    upper = np.ones(count)
    rows, columns, entries = [], [], []
    low: list[float] = []
    high: list[float] = []

    def row(places: npt.NDArray[np.int64], weights: npt.NDArray[np.float64], least: float, most: float) -> None:
        rows.append(np.full(len(places), len(low)))
        columns.append(places)
        entries.append(weights)
        low.append(least)
        high.append(most)

    for v, left in levels.items():
        row(starts[v] + np.arange(len(left)), np.ones(len(left)), 1.0, 1.0)
    for scope, start in tables.items():
        index = np.arange(int(np.prod(shapes[scope]))).reshape(shapes[scope])
        for axis, v in enumerate(scope):
            for level in range(shapes[scope][axis]):
                places = start + index.take(level, axis).ravel()
                row(np.append(places, starts[v] + level), np.append(np.ones(len(places)), -1.0), 0.0, 0.0)
    for f in problem.hard:
        places, table = _entries(f, levels, starts, tables)
        upper[places[~np.isfinite(table)]] = 0.0
    for one, limit in zip(problem.costs, problem.limits, strict=True):
        total = np.zeros(count)
        constant = 0.0
        for f in one:
            if not f.scope:
                constant += float(f.table)
                continue
            places, table = _entries(f, levels, starts, tables)
            total[places] += table
        used = np.flatnonzero(total)
        scale = max(1.0, abs(limit))
        row(used, total[used] / scale, -np.inf, (limit - constant) / scale)
    matrix = coo_array(
        (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))), shape=(len(low), count)
    )
    integral = np.zeros(count)
    integral[:binaries] = 1
    found = milp(
        -value,
        integrality=integral,
        bounds=Bounds(np.zeros(count), upper),
        constraints=LinearConstraint(matrix.tocsr(), low, high),
        options={"time_limit": max(0.1, seconds), "mip_rel_gap": 0.0},
    )
    bound = -found.mip_dual_bound if found.mip_dual_bound is not None else np.inf
    if found.x is None:
        return Found(pick={}, bound=-np.inf if found.status == 2 else bound)
    pick = {v: int(left[np.argmax(found.x[starts[v] : starts[v] + len(left)])]) for v, left in levels.items()}
    return Found(pick=pick, bound=bound)


def _entries(
    f: Factor,
    levels: Mapping[str, npt.NDArray[np.int64]],
    starts: Mapping[str, int],
    tables: Mapping[tuple[str, ...], int],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The variables of a table's entries, and the entries."""
    table = f.table[np.ix_(*(levels[v] for v in f.scope))].ravel()
    start = starts[f.scope[0]] if len(f.scope) == 1 else tables[f.scope]
    return start + np.arange(table.size), table
