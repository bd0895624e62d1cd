"""The choice of levels as an integer program for HiGHS (through SciPy): the local polytope of its tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy

from padless.optimise.buckets import Array, Factor, Pick
from padless.optimise.problem import Problem

Ints = npt.NDArray[np.int64]
Levels = Mapping[str, Ints]  # variable -> the levels that are left of it


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramResult:
    """The best pick, empty where there is none, and a bound on every pick's worth: -inf where nothing is feasible."""

    pick: Pick
    bound: float
    finished: bool  # before its seconds ran out


def integer_program(problem: Problem, levels: Levels, seconds: float) -> ProgramResult:
    """The best pick among `levels`, and a bound on it.

    One binary variable a level; for each table of several variables one continuous variable an entry, whose sums along
    the table's axes are the binaries.
    """
    columns = _columns(problem, levels)
    value = np.zeros(columns.count)
    for v, worth in problem.value.items():
        value[columns.starts[v] : columns.starts[v] + len(levels[v])] = worth[levels[v]]
    upper = np.ones(columns.count)
    for factor in problem.hard:
        places, table = _entries(factor, levels, columns)
        upper[places[~np.isfinite(table)]] = 0.0
    rows = _Rows()
    _add_polytope(rows, levels, columns)
    _add_budgets(rows, problem, levels, columns)
    integral = np.zeros(columns.count)
    integral[: columns.binaries] = 1
    solution = scipy.optimize.milp(
        -value,
        integrality=integral,
        bounds=scipy.optimize.Bounds(np.zeros(columns.count), upper),
        constraints=rows.constraint(columns.count),
        options={"time_limit": max(0.1, seconds), "mip_rel_gap": 0.0},
    )
    bound = -solution.mip_dual_bound if solution.mip_dual_bound is not None else np.inf
    if solution.x is None:
        return ProgramResult(pick={}, bound=-np.inf if solution.status == 2 else bound, finished=solution.status != 1)
    starts = columns.starts
    pick = {v: int(left[np.argmax(solution.x[starts[v] : starts[v] + len(left)])]) for v, left in levels.items()}
    return ProgramResult(pick=pick, bound=bound, finished=solution.status != 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Where the program's variables lie: first the binaries, then the entries of the tables."""

    starts: Mapping[str, int]  # variable -> its first level
    tables: Mapping[tuple[str, ...], int]  # scope -> its first entry
    shapes: Mapping[tuple[str, ...], tuple[int, ...]]
    binaries: int
    count: int


def _columns(problem: Problem, levels: Levels) -> _Columns:
    starts: dict[str, int] = {}
    count = 0
    for v, left in levels.items():
        starts[v] = count
        count += len(left)
    binaries = count
    tables: dict[tuple[str, ...], int] = {}
    shapes: dict[tuple[str, ...], tuple[int, ...]] = {}
    for factor in problem.factors():
        scope = factor.scope
        if len(scope) > 1 and scope not in tables:
            tables[scope] = count
            shapes[scope] = tuple(len(levels[v]) for v in scope)
            count += int(np.prod(shapes[scope]))
    return _Columns(starts=starts, tables=tables, shapes=shapes, binaries=binaries, count=count)


@dataclass(slots=True)
class _Rows:
    """The rows of the program's matrix, least <= weights @ x[places] <= most."""

    rows: list[Ints] = field(default_factory=list)
    places: list[Ints] = field(default_factory=list)
    weights: list[Array] = field(default_factory=list)
    least: list[float] = field(default_factory=list)
    most: list[float] = field(default_factory=list)

    def add(self, places: Ints, weights: Array, least: float, most: float) -> None:
        self.rows.append(np.full(len(places), len(self.least)))
        self.places.append(places)
        self.weights.append(weights)
        self.least.append(least)
        self.most.append(most)

    def constraint(self, count: int) -> "scipy.optimize.LinearConstraint":
        """Over `count` variables."""
        where = (np.concatenate(self.rows), np.concatenate(self.places))
        matrix = scipy.sparse.coo_array((np.concatenate(self.weights), where), shape=(len(self.least), count))
        return scipy.optimize.LinearConstraint(matrix.tocsr(), self.least, self.most)


def _add_polytope(rows: _Rows, levels: Levels, columns: _Columns) -> None:
    """Each variable has one level, and each table's entries agree with it."""
    for v, left in levels.items():
        rows.add(columns.starts[v] + np.arange(len(left)), np.ones(len(left)), 1.0, 1.0)
    for scope, start in columns.tables.items():
        shape = columns.shapes[scope]
        index = np.arange(int(np.prod(shape))).reshape(shape)
        for axis, v in enumerate(scope):
            for level in range(shape[axis]):
                places = start + index.take(level, axis).ravel()
                weights = np.append(np.ones(len(places)), -1.0)
                rows.add(np.append(places, columns.starts[v] + level), weights, 0.0, 0.0)


def _add_budgets(rows: _Rows, problem: Problem, levels: Levels, columns: _Columns) -> None:
    """Each sum of costs is within its limit, both over the limit's size."""
    for cost, limit in zip(problem.costs, problem.limits, strict=True):
        total = np.zeros(columns.count)
        constant = 0.0
        for factor in cost:
            if not factor.scope:
                constant += float(factor.table)
                continue
            places, table = _entries(factor, levels, columns)
            total[places] += table
        used = np.flatnonzero(total)
        scale = max(1.0, abs(limit))
        rows.add(used, total[used] / scale, -np.inf, (limit - constant) / scale)


def _entries(factor: Factor, levels: Levels, columns: _Columns) -> tuple[Ints, Array]:
    """The variables of a table's entries, and the entries."""
    table = factor.table[np.ix_(*(levels[v] for v in factor.scope))].ravel()
    start = columns.starts[factor.scope[0]] if len(factor.scope) == 1 else columns.tables[factor.scope]
    return start + np.arange(table.size), table
