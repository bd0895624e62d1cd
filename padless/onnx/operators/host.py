"""What is computed on whole numbers beside the tensors: shapes, and what is worked out from them.

Products and exact quotients of `Number`s know where they came from, so that a shape worked out here follows a cut.
"""

import math
import operator as python
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import torch

from padless.onnx.operators.table import listed, plain

LONGEST = 1 << 16  # of a list of whole numbers: shapes have a handful


def _quotient(a: Any, b: Any) -> Any:
    """ONNX rounds quotients of whole numbers towards zero; sizes are not negative."""
    if isinstance(a, float) or isinstance(b, float):
        return a / b
    if plain(a) < 0 or plain(b) < 0:
        return -(-a // b) if plain(b) > 0 else -(a // -b)
    return a // b


def _extreme(least: bool) -> Callable[[Any, Any], Any]:
    def choose(a: Any, b: Any) -> Any:
        return a if (_plain(a) <= _plain(b)) == least else b

    return choose


def _plain(x: Any) -> Any:
    return plain(x) if isinstance(x, int) else x


BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": python.add, "Sub": python.sub, "Mul": python.mul, "Div": _quotient, "Mod": python.mod,
    "Equal": lambda a, b: _plain(a) == _plain(b), "Less": lambda a, b: _plain(a) < _plain(b),
    "Greater": lambda a, b: _plain(a) > _plain(b), "LessOrEqual": lambda a, b: _plain(a) <= _plain(b),
    "GreaterOrEqual": lambda a, b: _plain(a) >= _plain(b), "And": lambda a, b: bool(a and b),
    "Or": lambda a, b: bool(a or b), "Xor": lambda a, b: bool(a) != bool(b),
    "Min": _extreme(True), "Max": _extreme(False),
}  # fmt: skip


def _zipped(function: Callable[..., Any], *values: Any) -> Any:
    """Element by element, with broadcasting of a single one."""
    if isinstance(values[0], np.ndarray) and len(values) == 1:
        return np.array([function(n) for n in values[0].reshape(-1)], dtype=object).reshape(values[0].shape)
    if not any(isinstance(v, list | tuple) for v in values):
        return function(*values)
    lists = [listed(v) for v in values]
    length = max(map(len, lists))
    lists = [each * length if len(each) == 1 else each for each in lists]
    return [function(*row) for row in zip(*lists, strict=True)]


def binary(node: Any, a: Any, b: Any) -> Any:
    return _zipped(BINARY[node.operator], a, b)


def several(node: Any, *x: Any) -> Any:
    return reduce(lambda a, b: _zipped(BINARY[node.operator], a, b), x)


def where(_node: Any, condition: Any, x: Any, y: Any) -> Any:
    return _zipped(lambda c, a, b: a if c else b, condition, x, y)


def cast(node: Any, x: Any, _like: Any = None) -> Any:
    to = node.get("to", 7)
    if to in (1, 10, 11):
        return _zipped(lambda n: n * 1.0, x)
    if to == 9:
        return _zipped(bool, x)
    return _zipped(lambda n: math.trunc(n) if isinstance(n, float) else int(n) if isinstance(n, bool) else n, x)


def unary(node: Any, x: Any) -> Any:
    functions: dict[str, Callable[[Any], Any]] = {
        "Floor": lambda n: n if isinstance(n, int) else float(math.floor(n)),
        "Ceil": lambda n: n if isinstance(n, int) else float(math.ceil(n)),
        "Round": lambda n: n if isinstance(n, int) else float(round(n)),
        "Neg": lambda n: -n, "Abs": abs, "Not": lambda n: not n, "Sqrt": math.sqrt,
    }  # fmt: skip
    if node.operator not in functions:
        raise node.refused("is given whole numbers of shapes")
    return _zipped(functions[node.operator], x)


def same(_node: Any, x: Any, _ratio: Any = None, _training: Any = None) -> Any:
    return x


def joined(_node: Any, *x: Any) -> list[Any]:
    return [n for part in x for n in listed(part)]


def gathered(node: Any, x: Any, indices: Any) -> Any:
    numbers = listed(x)
    if isinstance(indices, list | tuple):
        return [numbers[plain(i)] for i in indices]
    return numbers[plain(indices)]


def sliced(node: Any, x: Any, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None) -> Any:
    starts, ends = node.get("starts", starts), node.get("ends", ends)
    if isinstance(x, np.ndarray):
        index: list[Any] = [slice(None)] * x.ndim
        chosen = listed(axes) if axes is not None else range(len(listed(starts)))
        each = listed(steps) if steps is not None else [1] * len(listed(starts))
        for axis, start, end, step in zip(chosen, listed(starts), listed(ends), each, strict=True):
            index[axis] = slice(plain(start), plain(end), plain(step))
        return x[tuple(index)]
    step = plain(listed(steps)[0]) if steps is not None else 1
    return listed(x)[plain(listed(starts)[0]) : plain(listed(ends)[0]) : step]


def split(node: Any, x: Any, sizes: Any = None) -> tuple[list[Any], ...]:
    numbers = listed(x)
    sizes = node.get("split", sizes)
    each = [plain(n) for n in listed(sizes)] if sizes is not None else [len(numbers) // node.outputs] * node.outputs
    starts = [sum(each[:i]) for i in range(len(each))]
    return tuple(numbers[start : start + n] for start, n in zip(starts, each, strict=True))


def as_list(node: Any, x: Any, axes: Any = None) -> Any:
    """A number becomes a list; a list has further axes as a tensor alone."""
    axes = listed(node.get("axes", axes))
    if isinstance(x, list | tuple) or len(axes) > 1:
        tensor = torch.tensor(x)
        for axis in sorted(a % (tensor.ndim + len(axes)) for a in axes):
            tensor = tensor.unsqueeze(axis)
        return tensor
    return [x]


def as_number(_node: Any, x: Any, _axes: Any = None) -> Any:
    numbers = listed(x)
    return numbers[0] if len(numbers) == 1 else numbers


def reshaped(_node: Any, x: Any, shape: Any) -> Any:
    sizes = listed(shape)
    flat = x.reshape(-1).tolist() if isinstance(x, np.ndarray) else listed(x)
    if len(sizes) > 1:  # amounts of padding, in pairs
        return np.array(flat, dtype=object).reshape([plain(n) for n in sizes])
    return flat if sizes else flat[0]


def turned(node: Any, x: Any) -> Any:
    return x.transpose(node.get("perm", None)) if isinstance(x, np.ndarray) else x


def clipped(node: Any, x: Any, low: Any = None, high: Any = None) -> Any:
    low, high = node.get("min", low), node.get("max", high)
    if low is not None:
        x = _zipped(BINARY["Max"], x, low)
    return x if high is None else _zipped(BINARY["Min"], x, high)


def repeated(node: Any, x: Any, shape: Any) -> Any:
    numbers, shape = listed(x), listed(shape)
    if len(numbers) == 1 and len(shape) == 1:
        return numbers * _length(node, shape[0])
    return numbers


def product(_node: Any, x: Any, _axes: Any = None) -> Any:
    result = 1
    for number in listed(x):
        result = number * result
    return result


def total(_node: Any, x: Any, _axes: Any = None) -> Any:
    return reduce(python.add, listed(x))


def sequence(node: Any, start: Any, limit: Any, delta: Any) -> list[Any]:
    if any(isinstance(n, float) for n in (start, limit, delta)):
        count = max(0, math.ceil((limit - start) / delta))
        return [start + i * delta for i in range(_length(node, count))]
    values = range(plain(start), plain(limit), plain(delta))
    _length(node, len(values))
    return list(values)


def _length(node: Any, length: int) -> int:
    if plain(length) > LONGEST:
        raise node.refused(f"makes {plain(length)} numbers")
    return plain(length)
