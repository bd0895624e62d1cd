"""Channel ids on every tensor of a recording, and what must be the same channel.

A *field* is an integer array that broadcasts to a tensor's shape: entry [n, c, h, w] is the id of the channel that this
element belongs to, and an axis on which the id does not depend has size 1. A convolution's output carries one field of
shape [1, C, 1, 1]. A parameter carries one field an axis, since its rows and its columns are cut apart. Pure data
movement is the same operation run on the fields.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from padless.graph.record import Op, Recording, Ref

Field = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int64]


def varying(f: Field) -> tuple[int, ...]:
    """The axes on which the channel changes."""
    return tuple(i for i, n in enumerate(f.shape) if n > 1)


def along(ids: Ids, axis: int, ndim: int) -> Field:
    """The field of a tensor with `ndim` axes whose `axis` carries `ids`."""
    return ids.reshape([-1 if i == axis else 1 for i in range(ndim)])


@dataclass(frozen=True, slots=True)
class Call:
    """One convolution or linear operation, with the ids on its two sides (None: no channels of the network's own)."""

    op: Op
    weight: int
    groups: int
    inputs: Ids | None
    outputs: Ids | None


@dataclass(slots=True)
class Channels:
    """The ids while the rules run: fields per value, ties between ids, and ids that must stay."""

    recording: Recording
    fields: dict[int, tuple[Field, ...]] = field(default_factory=dict)
    leaves: dict[int, tuple[Field, ...]] = field(default_factory=dict)  # parameters and buffers that were used
    weights: dict[int, int] = field(default_factory=dict)  # a transposed weight -> the weight
    ties: list[tuple[Ids, Ids]] = field(default_factory=list)
    pins: list[tuple[Ids, str]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    size: int = 0

    def fresh(self, n: int) -> Ids:
        ids = np.arange(self.size, self.size + n)
        self.size += n
        return ids

    def of(self, value: int | Ref) -> tuple[Field, ...]:
        """The fields of a value; a parameter gets its own on first sight."""
        value = value.value if isinstance(value, Ref) else value
        known = self.fields.get(value)
        if known is None:
            known = ()
            if self.recording.values[value].origin in ("parameter", "buffer"):
                shape = self.recording.shape(value)
                known = tuple(along(self.fresh(n), i, len(shape)) for i, n in enumerate(shape) if n > 1)
                self.leaves[value] = known
            self.fields[value] = known
        return known

    def axis(self, value: int | Ref, axis: int) -> Ids | None:
        """The ids along one axis, or None where the axis carries no channels. Fields on other axes are left alone."""
        for f in self.of(value):
            if varying(f) == (axis,):
                return f.reshape(-1)
        return None

    def tie(self, a: Ids | None, b: Ids | None, reason: str) -> None:
        """The same position is the same channel. Where one side carries none, the other must stay whole."""
        if a is None or b is None:
            for ids in (a, b):
                if ids is not None:
                    self.pin(ids, reason)
        elif a is not b:
            self.ties.append((a.reshape(-1), b.reshape(-1)))

    def pin(self, ids: Ids, reason: str) -> None:
        self.pins.append((ids.reshape(-1), reason))

    def pin_value(self, value: int | Ref, reason: str, *, except_axis: int | None = None) -> None:
        """Pin what lies on any axis of a value but one."""
        for f in self.of(value):
            if varying(f) != (except_axis,):
                self.pin(f, reason)

    def classes(self) -> tuple[Ids, list[str | None]]:
        """The class of every id once the ties are drawn, and each class's first reason to stay."""
        left = np.concatenate([a for a, _ in self.ties] or [np.empty(0, np.int64)])
        right = np.concatenate([b for _, b in self.ties] or [np.empty(0, np.int64)])
        links = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(self.size, self.size))
        count, label = connected_components(links, directed=False)
        reasons: list[str | None] = [None] * count
        for ids, reason in self.pins:
            for c in np.unique(label[ids]):
                reasons[c] = reasons[c] or reason
        return label.astype(np.int64), reasons


def reshape_field(f: Field, source: Sequence[int], target: Sequence[int]) -> Field:
    """The field after a view from shape `source` to shape `target`.

    The shapes are cut into the smallest runs of axes with equal products; only a run on which the id changes is spelled
    out in full, so a [1, C, 1, 1] field stays small however large the map is.
    """
    expanded: list[int] = []
    shape: list[int] = []
    for old, new in _runs(source, target):
        constant = math.prod(f.shape[old]) == 1
        expanded += [1] * len(source[old]) if constant else source[old]
        shape += [1] * len(target[new]) if constant else target[new]
    out = np.broadcast_to(f, expanded).reshape(shape)
    for axis in varying(out):
        if np.array_equal(out, np.broadcast_to(out.take([0], axis), out.shape)):
            out = out.take([0], axis)
    return out


def _runs(source: Sequence[int], target: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    i = j = 0
    while i < len(source) and j < len(target):
        old, new, p, q = i, j, source[i], target[j]
        i, j = i + 1, j + 1
        while p != q:
            if p < q:
                p, i = p * source[i], i + 1
            else:
                q, j = q * target[j], j + 1
        yield slice(old, i), slice(new, j)
    yield slice(i, len(source)), slice(j, len(target))  # what is left are ones
