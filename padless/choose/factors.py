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


def marginals(sizes: Mapping[str, int], factors: Sequence[Factor], order: Sequence[str]) -> dict[str, Array]:
    """For each level of each variable the least sum of all tables with that level.

    Messages on the tree of buckets, to the roots and back; what a bucket knows from all other sides is added to its own.
    """
    rank = {v: i for i, v in enumerate(order)}
    own: dict[str, list[Factor]] = {v: [] for v in order}
    for factor in factors:
        if factor.scope:
            own[min(factor.scope, key=rank.__getitem__)].append(factor)
    whole: dict[str, Factor] = {}  # a bucket with all that is behind it
    up: dict[str, Factor] = {}  # the message that it sends to its parent
    children: dict[str, list[str]] = {v: [] for v in order}
    least = {"": sum(float(f.table) for f in factors if not f.scope)}  # root -> the least sum of its tree
    for v in order:
        inside = [*own[v], *(up[child] for child in children[v])]
        rest = tuple(sorted({u for f in inside for u in f.scope} - {v}, key=rank.__getitem__))
        whole[v] = Factor((v, *rest), summed((v, *rest), sizes, inside))
        up[v] = Factor(rest, whole[v].table.min(0))
        if rest:
            children[rest[0]].append(v)
        else:
            least[v] = float(up[v].table)
    root = {v: v for v in least}
    found: dict[str, Array] = {}
    for v in reversed(order):
        scope, table = whole[v].scope, whole[v].table
        elsewhere = sum(value for tree, value in least.items() if tree != root[v])
        found[v] = table.min(tuple(range(1, table.ndim))) + elsewhere
        for child in children[v]:
            root[child] = root[v]
            with np.errstate(invalid="ignore"):  # inf - inf is forbidden on both sides
                outside = table - expanded(up[child], scope, sizes)
            outside = np.where(np.isnan(outside), np.inf, outside)
            gone = tuple(i for i, u in enumerate(scope) if u not in up[child].scope)
            message = Factor(tuple(u for u in scope if u in up[child].scope), outside.min(gone))
            whole[child] = Factor(whole[child].scope, whole[child].table + expanded(message, whole[child].scope, sizes))
    return found


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
