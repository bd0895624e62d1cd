"""Copies of a model that share its Python objects' structure but not its tensors."""

import copy
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

_ATOMS = frozenset({int, float, str, bool, bytes, type(None), type, types.FunctionType, types.BuiltinFunctionType})

_PLAIN = _ATOMS - {types.FunctionType}

_OWN = -1  # in a memo: the ids of the model's modules

_CONTAINERS = frozenset({dict, OrderedDict, set, list})


def modules_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every module once, under its first path: `named_modules` without its generators inside generators."""
    seen: set[int] = set()
    stack = [("", model)]
    while stack:
        path, module = stack.pop()
        module = original_of(module)
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

    Tied weights stay tied, and parameters stay parameters with their `requires_grad`. Functions that hold modules of the
    model (hooks, a forward that was patched) hold those of the copy.
    """
    model = original_of(model)
    memo: dict[int, Any] = {}
    for name, tensor in tensor_names(model).items():
        new = replace(name, tensor.detach())
        if isinstance(tensor, nn.Parameter):
            new = nn.Parameter(new, requires_grad=tensor.requires_grad)
        memo[id(tensor)] = new
    memo[_OWN] = frozenset(id(module) for _, module in modules_of(model))
    copied: nn.Module = _copy(model, memo)
    return copied


def original_of(model: nn.Module) -> nn.Module:
    """The module inside one that `torch.compile` made, which is never compiled here; else the module itself."""
    return model._orig_mod if type(model).__name__ == "OptimizedModule" else model  # type: ignore[return-value]


def eval_only(model: nn.Module) -> nn.Module:
    """The model in evaluation mode, also where it refuses `eval()`, as exported programs do."""
    for _, module in modules_of(model):
        module.training = False
    return model


def single(model: nn.Module) -> nn.Module:
    """The model, or where its floating point tensors are not float32 (which has all kernels, and range), a copy that is."""
    if all(p.dtype is torch.float32 for p in model.parameters() if p.is_floating_point()):
        return model
    return rebuilt(model, lambda _, t: t.float() if t.is_floating_point() else t)


def _copy(x: Any, memo: dict[int, Any]) -> Any:
    """`copy.deepcopy`, several times as fast on modules and their dictionaries, which are nearly all there is."""
    kind: Any = type(x)
    if kind in _ATOMS and kind is not types.FunctionType:
        return x
    known = memo.get(id(x))
    if known is not None:
        return known
    if kind is types.FunctionType:
        return _rebound(x, memo) if x.__closure__ or x.__defaults__ or x.__kwdefaults__ else x
    if kind is Tensor:  # one that was computed, and is kept beside parameters and buffers
        new: Any = x.detach().clone()
        memo[id(x)] = new
        return new
    if type(x).__name__ == "OptimizedModule":
        return _copy(x._orig_mod, memo)
    if kind is dict or kind is OrderedDict:
        new = kind()
        memo[id(x)] = new
        for key, value in x.items():
            new[key if type(key) in _ATOMS else _copy(key, memo)] = (
                value if type(value) in _PLAIN else _copy(value, memo)
            )
    elif kind is list:
        new = []
        memo[id(x)] = new
        new.extend(_copy(value, memo) for value in x)
    elif kind is tuple:
        new = x if all(type(value) in _PLAIN for value in x) else tuple(_copy(value, memo) for value in x)
    elif kind is set and not x:
        new = set()
    elif isinstance(x, nn.Module) and _copies_plainly(kind):
        new = object.__new__(kind)
        memo[id(x)] = new
        state = new.__dict__
        for key, value in x.__dict__.items():
            kind = type(value)
            if kind in _PLAIN:
                state[key] = value
            else:  # most are the empty dictionaries of hooks
                state[key] = kind() if kind in _CONTAINERS and not value else _copy(value, memo)
        state.pop("_compiled_call_impl", None)
    elif kind is types.MethodType:
        new = types.MethodType(x.__func__, _copy(x.__self__, memo))
    elif _is_plain(kind):  # such as what collects activations with hooks
        memo[id(x)] = new = object.__new__(kind)
        new.__dict__.update({key: _copy(value, memo) for key, value in vars(x).items()})
    else:
        new = copy.deepcopy(x, memo)
    return new


def _rebound(function: Any, memo: dict[int, Any]) -> Any:
    """A function with the copies of those of the model's objects that it closes over, or has as defaults."""
    memo[id(function)] = function  # where it refers to itself
    cells = [_held(cell.cell_contents, memo) if _filled(cell) else None for cell in function.__closure__ or ()]
    defaults = [_held(value, memo) for value in function.__defaults__ or ()]
    keywords = {name: _held(value, memo) for name, value in (function.__kwdefaults__ or {}).items()}
    before = [cell.cell_contents if _filled(cell) else None for cell in function.__closure__ or ()]
    before += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    if all(new is old for new, old in zip([*cells, *defaults, *keywords.values()], before, strict=True)):
        return function
    closure = tuple(types.CellType(value) for value in cells) if cells else None
    new = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, tuple(defaults) or None, closure
    )
    new.__kwdefaults__ = keywords or None
    new.__dict__.update(function.__dict__)
    new.__qualname__, new.__module__, new.__doc__ = function.__qualname__, function.__module__, function.__doc__
    memo[id(function)] = new
    return new


def _filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:  # not yet
        return False
    return True


def _held(x: Any, memo: dict[int, Any]) -> Any:
    """What a function holds: its own copy of a container, so that what a hook collects is not the caller's."""
    if id(x) in memo:
        return memo[id(x)]
    if type(x) in (dict, list, set, OrderedDict):
        memo[id(x)] = new = copy.copy(x)
        if isinstance(x, dict):
            new.update({key: _held(value, memo) for key, value in x.items()})
        elif isinstance(x, list):
            new[:] = [_held(value, memo) for value in x]
        return new
    if type(x) is types.FunctionType or (type(x) is types.MethodType and isinstance(x.__self__, nn.Module)):
        return _copy(x, memo)
    return _copy(x, memo) if isinstance(x, nn.Module) and id(x) in memo[_OWN] else x


@cache
def _is_plain(kind: Any) -> bool:
    """Whether instances are nothing but a dictionary of attributes."""
    special = ("__reduce_ex__", "__reduce__", "__getstate__", "__new__")
    return (
        kind.__dictoffset__ != 0
        and not issubclass(kind, nn.Module | type)
        and all(getattr(kind, name, None) is getattr(object, name, None) for name in special)
        and not any(hasattr(kind, name) for name in ("__deepcopy__", "__setstate__", "__getnewargs__", "__slots__"))
    )


@cache
def _copies_plainly(kind: Any) -> bool:
    """Whether copying an instance is copying its dictionary. (What torch's modules do on unpickling is for old files.)"""
    if hasattr(kind, "__deepcopy__") or not kind.__setstate__.__module__.startswith("torch.nn.modules"):
        return False
    return all(getattr(kind, n) is getattr(nn.Module, n) for n in ("__reduce_ex__", "__reduce__", "__getstate__"))
