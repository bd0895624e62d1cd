"""Exact optimisation of sums of small tables: bucket elimination (Dechter, Artificial Intelligence 113, 1999).

A table scores every combination of its variables' levels. Eliminating one variable at a time, cheapest bucket first,
is exact; what it takes grows with the treewidth, which is small for convolutional networks: given the width of a residual
stage, its blocks are independent of each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Pick = dict[str, int]  # variable -> level


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """`table[i, j, ...]` for levels i, j, ... of the variables in `scope`. +inf forbids a combination."""

    scope: tuple[str, ...]
    table: Array


def sum_at(factors: Sequence[Factor], pick: Mapping[str, int]) -> float:
    """The sum of some tables at chosen levels."""
    return sum(float(f.table[tuple(pick[v] for v in f.scope)]) for f in factors)


class TooWideError(Exception):
    """A bucket would need more entries than allowed: the graph of variables is too entangled for exact elimination."""


def elimination_order(sizes: Mapping[str, int], scopes: Sequence[tuple[str, ...]], most: int) -> list[str]:
    """Variables in the order in which each makes the smallest bucket. Raises TooWideError above `most` entries."""
    neighbours: dict[str, set[str]] = {v: set() for v in sizes}
    for scope in scopes:
        for v in scope:
            neighbours[v].update(scope)
    order = []

    def entries(v: str) -> float:
        return float(np.prod([sizes[u] for u in neighbours[v] | {v}], dtype=float))

    bucket = {v: entries(v) for v in sizes}
    while bucket:
        v = min(bucket, key=bucket.__getitem__)
        if bucket.pop(v) > most:
            raise TooWideError
        near = neighbours.pop(v) - {v}
        for u in near:
            neighbours[u] = (neighbours[u] | near) - {v}
        for u in near:
            bucket[u] = entries(u)
        order.append(v)
    return order


def minimise(sizes: Mapping[str, int], factors: Sequence[Factor], order: Sequence[str]) -> tuple[float, Pick]:
    """The least sum of all tables, and levels that reach it. +inf where nothing is allowed."""
    pending: dict[str, list[Factor]] = {v: [] for v in order}
    rank = {v: i for i, v in enumerate(order)}
    constant = 0.0

    def file(factor: Factor) -> None:
        nonlocal constant
        if factor.scope:
            pending[min(factor.scope, key=rank.__getitem__)].append(factor)
        else:
            constant += float(factor.table)

    for factor in factors:
        file(factor)
    back: list[tuple[str, tuple[str, ...], npt.NDArray[np.int64]]] = []
    for v in order:
        rest = tuple(sorted({u for f in pending[v] for u in f.scope} - {v}, key=rank.__getitem__))
        total = summed((v, *rest), sizes, pending.pop(v))
        best = total.argmin(0)
        back.append((v, rest, best))
        file(Factor(rest, np.take_along_axis(total, best[None], 0)[0]))
    pick: Pick = {}
    for v, rest, best in reversed(back):
        pick[v] = int(best[tuple(pick[u] for u in rest)])
    return constant, pick


class Buckets:
    """A sum of tables swept up and down the tree of its buckets: what each part knows of all others.

    For a variable v with `scope[v]` (v first, then those that it is eliminated into): `inside[v]` is the sum of what lies
    behind it, `up[v]` the least of that over v, which it sends to its parent, and `whole[v]` the least of the entire sum
    for each combination of the scope's levels. `least` is the least of all.
    """

    def __init__(self, sizes: Mapping[str, int], factors: Sequence[Factor], order: Sequence[str]) -> None:
        self.sizes, self.order = sizes, order
        self._rank = {v: i for i, v in enumerate(order)}
        own: dict[str, list[Factor]] = {v: [] for v in order}
        for factor in factors:
            if factor.scope:
                own[self.owner(factor.scope)].append(factor)
        self.scope: dict[str, tuple[str, ...]] = {}
        self.inside: dict[str, Array] = {}
        self.up: dict[str, Factor] = {}
        self.children: dict[str, list[str]] = {v: [] for v in order}
        self.roots: list[str] = []
        for v in order:
            behind = [*own[v], *(self.up[child] for child in self.children[v])]
            rest = tuple(sorted({u for f in behind for u in f.scope} - {v}, key=self._rank.__getitem__))
            self.scope[v] = (v, *rest)
            self.inside[v] = summed((v, *rest), sizes, behind)
            self.up[v] = Factor(rest, self.inside[v].min(0))
            (self.children[rest[0]] if rest else self.roots).append(v)
        trees = {v: float(self.up[v].table) for v in self.roots}
        constant = sum(float(f.table) for f in factors if not f.scope)
        self.least = constant + sum(trees.values())
        self.whole = {v: self.inside[v] + (constant + sum(trees[u] for u in self.roots if u != v)) for v in self.roots}
        for v in reversed(order):
            for child in self.children[v]:
                self.whole[child] = self.inside[child] + self._outside(v, child)

    def owner(self, scope: Sequence[str]) -> str:
        """The variable whose bucket a table over `scope` belongs to."""
        return min(scope, key=self._rank.__getitem__)

    def _outside(self, v: str, child: str) -> Array:
        """The least of all that is not behind `child`, with the axes of its bucket."""
        scope, kept = self.scope[v], self.up[child].scope
        with np.errstate(invalid="ignore"):  # inf - inf is forbidden on both sides
            outside = self.whole[v] - expanded(self.up[child], scope, self.sizes)
        outside = np.where(np.isnan(outside), np.inf, outside)
        gone = tuple(i for i, u in enumerate(scope) if u not in kept)
        return expanded(Factor(tuple(u for u in scope if u in kept), outside.min(gone)), self.scope[child], self.sizes)

    def marginals(self) -> dict[str, Array]:
        """For each level of each variable the least sum of all tables with that level."""
        return {v: table.min(tuple(range(1, table.ndim))) for v, table in self.whole.items()}


def summed(scope: tuple[str, ...], sizes: Mapping[str, int], factors: Sequence[Factor]) -> Array:
    """One table over `scope`."""
    total = np.zeros([sizes[v] for v in scope])
    for factor in factors:
        total += expanded(factor, scope, sizes)
    return total


def expanded(factor: Factor, scope: tuple[str, ...], sizes: Mapping[str, int]) -> Array:
    """A factor's table with its axes where `scope` has them, for broadcasting."""
    place = {v: i for i, v in enumerate(scope)}
    axes = sorted(range(len(factor.scope)), key=lambda a: place[factor.scope[a]])
    shape = [1] * len(scope)
    for v in factor.scope:
        shape[place[v]] = sizes[v]
    return factor.table.transpose(axes).reshape(shape)
