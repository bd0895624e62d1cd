"""Which numbers a module stores and a tensor has while it is recorded, and which of them each call is given."""

import functools
import gc
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, SupportsIndex, overload

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from padless.graph.numbers import Log, Number, Real, product
from padless.graph.recurrent import WHOLE
from padless.graph.roots import Attribute, Size

_OF_TORCH = frozenset((
    "groups", "num_groups", "normalized_shape", "num_features", "unflattened_size",
    "in_channels", "out_channels", "in_features", "out_features", "num_channels", "num_parameters",
))  # fmt: skip


def mark_attributes(modules: Iterable[tuple[str, nn.Module]], log: Log) -> None:
    """Give every whole number that a module stores its origin, in place.

    Of torch's own modules only those that take part in their forward, and those that a forward around them may read.
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
                    marked = [v if v < 0 else Number(v, Attribute(path, name, i), log) for i, v in enumerate(value)]
                    module.__dict__[name] = type(value)(marked)


_SHAPE = torch.Tensor.shape.__get__  # type: ignore[attr-defined]
_COUNTED = {  # in how many parts
    torch.chunk, torch.Tensor.chunk, torch.unsafe_chunk, torch.Tensor.unsafe_chunk,
    torch.tensor_split, torch.Tensor.tensor_split, torch.hsplit, torch.Tensor.hsplit, torch.vsplit, torch.Tensor.vsplit,
    torch.dsplit, torch.Tensor.dsplit,
}  # fmt: skip
_COUNT = ("chunks", "indices_or_sections", "sections", "indices")  # as keywords
_LIKE = {torch.Tensor.expand_as, torch.Tensor.view_as, torch.Tensor.reshape_as}


class Shape(tuple[int, ...]):
    """What `tensor.shape` gives while recording: `torch.Size` itself drops the origin of its entries."""

    def numel(self) -> int:
        """How many elements a tensor of this shape has."""
        return product(self)

    @overload
    def __getitem__(self, index: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> "Shape": ...
    def __getitem__(self, index: SupportsIndex | slice) -> "int | Shape":
        part = tuple.__getitem__(self, index)
        return Shape(part) if isinstance(index, slice) else part  # type: ignore[arg-type, return-value]

    def __add__(self, other: Any) -> "Shape":
        return Shape(tuple.__add__(self, tuple(other)))

    def __array_function__(self, function: Any, _types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.prod and len(args) == 1 and not kwargs:
            return self.numel()
        plain = (torch.Size(x.leak() if isinstance(x, Number) else x for x in self),)
        return function(*(plain[0] if x is self else x for x in args), **kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array([x.leak() if isinstance(x, Number) else x for x in self], dtype)


class Origins(TorchFunctionMode):
    """Hands out `Number`s for sizes, and keeps the whole numbers that the running call was given."""

    def __init__(
        self,
        value_of: Callable[[Tensor], int | None],
        record: Callable[[Any, tuple[Any, ...]], Any],
        *,
        apart: bool = False,
    ) -> None:
        super().__init__()
        self.value_of, self.record = value_of, record
        self.given: tuple[int, ...] = ()
        self.log = Log(apart=apart)
        self.scaled_by_width: list[tuple[int, int]] = []  # (value, axis): queries of attention without a given scale

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func == _SHAPE:
            return self.sizes(args[0])
        kwargs = kwargs or {}
        if func in _ASKED:
            return _ASKED[func](self, *args, **kwargs)
        if func in WHOLE and not kwargs:
            return self.record(func, args)
        outer = self.given
        self.given = self._given(func, args, kwargs)
        if func is torch.nn.functional.scaled_dot_product_attention and kwargs.get("scale") is None:
            query = self.value_of(args[0] if args else kwargs["query"])
            self.scaled_by_width += [] if query is None else [(query, (args[0] if args else kwargs["query"]).ndim - 1)]
        try:
            return func(*args, **kwargs)
        finally:
            self.given = outer

    def _given(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, ...]:
        """The whole numbers that a call was given; those of another recording are no more than literals."""
        if func in _LIKE:
            return self.sizes((*args, *kwargs.values())[1])
        if func in _COUNTED:
            count = args[1] if len(args) > 1 else next((kwargs[name] for name in _COUNT if name in kwargs), None)
            if isinstance(count, int):
                if isinstance(count, Number):
                    count.leak()  # how many parts there are must not change
                return ()
        numbers = tuple(_numbers((args, kwargs)))
        if any(type(n) in (Number, Real) and n.log is not self.log for n in numbers):  # type: ignore[attr-defined]
            return tuple(n if getattr(n, "log", self.log) is self.log else int.__index__(n) for n in numbers)
        return numbers

    def sizes(self, tensor: Tensor) -> Shape:
        value = self.value_of(tensor)
        if value is None:
            return Shape(tensor.shape)
        return Shape(Number(n, Size(value, i), self.log) for i, n in enumerate(tensor.shape))

    def size(self, tensor: Tensor, dim: int | None = None) -> Any:
        sizes = self.sizes(tensor)
        return sizes if dim is None else sizes[dim]

    def elements(self, input: Tensor) -> int:
        return product(self.sizes(input))

    def length(self, tensor: Tensor) -> int:
        """Python makes a plain number of it, which must not change."""
        size = self.sizes(tensor)[0]
        return int(size.leak()) if isinstance(size, Number) else size

    def type_of(self, tensor: Tensor, dtype: Any = None, **options: Any) -> Any:
        """The name of a tensor's type as it is beside the recording; or the tensor brought to a type, where it is."""
        if dtype is None:
            return torch.empty(0, dtype=tensor.dtype).type()
        return tensor.to(dtype if isinstance(dtype, torch.dtype) else _dtype(dtype))


def _dtype(kind: Any) -> torch.dtype:
    """That of torch.FloatTensor and the like, or of its name."""
    name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__name__}"
    return torch.empty(0).type(name.replace("torch.cuda.", "torch.")).dtype


_ASKED: dict[Any, Callable[..., Any]] = {
    torch.Tensor.size: Origins.size,
    torch.Tensor.__len__: Origins.length,
    torch.Tensor.type: Origins.type_of,
    **dict.fromkeys((torch.numel, torch.Tensor.numel, torch.Tensor.nelement), Origins.elements),
}


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


def clear_caches() -> bool:
    """Empty every filled `functools` cache but those of torch, of Python and of this package; whether there were any.

    Caches may be anywhere, in closures and classes: only the garbage collector knows them all. That takes some tens of
    milliseconds, and is asked for where a forward looks sizes up.
    """
    caches = [x for x in gc.get_objects() if type(x) is _Cache]
    foreign = [cache for cache in caches if str(getattr(cache, "__module__", "")).split(".")[0] not in _NOT_CLEARED]
    filled = [cache for cache in foreign if cache.cache_info().currsize]
    for cache in filled:
        cache.cache_clear()
    return bool(filled)


_Cache: Any = type(functools.lru_cache(lambda: None))
_NOT_CLEARED = sys.stdlib_module_names | {"torch", "padless", "numpy", "scipy", "sympy"}
