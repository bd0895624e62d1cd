"""Where the axes of a recorded tensor lie in the tensor that is stored for it.

A stored tensor is a sequence of *atoms*, from major to minor; each recorded axis is some of them, from major to minor. So
a view, a permutation or a flattening only regroups atoms and computes nothing; whoever needs a certain order asks for it
(`Lowering.arranged`), and only then is anything moved.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """`sizes` of the atoms in stored order; `axes` has for each recorded axis the indices of its atoms.

    An axis without atoms has size 1, or is broadcast where the recorded size is larger.
    """

    sizes: Shape
    axes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, shape: Shape, order: Sequence[int] | None = None) -> "Layout":
        """Recorded axes stored whole, in `order`."""
        order = range(len(shape)) if order is None else order
        return cls(tuple(shape[a] for a in order), tuple((list(order).index(a),) for a in range(len(shape))))

    def width(self, axis: int) -> int:
        """The stored size of a recorded axis."""
        return math.prod(self.sizes[a] for a in self.axes[axis])

    def sequence(self, order: Sequence[int]) -> list[int]:
        """The atoms of the recorded axes in `order`, but those of size 1."""
        return [a for axis in order for a in self.axes[axis] if self.sizes[a] > 1]

    def stored(self, order: Sequence[int]) -> bool:
        """Whether the recorded axes lie in `order` as they are stored."""
        return self.sequence(order) == [a for a, size in enumerate(self.sizes) if size > 1]

    def order(self) -> tuple[int, ...] | None:
        """An order in which the recorded axes lie whole, preferably the usual one; None if they are interleaved."""
        usual = usual_order(len(self.axes))
        if self.stored(usual):
            return usual
        first = {axis: min((a for a in atoms if self.sizes[a] > 1), default=-1) for axis, atoms in enumerate(self.axes)}
        order = tuple(sorted(first, key=lambda axis: first[axis]))
        return order if self.stored(order) else None

    def packed(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A value [recorded shape] as it is stored, [sizes]."""
        order = self._atoms()
        apart = array.reshape([self.sizes[a] for a in order])
        return np.ascontiguousarray(apart.transpose(np.argsort(order)))

    def unpacked(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What is stored as the value; an axis that is broadcast has size 1."""
        widths = [self.width(axis) for axis in range(len(self.axes))]
        return array.reshape(self.sizes).transpose(self._atoms()).reshape(widths)

    def _atoms(self) -> list[int]:
        """All atoms in the order of the recorded axes; those of size 1 that belong to none come last."""
        order = [atom for axis in self.axes for atom in axis]
        return order + [atom for atom in range(len(self.sizes)) if atom not in order]

    def permuted(self, axes: Sequence[int]) -> "Layout":
        """New axis i is the old axis `axes[i]`."""
        return Layout(self.sizes, tuple(self.axes[a] for a in axes))

    def viewed(self, before: Shape, after: Shape) -> "Layout | None":
        """The same elements under another recorded shape; None where a new axis would need part of an atom."""
        if any(self.width(i) != size for i, size in enumerate(before)):
            return None
        parts: list[list[int]] = [[size] for size in self.sizes]  # what each atom is split into
        atoms_left = [(atom, 0) for axis in self.axes for atom in axis if self.sizes[atom] > 1]
        regrouped: list[list[tuple[int, int]]] = []
        for size in after:
            atoms: list[tuple[int, int]] = []
            while size > 1:
                atom, part = atoms_left.pop(0)
                has = parts[atom][part]
                if has > size:
                    if has % size:
                        return None
                    parts[atom][part:] = [size, has // size]
                    atoms_left.insert(0, (atom, part + 1))
                    has = size
                if size % has:
                    return None
                size //= has
                atoms.append((atom, part))
            regrouped.append(atoms)
        starts = [sum(len(p) for p in parts[:atom]) for atom in range(len(parts))]
        axes = tuple(tuple(starts[atom] + part for atom, part in atoms) for atoms in regrouped)
        return Layout(tuple(size for p in parts for size in p), axes)


def usual_order(rank: int) -> tuple[int, ...]:
    """Feature maps have their channels last, everything else is stored as it is recorded."""
    return (0, 2, 3, 1) if rank == 4 else tuple(range(rank))


def moves(sizes: Shape, wanted: Sequence[int]) -> tuple[Shape, tuple[int, ...]]:
    """A transposition of as few axes as it takes: the shape before it, and its permutation.

    `wanted` are the atoms larger than 1 in the order in which they shall lie; neighbours that stay so are merged.
    """
    runs: list[list[int]] = []
    large = [a for a, size in enumerate(sizes) if size > 1]
    after = dict(zip(large, [*large[1:], -1], strict=True))
    for atom in wanted:
        if runs and after[runs[-1][-1]] == atom:
            runs[-1].append(atom)
        else:
            runs.append([atom])
    stored = sorted(runs, key=lambda run: run[0])
    shape = tuple(math.prod(sizes[a] for a in run) for run in stored)
    return shape, tuple(stored.index(run) for run in runs)


def as_map(shape: Shape) -> Shape:
    """Four axes: rows of channels are one row of pixels, and what has one axis of places lies in one row."""
    return (1,) * (4 - len(shape)) + shape if len(shape) < 3 else (shape[0], *(1,) * (4 - len(shape)), *shape[1:])
