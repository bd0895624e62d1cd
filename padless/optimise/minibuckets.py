"""Elimination for entangled tables: running sums are computed, not enumerated, and buckets that are too large are split.

A table that names one level of its third variable for each pair of the others is a sum: it takes no axis of its own. A
bucket that is too large all the same is split, and each part is minimised apart (mini-buckets: Dechter and Rish, Journal
of the ACM 50, 2003). Then the least is a bound from below, and the levels are a suggestion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from padless.optimise.buckets import Array, Factor, Pick, expanded

Ints = npt.NDArray[np.int64]
Scope = tuple[str, ...]
Sums = Mapping[str, tuple[str, str, Ints]]  # a sum -> its two parts, and its level for each pair of theirs


def sums_of(hard: Sequence[Factor]) -> Sums:
    """Those of the hard tables that name one level of their last variable for each pair of the two before it."""
    sums: dict[str, tuple[str, str, Ints]] = {}
    for factor in hard:
        if len(factor.scope) == 3 and factor.scope[2] not in sums and (np.isfinite(factor.table).sum(2) == 1).all():
            before, added, total = factor.scope
            sums[total] = before, added, np.isfinite(factor.table).argmax(2)
    return sums


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A bucket, or one part of it: the tables that are summed, and what is enumerated and computed for that."""

    slots: tuple[int, ...]  # of the tables
    base: Scope  # enumerated
    computed: Scope  # sums, in the order in which they follow
    rest: Scope  # of the table that it leaves


class MiniBuckets:
    """The order of elimination, once for all tables over the same scopes. `exact` says that no bucket had to be split."""

    def __init__(self, sizes: Mapping[str, int], factors: Sequence[Factor], hard: Sequence[Factor], most: int) -> None:
        self.sizes, self.most, self.sums = sizes, most, sums_of(hard)
        self.scopes: list[Scope] = list(dict.fromkeys(f.scope for f in (*factors, *hard) if f.scope))
        self._of_sum: dict[Scope, str] = {
            (before, added, total): total for total, (before, added, _) in self.sums.items()
        }
        self.parts: dict[str, list[_Part]] = {}
        self.order: list[str] = []
        self.exact, self.entries = True, 0
        self._place = {scope: slot for slot, scope in enumerate(self.scopes)}
        live = set(range(len(self.scopes)))
        left = dict.fromkeys(sizes)
        cost = {v: self._part(v, self._with(v, live)) for v in left}
        while left:
            v = min(left, key=lambda u: self._entries(cost[u]))
            del left[v]
            mine = self._with(v, live)
            touched = {u for slot in mine for u in self.scopes[slot]} - {v}
            live -= set(mine)
            self.parts[v] = self._split(v, mine)
            self.exact &= len(self.parts[v]) <= 1
            for part in self.parts[v]:
                self.entries += self._entries(part)
                self.scopes.append(part.rest)
                if part.rest:
                    live.add(len(self.scopes) - 1)
            cost |= {u: self._part(u, self._with(u, live)) for u in touched}
            self.order.append(v)

    def _with(self, v: str, live: set[int]) -> list[int]:
        return [slot for slot in sorted(live) if v in self.scopes[slot]]

    def _part(self, v: str, slots: Sequence[int]) -> _Part:
        scope = dict.fromkeys([v, *(u for slot in slots for u in self.scopes[slot])])
        named = {self._of_sum[self.scopes[slot]] for slot in slots if self.scopes[slot] in self._of_sum}
        computed = [total for total in self.sums if total in named]  # the sums before it come before a sum
        return _Part(
            slots=tuple(slots),
            base=tuple(u for u in scope if u not in named),
            computed=tuple(computed),
            rest=tuple(u for u in scope if u != v),
        )

    def _entries(self, part: _Part) -> int:
        return max(prod(self.sizes[u] for u in part.base), prod(self.sizes[u] for u in part.rest))

    def _split(self, v: str, slots: list[int]) -> list[_Part]:
        """As few parts as a first fit makes, largest tables first, each within the most entries where that can be."""
        whole = self._part(v, slots)
        if self._entries(whole) <= self.most:
            return [whole]
        parts: list[_Part] = []
        for slot in sorted(slots, key=lambda s: -prod(self.sizes[u] for u in self.scopes[s])):
            for i, part in enumerate(parts):
                wider = self._part(v, [*part.slots, slot])
                if self._entries(wider) <= self.most:
                    parts[i] = wider
                    break
            else:
                parts.append(self._part(v, [slot]))
        return parts

    def minimise(self, factors: Sequence[Factor]) -> tuple[float, Pick]:
        """A bound from below on the sum of all tables, the least itself where `exact`, and levels towards it."""
        tables: dict[int, Array] = {}
        constant = 0.0
        for factor in factors:
            if factor.scope:
                slot = self._place[factor.scope]
                tables[slot] = tables[slot] + factor.table if slot in tables else factor.table
            else:
                constant += float(factor.table)
        message = len(self._place)  # what a part leaves has the next number
        for v in self.order:
            for part in self.parts[v]:
                table = self._minimum(v, part, tables)
                if part.rest:
                    tables[message] = table
                else:
                    constant += float(table)
                message += 1
        return constant, self._pick(tables)

    def _minimum(self, v: str, part: _Part, tables: Mapping[int, Array]) -> Array:
        """The least over v of a part's tables, over the rest."""
        index: dict[str, Ints] = {}
        for axis, u in enumerate(part.base):
            index[u] = np.arange(self.sizes[u]).reshape([-1 if a == axis else 1 for a in range(len(part.base))])
        for total in part.computed:
            before, added, of_pair = self.sums[total]
            index[total] = of_pair[index[before], index[added]]
        sum_of_tables = np.zeros([self.sizes[u] for u in part.base])
        for slot in part.slots:
            scope = self.scopes[slot]
            if any(u in part.computed for u in scope):
                sum_of_tables += tables[slot][tuple(index[u] for u in scope)]
            else:
                sum_of_tables += expanded(Factor(scope, tables[slot]), part.base, self.sizes)
        along = part.base.index(v) if v in part.base else None
        if along is not None and not any(u in part.computed for u in part.rest):
            least: Array = sum_of_tables.min(along)
            return least
        least = np.full([self.sizes[u] for u in part.rest], np.inf)
        for level in range(1 if along is None else self.sizes[v]):
            there = {u: _at(places, along, level) for u, places in index.items()}
            at = tuple(there[u] for u in part.rest)
            least[at] = np.minimum(least[at], _at(sum_of_tables, along, level))
        return least

    def _pick(self, tables: Mapping[int, Array]) -> Pick:
        pick: Pick = {}
        for v in reversed(self.order):
            total = np.zeros(self.sizes[v])
            for slot in {slot for part in self.parts[v] for slot in part.slots}:
                total += tables[slot][tuple(slice(None) if u == v else pick[u] for u in self.scopes[slot])]
            pick[v] = int(np.argmin(total))
        return pick


def _at(array: npt.NDArray[Any], axis: int | None, level: int) -> npt.NDArray[Any]:
    """One level of an axis, which stays; an axis of one entry has the same for all."""
    if axis is None:
        return array
    return array.take([min(level, array.shape[axis] - 1)], axis)
