"""A recorded run: its tensors, and its ATen operations in the order in which they ran."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from padless.graph.roots import Attribute, Root, Size


class Ref(NamedTuple):
    """Stands for a value among an operation's arguments."""

    value: int


class Value(NamedTuple):
    """A tensor of the recorded run. Parameters and buffers carry their path; constants appear in the forward itself."""

    id: int
    shape: tuple[int, ...]
    origin: Literal["input", "parameter", "buffer", "constant", "op"]
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One ATen call. An in-place call gets a fresh output value, so values are written once."""

    name: str  # such as "aten.convolution"
    function: torch._ops.OpOverload[..., Any]
    args: tuple[Any, ...]  # tensors are `Ref`s
    kwargs: dict[str, Any]
    outputs: tuple[int, ...]
    module: str  # path of the innermost module that was running
    given: tuple[int, ...]  # whole numbers of the Python call behind it, those with a known origin as `Number`s

    reads: tuple[int, ...]  # the values among its arguments, in their order

    def inputs(self) -> list[int]:
        """The values it reads, in the order of its arguments."""
        return list(self.reads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    values: tuple[Value, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    output_names: tuple[str, ...]  # where each lies in what the model returns, such as `0` or `boxes.1`
    staying: tuple[int, ...]  # the outputs whose channels must stay: all, unless some were chosen
    filters: frozenset[int]  # weights of convolutions, whose axes from the third on are kernels
    contents: dict[int, npt.NDArray[np.int64]]  # of whole-number buffers and constants, which may be positions
    equal: tuple[tuple[Size, Attribute], ...]  # sizes that the forward found equal to what a module stores
    leaks: tuple[Root, ...]  # numbers that went through Python's own functions
    scripted: frozenset[int]  # parameters of compiled modules, whose numbers cannot be changed
    scaled_by_width: tuple[tuple[int, int], ...]  # (value, axis) whose size torch turns into a factor

    def shape(self, value: int) -> tuple[int, ...]:
        return self.values[value].shape
