"""Run a model once on meta tensors and write down every ATen operation.

Nothing is parsed and nothing is computed: a `TorchDispatchMode` sees each operation with its arguments, and meta kernels
answer with shapes alone. Any Python that runs can be recorded. The model itself is never run: a copy of its modules
holds meta tensors in place of the parameters.
"""

import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import _disable_current_modes

from padless.batches import mapped, named_leaves, tensors_in
from padless.calls import eager
from padless.errors import TraceError
from padless.graph.dispatch import Dispatch
from padless.graph.origins import Origins, clear_caches, mark_attributes
from padless.graph.recording import Op, Recording, Ref, Value
from padless.graph.recurrent import WHOLE
from padless.graph.shadow import modules_of, rebuilt, tensor_names
from padless.graph.shapes import SHAPES


def record(model: nn.Module, *example: Any) -> Recording:
    """Record one evaluation-mode run of `model` on inputs shaped like `example`.

    Where the forward looks sizes up in a `functools` cache, it is recorded once more with empty ones, and they are left
    empty: what ran before must not show, nor what was recorded later. Raises TraceError, naming the operation, the module
    and the source line, when the model's forward fails.
    """
    recording, hashed = _recorded(model, example, apart=False)
    if hashed and clear_caches():
        try:
            recording, _ = _recorded(model, example, apart=True)
        finally:
            clear_caches()
    return recording


def _recorded(model: nn.Module, example: tuple[Any, ...], *, apart: bool) -> tuple[Recording, bool]:
    """A recording, and whether the forward looked sizes up. `apart`: sizes of different axes are different keys."""
    try:
        shadow = rebuilt(model, _stand_in)
    except Exception as error:
        raise TraceError(
            f"The model cannot be copied: {error}\nDoes a module keep an object that cannot be copied? Remove it."
        ) from error
    arguments = mapped(example, lambda tensor: torch.empty_like(tensor, device="meta"))
    inputs = list(tensors_in(arguments))
    positions = {
        n: t.cpu().numpy().astype(np.int64)
        for n, t in tensor_names(model).items()
        if t.dtype in (torch.int32, torch.int64) and t.ndim == 1 and not t.is_meta
    }
    modules = list(modules_of(shadow))
    for _, module in modules:
        module.training = False
    mode = _Recorder(shadow, inputs, positions, apart=apart)
    try:
        mark_attributes(modules, mode.origins.log)
        follow_paths(modules, mode.path)
        with torch.no_grad(), _quietly(), sdpa_kernel(SDPBackend.MATH), mode, mode.origins:
            result = shadow(*arguments)
    except Exception as error:
        raise TraceError(_explain(error, mode, [tuple(t.shape) for t in inputs])) from error
    for _, leaf in named_leaves(result):
        if not isinstance(leaf, Tensor | bool | int | float | str | None):
            raise TraceError(
                f"The model returned a {type(leaf).__name__}, in which tensors may hide. Return tensors in tuples, lists, "
                "dictionaries or dataclasses."
            )
    named = [(name, mode.known[id(t)]) for name, t in named_leaves(result) if id(t) in mode.known]
    if not named:
        raise TraceError(f"The model returned {type(result).__name__} without any tensor; a channel pruner needs one.")
    recording = Recording(
        values=tuple(mode.values),
        ops=tuple(mode.ops),
        inputs=tuple(range(len(inputs))),
        outputs=tuple(value for _, value in named),
        output_names=tuple(name for name, _ in named),
        staying=tuple(value for _, value in named),
        filters=frozenset(mode.known[id(m.weight)] for _, m in modules if _has_filters(m)),
        contents=mode.contents,
        equal=tuple(dict.fromkeys(mode.origins.log.equal)),
        leaks=tuple(dict.fromkeys(mode.origins.log.leaks)),
        scripted=frozenset(
            mode.known[id(p)] for _, m in modules if isinstance(m, torch.jit.ScriptModule) for p in m.parameters()
        ),
        scaled_by_width=tuple(mode.origins.scaled_by_width),
    )
    return recording, mode.origins.log.hashed


@contextmanager
def _quietly() -> Iterator[None]:
    """Nothing is compiled, and the caller's random numbers are not disturbed by what the forward draws for itself."""
    state = torch.get_rng_state()
    try:
        with eager():
            yield
    finally:
        torch.set_rng_state(state)


SMALL = 1 << 16  # elements of a buffer whose values the forward may read: positions, masks, strides


def _stand_in(_name: str, tensor: Tensor) -> Tensor:
    """A meta tensor in a parameter's place; a small whole-number or boolean buffer keeps its values."""
    readable = not tensor.is_floating_point() and not tensor.is_complex() and not tensor.is_meta
    if readable and tensor.numel() <= SMALL and not tensor.is_quantized:
        return tensor.to("cpu", copy=True)
    return torch.empty_like(tensor, device="meta")


def _has_filters(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.conv._ConvNd) and isinstance(module._parameters.get("weight"), Tensor)


class _Recorder(Dispatch):
    def __init__(
        self, shadow: nn.Module, inputs: list[Tensor], positions: dict[str, npt.NDArray[np.int64]], *, apart: bool
    ) -> None:
        super().__init__()
        self.values: list[Value] = []
        self.ops: list[Op] = []
        self.known: dict[int, int] = {}  # id(tensor) -> value
        self.contents: dict[int, npt.NDArray[np.int64]] = {}
        self.alive: list[Tensor] = []  # so that no id() is reused
        self.kinds: set[bool] = set()  # of the tensors of the running operation: on the meta device or not
        self.path: list[str] = [""]
        self.last: Any = None  # the operation in flight, for error messages
        self.deepest = ""  # where the forward failed: paths are popped while the error rises
        self.origins = Origins(lambda tensor: self.known.get(id(tensor)), self._whole, apart=apart)
        for i, tensor in enumerate(inputs):
            self._new(tensor, "input", f"input{i}")
        for name, tensor in tensor_names(shadow).items():
            value = self._new(tensor, "parameter" if isinstance(tensor, nn.Parameter) else "buffer", name)
            if name in positions:
                self.contents[value] = positions[name]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.last, self.deepest = func, self.path[-1]
        self.kinds.clear()
        self.read: list[int] = []
        refs_args = self._refs(args)
        refs_kwargs = kwargs = kwargs or {}
        if kwargs:
            refs_kwargs = {k: self._refs((v,))[0] for k, v in kwargs.items()}
        if len(self.kinds) == 2:  # what the forward makes for itself is really computed, until it meets the inputs
            args, kwargs = _replace(args, _to_meta), _replace(kwargs, _to_meta)
        elif func is _TO_COPY and _stays(args[0], kwargs.get("device")):
            kwargs = {**kwargs, "device": None}
        shortcut = SHAPES.get(func)
        result = shortcut(*args, **kwargs) if shortcut else func(*args, **kwargs)
        kind = type(result)
        outputs = tuple(
            self._new(t, "op")
            for t in ([result] if kind is Tensor else result if kind is tuple else tensors_in(result))
        )
        if outputs:
            self.ops.append(
                Op(
                    name=_name(func), function=func, args=refs_args, kwargs=refs_kwargs, outputs=outputs,
                    module=self.path[-1], given=self.origins.given, reads=tuple(self.read),
                )
            )  # fmt: skip
        self.last = None
        return result

    def _whole(self, func: Any, args: tuple[Any, ...]) -> Any:
        """Write down a recurrent layer as one operation."""
        self.last, self.deepest = func, self.path[-1]
        self.kinds.clear()
        self.read = []
        refs = self._refs(args)
        with _disable_current_modes():
            function, result = WHOLE[func](*args)
        outputs = tuple(self._new(t, "op") for t in tensors_in(result))
        self.ops.append(
            Op(
                name=_name(function), function=function, args=refs, kwargs={}, outputs=outputs, module=self.path[-1],
                given=(), reads=tuple(self.read),
            )
        )  # fmt: skip
        self.last = None
        return result

    def _new(
        self, tensor: Tensor, origin: Literal["input", "parameter", "buffer", "constant", "op"], name: str = ""
    ) -> int:
        value = len(self.values)
        self.values.append(Value(value, tuple(tensor.shape), origin, name))
        self.known[id(tensor)] = value
        self.alive.append(tensor)
        if not tensor.is_meta and not tensor.is_floating_point() and tensor.dtype is not torch.bool:
            self.contents[value] = tensor.numpy().astype(np.int64)
        return value

    def _refs(self, args: Iterable[Any]) -> tuple[Any, ...]:
        """Arguments with `Ref`s in place of tensors; notes whether those are real, on the meta device, or both."""
        refs: list[Any] = []
        for x in args:
            if isinstance(x, Tensor):
                self.kinds.add(x.is_meta)
                value = self.known.get(id(x))
                value = self._new(x, "constant") if value is None else value
                self.read.append(value)
                refs.append(Ref(value))
            elif (type(x) is list or type(x) is tuple) and x and type(x[0]) is not int:
                refs.append(type(x)(self._refs(x)))
            else:
                refs.append(x)
        return tuple(refs)


_TO_COPY = torch.ops.aten._to_copy.default


def _stays(x: Tensor, device: torch.device | None) -> bool:
    """Whether a tensor that is asked to another device keeps to its own.

    Real positions (of sorted sequences, for one) that go to where the inputs are would lose their values, and what comes
    of the inputs has no values to take to where the forward's own tensors are.
    """
    if x.is_meta:
        return device is not None and device.type != "meta"
    return x.ndim == 1 and x.dtype is torch.int64 and device == torch.device("meta")


def _to_meta(x: Any) -> Any:
    return x.to("meta") if isinstance(x, Tensor) and not x.is_meta else x


@cache
def _name(func: Any) -> str:
    return f"{func.namespace}.{func.overloadpacket.__name__}"


def _replace(tree: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(tree, dict):
        return {k: _replace(v, function) for k, v in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(_replace(x, function) for x in tree)
    return function(tree)


def follow_paths(modules: Iterable[tuple[str, nn.Module]], path: list[str]) -> None:
    """Make each module keep its path on top of the stack `path` while its forward runs."""
    for name, module in modules:
        if not isinstance(module, torch.jit.ScriptModule):
            module.__dict__["forward"] = _followed(name, module.forward, path)


def _followed(name: str, forward: Callable[..., Any], path: list[str]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        path.append(name)
        try:
            return forward(*args, **kwargs)
        finally:
            path.pop()

    return run


def _explain(error: Exception, mode: _Recorder, shapes: list[tuple[int, ...]]) -> str:
    where = mode.deepest or "the model itself"
    torch_files = os.path.dirname(torch.__file__)
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith((os.path.dirname(__file__), torch_files))]
    line = f"{own[-1].filename}:{own[-1].lineno}" if own else "unknown"
    operation = f" in {mode.last}" if mode.last is not None else ""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    given = ", ".join("x".join(map(str, s)) for s in shapes)
    return (
        f"The model failed on input {given}{operation}, module {where}, line {line}: {reason}\n"
        "Check the input shape (--input-shape) and that the forward does not depend on the values of tensors."
    )
