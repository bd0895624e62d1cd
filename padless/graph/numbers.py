"""Where a number in the forward comes from: the size of a tensor, an attribute of a module, or the source text.

A cut changes sizes. `x.view(b, g, c // g, h, w)` still runs behind it when c was read from a tensor; with a c that a
module stores, the stored number must be cut too; with a literal, the channels must stay. So while a model is recorded,
the sizes of tensors and the whole numbers that modules store are `Number`s, which remember their origin through products
and exact quotients, and a `TorchFunctionMode` writes down which of them each call was given.
"""

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from padless.graph.recurrent import WHOLE


@dataclass(frozen=True, slots=True)
class Size:
    """`scale` times the size of one axis of a value of the recording."""

    value: int
    axis: int
    scale: Fraction = Fraction(1)


@dataclass(frozen=True, slots=True)
class Attribute:
    """`scale` times a whole number that a module stores, at `index` where it stores a sequence of them."""

    module: str
    name: str
    index: int | None = None
    scale: Fraction = Fraction(1)


Root = Size | Attribute


@dataclass(frozen=True, slots=True)
class Mixed:
    """What was worked out from numbers with these roots, so that it changes with them in no simple way."""

    roots: tuple[Root, ...]


@dataclass(slots=True)
class Log:
    """Which stored numbers the forward found equal to which sizes, as it must behind a cut; and what it lost sight of.

    `leaks` are numbers that went through Python's own functions, such as `math.sqrt`: they must not change.
    """

    equal: list[tuple[Size, Attribute]] = field(default_factory=list)
    leaks: list[Root] = field(default_factory=list)


class Number(int):
    """A whole number that knows its root: products and exact quotients of it do too, other results know what they mix.

    `log` collects what the forward does with it beside torch.
    """

    root: Root | Mixed
    log: "Log"

    def __new__(cls, value: int, root: Root | Mixed, log: "Log") -> "Number":
        number = super().__new__(cls, value)
        number.root, number.log = root, log
        return number

    def __float__(self) -> float:
        self.log.leaks.extend(_roots(self.root))
        return float(int(self))

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, int) and not isinstance(self.root, Mixed):
            own_root, other_root = self.root, other.root if isinstance(other, Number) else None
            if other_root is None or (isinstance(own_root, Size) and isinstance(other_root, Attribute)):
                return Number(int(self) * int(other), replace(own_root, scale=own_root.scale * int(other)), self.log)
            if isinstance(own_root, Attribute) and isinstance(other_root, Size):
                return Number(int(self) * int(other), replace(other_root, scale=other_root.scale * int(self)), self.log)
        return _mixed(operator.mul, self, other)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        other_root = other.root if isinstance(other, Number) else None
        if isinstance(self.root, Mixed) or isinstance(other_root, Size | Mixed) or type(other) not in (int, Number):
            return _mixed(operator.floordiv, self, other)
        if not other or int(self) % int(other):
            return _mixed(operator.floordiv, self, other)
        return Number(int(self) // int(other), replace(self.root, scale=self.root.scale / int(other)), self.log)

    def __eq__(self, other: object) -> bool:
        same = int(self) == other
        if same and isinstance(other, Number):
            for a, b in ((self.root, other.root), (other.root, self.root)):
                if isinstance(a, Size) and isinstance(b, Attribute) and a.scale == b.scale == 1:
                    self.log.equal.append((a, b))
        return same

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = int.__hash__

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        return int, (int(self),)


def _roots(root: Root | Mixed) -> tuple[Root, ...]:
    return root.roots if isinstance(root, Mixed) else (root,)


class Real(float):
    """What was worked out from `Number`s, such as a scale."""

    root: Mixed
    log: "Log"


def _mixed(operation: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """The result of an operation on two numbers, with the roots of both."""
    plain = [int(x) if isinstance(x, int) else float(x) if isinstance(x, float) else None for x in (a, b)]
    if None in plain:
        return NotImplemented  # a tensor, which is then given the number itself
    result = operation(*plain)
    known = [x for x in (a, b) if isinstance(x, Number | Real)]
    root = Mixed(tuple(r for x in known for r in _roots(x.root)))
    if isinstance(result, int):
        return Number(result, root, known[0].log)
    real = Real(result)
    real.root, real.log = root, known[0].log
    return real


def _remember(kind: type, name: str) -> None:
    """Let an operator of `kind`, from both sides, keep the roots of what it mixes."""
    operation = getattr(operator, name)
    for method, run in (
        (f"__{name}__", lambda self, other: _mixed(operation, self, other)),
        (f"__r{name}__", lambda self, other: _mixed(operation, other, self)),
    ):
        if method not in vars(kind):
            setattr(kind, method, run)


for _kind in (Number, Real):
    for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
        _remember(_kind, _name)
    setattr(_kind, "__neg__", lambda self: self * -1)  # noqa: B010


def _leaking(name: str) -> Callable[[Real], int]:
    def run(self: Real) -> int:
        self.log.leaks.extend(self.root.roots)
        return int(getattr(float, name)(float.__add__(self, 0.0)))

    return run


for _name in ("__int__", "__trunc__", "__ceil__", "__floor__"):  # whole numbers that remember nothing
    setattr(Real, _name, _leaking(_name))


class Shape(tuple[int, ...]):
    """What `tensor.shape` gives while recording: `torch.Size` itself drops the origin of its entries."""

    def numel(self) -> int:
        return torch.Size(self).numel()


_OF_TORCH = frozenset({"groups", "num_groups", "normalized_shape", "num_features"})


def mark_attributes(modules: Iterable[tuple[str, nn.Module]], log: Log) -> None:
    """Give every whole number that a module stores its origin, in place.

    Of torch's own modules only the numbers that take part in their forward.
    """
    for path, module in modules:
        if isinstance(module, nn.RMSNorm):  # many operations, whose sizes are those of its weight
            continue
        own = not type(module).__module__.startswith("torch.nn")
        for name, value in vars(module).items():
            if own or name in _OF_TORCH:
                if type(value) is int and value > 1:
                    module.__dict__[name] = Number(value, Attribute(path, name), log)
                elif type(value) in (tuple, list) and value and all(type(v) is int for v in value):
                    marked = [Number(v, Attribute(path, name, i), log) for i, v in enumerate(value)]
                    module.__dict__[name] = type(value)(marked)


_SHAPE = torch.Tensor.shape.__get__  # type: ignore[attr-defined]
_COUNTED = {torch.chunk, torch.Tensor.chunk, torch.tensor_split, torch.Tensor.tensor_split}  # in how many parts
_LIKE = {torch.Tensor.expand_as, torch.Tensor.view_as, torch.Tensor.reshape_as}


class Origins(TorchFunctionMode):
    """Hands out `Number`s for sizes, and keeps the whole numbers that the running call was given."""

    def __init__(self, value_of: Callable[[Tensor], int | None], record: Callable[[Any, tuple[Any, ...]], Any]) -> None:
        super().__init__()
        self.value_of, self.record = value_of, record
        self.given: tuple[int, ...] = ()
        self.log = Log()
        self.scaled_by_width: list[tuple[int, int]] = []  # (value, axis): queries of attention without a given scale

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func == _SHAPE:
            return self.sizes(args[0])
        if func is torch.Tensor.size:
            sizes = self.sizes(args[0])
            axis = args[1] if len(args) > 1 else (kwargs or {}).get("dim")
            return sizes if axis is None else sizes[axis]
        kwargs = kwargs or {}
        if func in WHOLE and not kwargs:
            return self.record(func, args)
        outer = self.given
        if func in _LIKE:
            self.given = self.sizes(args[1])
        elif func in _COUNTED and isinstance(args[1], int):
            self.given = ()
        else:
            self.given = tuple(_numbers((args, kwargs)))
        if func is torch.nn.functional.scaled_dot_product_attention and kwargs.get("scale") is None:
            query = self.value_of(args[0] if args else kwargs["query"])
            self.scaled_by_width += [] if query is None else [(query, (args[0] if args else kwargs["query"]).ndim - 1)]
        try:
            return func(*args, **kwargs)
        finally:
            self.given = outer

    def sizes(self, tensor: Tensor) -> Shape:
        value = self.value_of(tensor)
        if value is None:
            return Shape(tensor.shape)
        return Shape(Number(n, Size(value, i), self.log) for i, n in enumerate(tensor.shape))


def _numbers(tree: Any) -> Iterator[int]:
    for x in tree:
        kind = type(x)
        if kind is int or kind is Number or kind is Real:
            yield x
        elif kind in (tuple, list, Shape, torch.Size):
            yield from _numbers(x)
        elif kind is slice:
            yield from _numbers((x.start, x.stop, x.step))
        elif kind is dict:
            yield from _numbers(x.values())


def origin(given: tuple[int, ...], numbers: list[int]) -> list[Root | int | None]:
    """For each number of an operation, its root, the number itself where the source text has it, or None.

    None: torch made it up (an end that was left out, a -1, the part size of a chunk), so that it follows its tensor.
    """
    n = len(numbers)
    for start in range(len(given) - n + 1):
        window = given[start : start + n]
        if all(a in (b, -1) for a, b in zip(window, numbers, strict=True)):
            return [_root_of(g) or (None if g == -1 else int(g)) for g in window]
    out: list[Root | int | None] = []
    for number in numbers:
        same = [g for g in given if g == number]
        literal = any(_root_of(g) is None for g in same)
        out.append(number if literal else _root_of(same[0]) if same else None)
    return out


def _root_of(number: int) -> Root | None:
    """The root of a number of which it is a multiple or a share."""
    return number.root if isinstance(number, Number) and not isinstance(number.root, Mixed) else None
