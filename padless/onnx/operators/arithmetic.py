"""Arithmetic of several tensors, comparisons and types"""

import operator as python
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from padless.onnx.operators import host
from padless.onnx.operators.table import is_host, listed, operator

TYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64, 9: torch.bool,
    10: torch.float16, 11: torch.float64,
}  # fmt: skip
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": python.add, "Sub": python.sub, "Mul": python.mul, "Equal": python.eq, "Less": python.lt,
    "Greater": python.gt, "LessOrEqual": python.le, "GreaterOrEqual": python.ge, "And": torch.logical_and,
    "Or": torch.logical_or, "Xor": torch.logical_xor,
}  # fmt: skip


def operand(value: Any) -> Any:
    """A tensor, or a number that it is combined with: host numbers as a tensor where there are several."""
    if isinstance(value, np.ndarray):
        return torch.tensor(value.tolist())
    if is_host(value) and isinstance(value, list | tuple):
        return value[0] if len(value) == 1 else torch.tensor(list(value))
    return value


@operator(*BINARY, inputs="a b", on_host=host.binary)
def binary(node: Any, a: Any, b: Any) -> Tensor:
    """Element by element, with broadcasting."""
    result: Tensor = BINARY[node.operator](operand(a), operand(b))
    return result


@operator("Div", inputs="a b", on_host=host.binary)
def div(_node: Any, a: Any, b: Any) -> Tensor:
    """Division, that of whole numbers rounded towards zero."""
    a, b = operand(a), operand(b)
    whole = all(not x.is_floating_point() if isinstance(x, Tensor) else isinstance(x, int) for x in (a, b))
    result: Tensor = torch.div(a, b, rounding_mode="trunc") if whole else a / b
    return result


@operator("Mod", inputs="a b", on_host=host.binary)
def mod(node: Any, a: Any, b: Any) -> Tensor:
    """The remainder, with the sign of the divisor, or (`fmod`) of the dividend."""
    function: Any = torch.fmod if node.get("fmod", 0) else torch.remainder
    result: Tensor = function(operand(a), operand(b))
    return result


@operator("Pow", inputs="x exponent")
def power(_node: Any, x: Any, exponent: Any) -> Tensor:
    """Powers with a constant exponent, or with tensors."""
    result: Tensor = torch.pow(operand(x), operand(exponent))
    return result


@operator("Min", "Max", inputs="x", on_host=host.several)
def extreme(node: Any, *x: Any) -> Tensor:
    """The least or the largest of any number of tensors."""
    least = node.operator == "Min"

    def two(a: Any, b: Any) -> Tensor:
        a, b = operand(a), operand(b)
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return torch.minimum(a, b) if least else torch.maximum(a, b)
        tensor, number = (a, b) if isinstance(a, Tensor) else (b, a)
        bounded: Tensor = torch.clamp(tensor, max=number) if least else torch.clamp(tensor, min=number)
        return bounded

    result: Tensor = reduce(two, x)
    return result


@operator("Sum", "Mean", inputs="x")
def together(node: Any, *x: Any) -> Tensor:
    """The sum or the mean of any number of tensors."""
    total: Tensor = reduce(python.add, map(operand, x))
    return total if node.operator == "Sum" else total / len(x)


@operator("Where", inputs="condition x y", on_host=host.where)
def where(_node: Any, condition: Any, x: Any, y: Any) -> Tensor:
    """One of two tensors, element by element."""
    condition = condition if isinstance(condition, Tensor) else torch.tensor(listed(condition))
    result: Tensor = torch.where(condition, operand(x), operand(y))
    return result


@operator("Cast", "CastLike", inputs="x like", on_host=host.cast)
def cast(node: Any, x: Tensor, like: Any = None) -> Tensor:
    """To whole numbers and truth values and back. Floating point stays as precise as it is computed."""
    if node.operator == "CastLike":
        dtype = like.dtype if isinstance(like, Tensor) else torch.int64 if isinstance(like, int) else torch.float32
    else:
        known = TYPES.get(node.get("to", 1))
        if known is None:
            raise node.refused(f"casts to the type {node.get('to', 1)}, which has no form")
        dtype = known
    if dtype.is_floating_point and x.is_floating_point():
        return x
    return x.to(torch.float32 if dtype is torch.float16 else dtype)
