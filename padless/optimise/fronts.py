"""What remains of a choice under budgets, closed exactly: bucket elimination over fronts instead of single numbers.

A bucket keeps, for each combination of its neighbours' levels, the partial choices that no other beats in both cost and
value (labels, as in constrained shortest paths: Dumitrescu and Boland, Networks 42, 2003). At good prices few matter:
those whose bound, known exactly from the sweep over the buckets, lies in the band asked for.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from padless.optimise.buckets import Array, Buckets, Factor, Pick, expanded, summed
from padless.optimise.problem import with_tolerance

Ints = npt.NDArray[np.int64]
MOST = 1_000_000  # labels of a bucket
MOST_IN_ALL = 20_000_000  # labels of all buckets together
WINDOW = 16  # neighbours that a label is compared with, where there are several budgets


class GivenUpError(Exception):
    """The band holds more labels than memory or time allow."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Labels:
    """Partial choices, those of one `entry` (a place in a bucket's table) beside each other."""

    entry: Ints
    excess: Array  # over the least priced sum for the entry
    cost: Array  # [labels, budgets]
    behind: tuple[Ints, ...]  # the label of each child, and last the variable's own level

    def __getitem__(self, which: Ints | npt.NDArray[np.bool_]) -> "_Labels":
        behind = tuple(labels[which] for labels in self.behind)
        return _Labels(entry=self.entry[which], excess=self.excess[which], cost=self.cost[which], behind=behind)

    def __len__(self) -> int:
        return len(self.entry)


def best_in_band(
    buckets: Buckets,
    costs: Sequence[Sequence[Factor]],
    prices: Array,
    limits: Array,
    band: float,
    deadline: float = np.inf,
    most: int = MOST,
) -> Pick | None:
    """The levels of most value with each of `costs` within its limit, of those whose priced sum is in the band.

    `buckets` hold that sum, prices x costs - value; the band reaches from its least to `band` above. None where no levels
    in it are within the limits. Raises GivenUpError above `most` labels of a bucket, `MOST_IN_ALL` together, and at
    `deadline` (of time.monotonic()).
    """
    search = _Search(buckets, np.asarray(prices), band, deadline, most)
    own: dict[str, list[list[Factor]]] = {v: [[] for _ in costs] for v in buckets.order}
    constant = np.zeros(len(costs))
    for k, cost in enumerate(costs):
        for factor in cost:
            if factor.scope:
                own[buckets.owner(factor.scope)][k].append(factor)
            else:
                constant[k] += float(factor.table)
    for v in buckets.order:
        search.eliminate(v, own[v])
    return search.answer(limits - constant)


class _Search:
    def __init__(self, buckets: Buckets, prices: Array, band: float, deadline: float, most: int) -> None:
        self.buckets, self.prices, self.band, self.deadline, self.most = buckets, prices, band, deadline, most
        self.done: dict[str, _Labels] = {}
        self.joined = 0  # labels so far

    def eliminate(self, v: str, own: Sequence[Sequence[Factor]]) -> None:
        """Keep the front of v's bucket for each combination of the levels that v is eliminated into."""
        buckets, scope = self.buckets, self.buckets.scope[v]
        bound = buckets.whole[v].ravel() - buckets.least  # of a label without excess
        entry = np.flatnonzero(bound <= self.band)
        cost = np.stack([summed(scope, buckets.sizes, factors).ravel()[entry] for factors in own], -1)
        labels = _Labels(entry=entry, excess=np.zeros(len(entry)), cost=cost, behind=())
        for child in buckets.children[v]:
            labels = self.join(labels, child, _places(buckets, child, scope)[labels.entry], bound)
        level, rest = np.divmod(labels.entry, buckets.up[v].table.size)
        lost = buckets.inside[v].ravel()[labels.entry] - buckets.up[v].table.ravel()[rest]
        labels = replace(labels, entry=rest, excess=labels.excess + lost, behind=(*labels.behind, level))
        self.done[v] = self.front(labels)

    def join(self, labels: _Labels, child: str, places: Ints, bound: Array) -> _Labels:
        """Each label with each of the child's for the same levels, if they are in the band together."""
        child_labels = self.done[child]
        first = np.searchsorted(child_labels.entry, places)
        count = np.searchsorted(child_labels.entry, places, "right") - first
        total = int(count.sum())
        self.joined += total
        if total > self.most or self.joined > MOST_IN_ALL or time.monotonic() > self.deadline:
            raise GivenUpError("Too many labels, or no time left.")
        label = np.repeat(np.arange(len(count)), count)
        child_label = np.arange(total) + np.repeat(first - np.cumsum(count) + count, count)
        excess = labels.excess[label] + child_labels.excess[child_label]
        inside = bound[labels.entry[label]] + excess <= self.band
        label, child_label = label[inside], child_label[inside]
        both = labels[label]
        cost = both.cost + child_labels.cost[child_label]
        return self.front(replace(both, excess=excess[inside], cost=cost, behind=(*both.behind, child_label)))

    def front(self, labels: _Labels) -> _Labels:
        """Without labels that another of the same entry beats: costs no more and is worth no less."""
        worth = labels.cost @ self.prices - labels.excess
        if labels.cost.shape[1] > 1:
            return _thinned(labels, worth)
        rank = np.unique(worth, return_inverse=True)[1].reshape(-1)
        order = np.lexsort((-rank, labels.cost[:, 0], labels.entry))
        best = np.maximum.accumulate((labels.entry * (len(labels) + 1) + rank)[order])  # the entries apart
        new = np.ones(len(best), dtype=bool)
        new[1:] = best[1:] > best[:-1]
        return labels[order[new]]

    def answer(self, limits: Array) -> Pick | None:
        """The best label of all trees together, followed back."""
        labels = _Labels(entry=np.zeros(1, np.int64), excess=np.zeros(1), cost=np.zeros((1, len(limits))), behind=())
        for root in self.buckets.roots:
            labels = self.join(labels, root, np.zeros(len(labels), np.int64), np.zeros(1))
        labels = labels[np.flatnonzero((labels.cost <= with_tolerance(limits)).all(1))]
        if not len(labels):
            return None
        best = int(np.argmax(labels.cost @ self.prices - labels.excess))
        pick: Pick = {}
        left = [(root, int(label[best])) for root, label in zip(self.buckets.roots, labels.behind, strict=True)]
        while left:
            v, label = left.pop()
            *behind, level = self.done[v].behind
            pick[v] = int(level[label])
            left += [
                (child, int(labels_behind[label]))
                for child, labels_behind in zip(self.buckets.children[v], behind, strict=True)
            ]
        return pick


def _thinned(labels: _Labels, worth: Array) -> _Labels:
    """Without labels that one of a few before them beats: with several costs a whole front would take every pair."""
    order = np.lexsort((-worth, *labels.cost.T[::-1], labels.entry))
    labels, worth = labels[order], worth[order]
    beaten = np.zeros(len(labels), dtype=bool)
    for back in range(1, min(WINDOW, len(labels) - 1) + 1):
        here, there = slice(back, None), slice(None, -back)
        beaten[here] |= (
            (labels.entry[here] == labels.entry[there])
            & (worth[here] <= worth[there])
            & (labels.cost[here] >= labels.cost[there]).all(1)
        )
    return labels[~beaten]


def _places(buckets: Buckets, child: str, scope: tuple[str, ...]) -> Ints:
    """For each entry of a bucket's table, the entry of what a child sends it."""
    up = buckets.up[child]
    numbers = Factor(up.scope, np.arange(up.table.size, dtype=float).reshape(up.table.shape))
    shape = [buckets.sizes[v] for v in scope]
    return np.broadcast_to(expanded(numbers, scope, buckets.sizes), shape).ravel().astype(np.int64)
