"""Where a number in the forward comes from: the size of a tensor, an attribute of a module, or the source text.

A cut changes sizes. `x.view(b, g, c // g, h, w)` still runs behind it when c was read from a tensor; with a c that a
module stores, the stored number must be cut too; with a literal, the channels must stay. So while a model is recorded,
the sizes of tensors and the whole numbers that modules store are `Number`s, which remember their origin through products
and exact quotients; `origins` writes down which of them each call was given. What Python or numpy makes of one beside that
is noted as a leak: such channels stay.
"""

import math
import opcode
import operator
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from padless.graph.roots import AnyRoot, Attribute, Mixed, Product, Root, Size, roots_of

_CALLS = frozenset({"CALL", "CALL_KW", "CALL_FUNCTION_EX", "PRECALL"})


@dataclass(slots=True)
class Log:
    """Which stored numbers the forward found equal to which sizes, as it must behind a cut; and what it lost sight of.

    `leaks` are numbers that went through functions of Python or numpy, or that decided the forward's path: they must not
    change. `hashed`: some were looked up, perhaps in a cache that outlives the recording. With `apart`, numbers of
    different roots are different keys of such a cache.
    """

    equal: list[tuple[Size, Attribute]] = field(default_factory=list)
    leaks: list[Root] = field(default_factory=list)
    hashed: bool = False
    apart: bool = False


class _Known:
    """What whole and real numbers that know their roots have in common."""

    root: AnyRoot
    log: Log

    def leak(self) -> Any:
        """The plain number, which nobody follows from here on."""
        self.log.leaks.extend(roots_of(self.root))
        return _plain(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.leak(), dtype)

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return getattr(function, method)(*(x.leak() if isinstance(x, _Known) else x for x in inputs), **options)


class Number(_Known, int):
    """A whole number that knows its root: products and exact quotients of it do too, other results know what they mix.

    `log` collects what the forward does with it beside torch.
    """

    def __new__(cls, value: int, root: AnyRoot, log: Log) -> "Number":
        number = super().__new__(cls, value)
        number.root, number.log = root, log
        return number

    def __float__(self) -> float:
        return float(self.leak())

    def __int__(self) -> int:
        return int(_plain(self) if _by_torch() else self.leak())

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, (list, tuple, str)):
            self.leak()
            return NotImplemented
        root = _product(self, other) if isinstance(other, int) else None
        return (
            _mixed(operator.mul, self, other) if root is None else Number(_plain(self) * _plain(other), root, self.log)
        )

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        root = None
        if type(other) in (int, Number) and other and not _plain(self) % _plain(other):
            root = _quotient(self, other)
        if root is None:
            return _mixed(operator.floordiv, self, other)
        return Number(_plain(self) // _plain(other), root, self.log)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __eq__(self, other: object) -> bool:
        same = bool(_plain(self) == _plain(other))
        if not same:
            return False
        if isinstance(other, Number):
            if self.log.apart and self.root != other.root and _opcode() in _CALLS:
                return False  # the keys of a cache
            for a, b in ((self.root, other.root), (other.root, self.root)):
                if isinstance(a, Size) and isinstance(b, Attribute) and a.scale == b.scale == 1:
                    self.log.equal.append((a, b))
        elif not isinstance(self.root, Mixed) and not _by_torch():
            self.leak()  # a number in the source text, which would not be equal behind a cut
        return True

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        self.log.hashed = True
        if _opcode() not in _CALLS:
            self.leak()  # a dictionary, in which there may be nothing for another number
        return hash(_plain(self))

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        return int, (_plain(self),)


class Real(_Known, float):
    """What was worked out from `Number`s, such as a scale."""

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        return float, (_plain(self),)


def _plain(x: Any) -> Any:
    """A number without its root."""
    return int.__index__(x) if isinstance(x, int) else float.__add__(x, 0.0) if isinstance(x, float) else x


def _caller() -> Any:
    """The frame of the forward's code that uses a number."""
    frame = sys._getframe(1)
    while frame.f_globals is globals() and frame.f_back:
        frame = frame.f_back
    return frame


def _by_torch() -> bool:
    """Whether a number is used by torch's own Python code, which checks sizes at every turn, or by the recorder."""
    return str(_caller().f_globals.get("__name__", "")).startswith(("torch.", "padless.graph."))


def _opcode() -> str:
    """What the interpreter is doing with a number: CALL where a function in C has it, such as that of a cache."""
    frame = _caller()
    return str(opcode.opname[frame.f_code.co_code[frame.f_lasti]])


def product(numbers: Iterator[int] | tuple[int, ...]) -> int:
    """Their product, which knows its roots."""
    result = 1
    for number in numbers:
        result = number * result
    return result


def _product(a: Number, b: int) -> AnyRoot | None:
    """The root of a product; None where it has no simple one."""
    own, other = a.root, b.root if isinstance(b, Number) and b.log is a.log else None
    if isinstance(own, Mixed) or isinstance(other, Mixed):
        return None
    if other is None or (isinstance(other, Attribute) and not isinstance(own, Attribute)):
        return replace(own, scale=own.scale * _plain(b))
    if isinstance(own, Attribute):
        return None if isinstance(other, Attribute) else replace(other, scale=other.scale * _plain(a))
    assert not isinstance(other, Attribute)  # it came first
    return Product((*_factors(own), *_factors(other)), own.scale * other.scale)


def _quotient(a: Number, b: int) -> AnyRoot | None:
    """The root of an exact quotient; None where it has no simple one."""
    own, other = a.root, b.root if isinstance(b, Number) and b.log is a.log else None
    if isinstance(own, Mixed) or isinstance(other, Mixed | Product):
        return None
    if isinstance(other, Size):
        if not isinstance(own, Product) or replace(other, scale=Fraction(1)) not in own.factors:
            return None
        left = list(own.factors)
        left.remove(replace(other, scale=Fraction(1)))
        scale = own.scale / other.scale
        return replace(left[0], scale=scale) if len(left) == 1 else Product(tuple(left), scale)
    return replace(own, scale=own.scale / _plain(b))


def _factors(root: Size | Product) -> tuple[Size, ...]:
    return root.factors if isinstance(root, Product) else (replace(root, scale=Fraction(1)),)


def _mixed(operation: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """The result of an operation on two numbers, with the roots of both."""
    if not isinstance(a, int | float) or not isinstance(b, int | float):
        return NotImplemented  # a tensor, which is then given the number itself
    result = operation(_plain(a), _plain(b))
    known = [x for x in (a, b) if isinstance(x, Number | Real)]
    root = Mixed(tuple(dict.fromkeys(r for x in known for r in roots_of(x.root))))
    if isinstance(result, int):
        return Number(result, root, known[0].log)
    real = Real(result)
    real.root, real.log = root, known[0].log
    return real


def _remember(kind: type, name: str) -> None:
    """Let an operator of `kind`, from both sides, keep the roots of what it mixes."""
    operation = getattr(operator, f"__{name}__")
    for method, run in (
        (f"__{name}__", lambda self, other: _mixed(operation, self, other)),
        (f"__r{name}__", lambda self, other: _mixed(operation, other, self)),
    ):
        if method not in vars(kind):
            setattr(kind, method, run)


def _compared(name: str) -> Callable[[Any, Any], Any]:
    """Which of two numbers is larger decides what the forward does, but for one that asks for any channels at all."""
    operation = getattr(operator, name)

    def run(self: Any, other: Any) -> Any:
        if not isinstance(other, int | float):
            return NotImplemented
        if not _by_torch() and (isinstance(other, _Known) or _plain(other) > 1):
            for number in (self, other):
                if isinstance(number, _Known):
                    number.leak()
        return operation(_plain(self), _plain(other))

    return run


for _kind in (Number, Real):
    for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
        _remember(_kind, _name)
    for _name in ("lt", "le", "gt", "ge"):
        setattr(_kind, f"__{_name}__", _compared(_name))
    setattr(_kind, "__neg__", lambda self: self * -1)  # noqa: B010
    setattr(_kind, "__pos__", lambda self: self)  # noqa: B010
    setattr(_kind, "__abs__", lambda self: self if _plain(self) >= 0 else -self)  # noqa: B010
for _name in ("lshift", "rshift", "and", "or", "xor"):
    _remember(Number, _name)


def _leaking(name: str) -> Callable[..., Any]:
    return lambda self, *rest: getattr(float, name)(self.leak(), *rest)


for _name in ("__int__", "__trunc__", "__ceil__", "__floor__", "__round__"):  # numbers that remember nothing
    setattr(Real, _name, _leaking(_name))


def resolved(number: int, has_channels: Callable[[Size], bool], size_of: Callable[[Size], int]) -> int:
    """A product of sizes as a multiple of the one that a cut may change, the others being as they are."""
    if not isinstance(number, Number) or not isinstance(number.root, Product):
        return number
    root = number.root
    free = [size for size in root.factors if has_channels(size)]
    if len(free) > 1:
        return Number(_plain(number), Mixed(root.factors), number.log)
    left = (free or list(root.factors))[0]
    others = list(root.factors)
    others.remove(left)
    return Number(
        _plain(number), replace(left, scale=root.scale * math.prod(size_of(size) for size in others)), number.log
    )


def origin(given: tuple[int, ...], numbers: list[int]) -> list[Root | int | None]:
    """For each number of an operation, its root, the number itself where the source text has it, or None.

    None: torch made it up (an end that was left out, a -1, the part size of a chunk), so that it follows its tensor.
    """
    n = len(numbers)
    for start in range(len(given) - n + 1):
        window = given[start : start + n]
        if all(_plain(a) in (b, -1) for a, b in zip(window, numbers, strict=True)):
            return [_root_of(g) or (None if _plain(g) == -1 else _plain(g)) for g in window]
    out: list[Root | int | None] = []
    for number in numbers:
        same = [g for g in given if _plain(g) == number]
        literal = any(_root_of(g) is None for g in same)
        out.append(number if literal else _root_of(same[0]) if same else None)
    return out


def _root_of(number: int) -> Root | None:
    """The root of a number of which it is a multiple or a share."""
    return number.root if isinstance(number, Number) and isinstance(number.root, Root) else None
