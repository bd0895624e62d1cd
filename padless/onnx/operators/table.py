"""The registry of ONNX operators: a dictionary from an operator's name to the function that computes it.

A function is given its node and the node's inputs in the file's order: tensors; None where an optional one was left out;
whole numbers on the host (an int, or a list of them) for shapes, axes and what is worked out from them. Its docstring is
the operator's row on the page of supported operators.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Form = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """How an operator's nodes are read. The names of inputs are those of the module's parameters and numbers.

    `constant`: inputs that must be known beforehand and never follow a cut (axes, bounds, scales), kept as Python numbers.
    `positions`: inputs of positions along an axis, kept as buffers. `stored`: attributes that a cut may change, with
    the name of the number that the module keeps. `on_host`: computes on whole numbers where all inputs are such.
    """

    form: Form | None
    inputs: tuple[str, ...]
    constant: frozenset[str] = frozenset()
    positions: frozenset[str] = frozenset()
    stored: tuple[tuple[str, str], ...] = ()
    outputs: int = 1  # those that are computed; further ones of the node must have no reader
    on_host: Form | None = None

    def input(self, index: int) -> str:
        """The name of an input; the last one may stand for any number of them."""
        if index < len(self.inputs):
            return self.inputs[index]
        return f"{self.inputs[-1]}_{index}"


OPERATORS: dict[str, Operator] = {}


def operator(
    *names: str,
    inputs: str,
    constant: str = "",
    positions: str = "",
    stored: dict[str, str] | None = None,
    outputs: int = 1,
    on_host: Form | None = None,
) -> Callable[[Form], Form]:
    """Register a function for operators of the standard domain; see `Operator` for what the arguments mean."""

    def register(form: Form) -> Form:
        for name in names:
            OPERATORS[name] = Operator(
                form=form, inputs=tuple(inputs.split()), constant=frozenset(constant.split()),
                positions=frozenset(positions.split()), stored=tuple((stored or {}).items()), outputs=outputs,
                on_host=on_host,
            )  # fmt: skip
        return form

    return register


def is_host(value: Any) -> bool:
    """Whether a value is known beside the tensors: a number, or a list of them."""
    return not isinstance(value, Tensor)


def plain(number: int) -> int:
    """A whole number without its origin, for decisions that hold behind every cut, too."""
    return int.__index__(number)


def listed(value: Any) -> list[Any]:
    """A host value as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]
