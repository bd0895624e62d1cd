"""Copies of a model that share its Python objects' structure but not its tensors."""

import copy
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from torch import Tensor, nn

_ATOMS = frozenset({int, float, str, bool, bytes, type(None), type, types.FunctionType, types.BuiltinFunctionType})

_CONTAINERS = frozenset({dict, OrderedDict, set, list})


def modules_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module once, under its first path: `named_modules` without its generators inside generators."""
    seen: set[int] = set()
    stack = [("", model)]
    while stack:
        path, module = stack.pop()
        if id(module) not in seen:
            seen.add(id(module))
            yield path, module
            prefix = path + "." if path else ""
            stack.extend((prefix + n, m) for n, m in reversed(module._modules.items()) if m is not None)


def tensor_names(model: nn.Module) -> dict[str, Tensor]:
    """Parameters, then buffers, by path, each tensor once, under its first path (tied weights have several)."""
    parameters: dict[int, tuple[str, Tensor]] = {}
    buffers: dict[int, tuple[str, Tensor]] = {}
    for path, module in modules_of(model):
        prefix = path + "." if path else ""
        for by_id, own in ((parameters, module._parameters), (buffers, module._buffers)):
            for name, tensor in own.items():
                if tensor is not None:
                    by_id.setdefault(id(tensor), (prefix + name, tensor))
    return dict([*parameters.values(), *buffers.values()])


def rebuilt(model: nn.Module, replace: Callable[[str, Tensor], Tensor]) -> nn.Module:
    """A copy of `model` whose parameters and buffers are `replace(path, tensor)`; the original is only read.

    Tied weights stay tied, and parameters stay parameters with their `requires_grad`.
    """
    memo: dict[int, Any] = {}
    for name, tensor in tensor_names(model).items():
        new = replace(name, tensor.detach())
        if isinstance(tensor, nn.Parameter):
            new = nn.Parameter(new, requires_grad=tensor.requires_grad)
        memo[id(tensor)] = new
    copied: nn.Module = _copy(model, memo)
    return copied


def _copy(x: Any, memo: dict[int, Any]) -> Any:
    """`copy.deepcopy`, several times as fast on modules and their dictionaries, which are nearly all there is."""
    kind: Any = type(x)
    if kind in _ATOMS:
        return x
    known = memo.get(id(x))
    if known is not None:
        return known
    if kind is dict or kind is OrderedDict:
        new: Any = kind()
        memo[id(x)] = new
        for key, value in x.items():
            new[key if type(key) in _ATOMS else _copy(key, memo)] = (
                value if type(value) in _ATOMS else _copy(value, memo)
            )
    elif kind is list:
        new = []
        memo[id(x)] = new
        new.extend(_copy(value, memo) for value in x)
    elif kind is tuple and all(type(value) in _ATOMS for value in x):
        new = x
    elif kind is set and not x:
        new = set()
    elif isinstance(x, nn.Module) and _copies_plainly(kind):
        new = object.__new__(kind)
        memo[id(x)] = new
        state = new.__dict__
        for key, value in x.__dict__.items():
            kind = type(value)
            if kind in _ATOMS:
                state[key] = value
            else:  # most are the empty dictionaries of hooks
                state[key] = kind() if kind in _CONTAINERS and not value else _copy(value, memo)
        state.pop("_compiled_call_impl", None)
    else:
        new = copy.deepcopy(x, memo)
    return new


@cache
def _copies_plainly(kind: Any) -> bool:
    """Whether copying an instance is copying its dictionary. (What torch's modules do on unpickling is for old files.)"""
    if hasattr(kind, "__deepcopy__") or not kind.__setstate__.__module__.startswith("torch.nn.modules"):
        return False
    return all(getattr(kind, n) is getattr(nn.Module, n) for n in ("__reduce_ex__", "__reduce__", "__getstate__"))
