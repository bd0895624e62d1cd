"""How a node's module holds its float constants: as they are, or in the order of axes and gates that torch computes with."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Codec(Protocol):
    """Between an array of the file and a module's parameters by name."""

    def split(self, array: Array) -> dict[str, Array]: ...
    def join(self, parts: dict[str, Array]) -> Array: ...


@dataclass(frozen=True, slots=True)
class Whole:
    """The array itself."""

    name: str

    def split(self, array: Array) -> dict[str, Array]:
        return {self.name: array}

    def join(self, parts: dict[str, Array]) -> Array:
        return parts[self.name]


@dataclass(frozen=True, slots=True)
class Transposed:
    """A matrix product's second factor [in, out] as a linear layer's weight [out, in]."""

    name: str

    def split(self, array: Array) -> dict[str, Array]:
        return {self.name: np.ascontiguousarray(array.T)}

    def join(self, parts: dict[str, Array]) -> Array:
        return np.ascontiguousarray(parts[self.name].T)


# Operator -> the place in the file of each of torch's gates: input, forget, cell, output; reset, update, new.
ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
NAMES = {"weight": ("weight_ih_l0",), "recurrence": ("weight_hh_l0",), "bias": ("bias_ih_l0", "bias_hh_l0")}


@dataclass(frozen=True, slots=True)
class Gates:
    """A recurrent layer's weights [directions, gates x width, ...], or both biases behind one another."""

    operator: str
    part: str  # of NAMES

    def split(self, array: Array) -> dict[str, Array]:
        parts = {}
        for direction, rows in enumerate(array):
            suffix = "_reverse" if direction else ""
            names = NAMES[self.part]
            for name, half in zip(names, np.split(rows, len(names)), strict=True):
                parts[name + suffix] = self._ordered(half, ORDER[self.operator])
        return parts

    def join(self, parts: dict[str, Array]) -> Array:
        order = ORDER[self.operator]
        back = [order.index(gate) for gate in range(len(order))]
        directions = []
        for suffix in ("", "_reverse"):
            if f"{NAMES[self.part][0]}{suffix}" in parts:
                halves = [self._ordered(parts[name + suffix], back) for name in NAMES[self.part]]
                directions.append(np.concatenate(halves))
        return np.stack(directions)

    @staticmethod
    def _ordered(rows: Array, order: tuple[int, ...] | list[int]) -> Array:
        gates = np.split(rows, len(order))
        return np.ascontiguousarray(np.concatenate([gates[gate] for gate in order]))
