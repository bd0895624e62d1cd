"""Run a model once on meta tensors and write down every ATen operation.

Nothing is parsed and nothing is computed: a `TorchDispatchMode` sees each operation with its arguments, and meta kernels
answer with shapes alone. Any Python that runs can be recorded. The model itself is never run: a copy of its modules
holds meta tensors in place of the parameters.
"""

import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from padless.errors import TraceError
from padless.graph.shadow import rebuilt, tensor_names


class Ref(NamedTuple):
    """Stands for a value among an operation's arguments."""

    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
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

    def inputs(self) -> list[int]:
        """The values it reads, in the order of its arguments."""
        return [r.value for r in _leaves((self.args, self.kwargs)) if isinstance(r, Ref)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    values: tuple[Value, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def shape(self, value: int) -> tuple[int, ...]:
        return self.values[value].shape


def record(model: nn.Module, *example: Tensor) -> Recording:
    """Record one evaluation-mode run of `model` on inputs shaped like `example`.

    Raises TraceError, naming the operation, the module and the source line, when the model's forward fails.
    """
    try:
        shadow = rebuilt(model, lambda _name, tensor: torch.empty_like(tensor, device="meta")).eval()
    except Exception as error:
        raise TraceError(
            f"The model cannot be copied: {error}\nDoes a module keep a computed tensor as an attribute? Detach it."
        ) from error
    inputs = [torch.empty_like(t, device="meta") for t in example]
    mode = _Recorder(shadow, inputs)
    try:
        with torch.no_grad(), _module_paths(shadow, mode), mode:
            result = shadow(*inputs)
    except Exception as error:
        raise TraceError(_explain(error, mode, [tuple(t.shape) for t in example])) from error
    for leaf in _leaves(result):
        if not isinstance(leaf, Tensor | bool | int | float | str | None):
            raise TraceError(
                f"The model returned a {type(leaf).__name__}, in which tensors may hide. Return tensors in tuples, lists, "
                "dictionaries or dataclasses."
            )
    outputs = [mode.known[id(t)] for t in tensors_of(result) if id(t) in mode.known]
    if not outputs:
        raise TraceError(f"The model returned {type(result).__name__} without any tensor; a channel pruner needs one.")
    return Recording(
        values=tuple(mode.values), ops=tuple(mode.ops), inputs=tuple(range(len(inputs))), outputs=tuple(outputs)
    )


class _Recorder(TorchDispatchMode):
    def __init__(self, shadow: nn.Module, inputs: list[Tensor]) -> None:
        super().__init__()
        self.values: list[Value] = []
        self.ops: list[Op] = []
        self.known: dict[int, int] = {}  # id(tensor) -> value
        self.alive: list[Tensor] = []  # so that no id() is reused
        self.path: list[str] = [""]
        self.last = ""  # the operation in flight, for error messages
        self.deepest = ""  # where the forward failed: paths are popped while the error rises
        for i, tensor in enumerate(inputs):
            self._new(tensor, "input", f"input{i}")
        parameters = {id(p) for p in shadow.parameters()}
        for name, tensor in tensor_names(shadow).items():
            self._new(tensor, "parameter" if id(tensor) in parameters else "buffer", name)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        self.last, self.deepest = str(func), self.path[-1]
        # Tensors that the forward makes for itself (torch.arange, torch.tensor) live on the CPU: only their shape counts.
        args, kwargs = _replace((args, kwargs), self._to_meta)
        result = _batch_norm(*args) if func is torch.ops.aten.native_batch_norm.default else func(*args, **kwargs)
        packed = func.overloadpacket
        refs_args, refs_kwargs = _replace((args, kwargs), self._to_ref)
        outputs = tuple(self._new(t, "op") for t in tensors_of(result))
        if outputs:
            name = f"{func.namespace}.{packed.__name__}"
            self.ops.append(
                Op(name=name, function=func, args=refs_args, kwargs=refs_kwargs, outputs=outputs, module=self.path[-1])
            )
        self.last = ""
        return result

    def _new(
        self, tensor: Tensor, origin: Literal["input", "parameter", "buffer", "constant", "op"], name: str = ""
    ) -> int:
        value = Value(id=len(self.values), shape=tuple(tensor.shape), origin=origin, name=name)
        self.values.append(value)
        self.known[id(tensor)] = value.id
        self.alive.append(tensor)
        return value.id

    def _to_meta(self, x: Any) -> Any:
        return x.to("meta") if isinstance(x, Tensor) and x.device.type != "meta" else x

    def _to_ref(self, x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        value = self.known.get(id(x))
        return Ref(self._new(x, "constant") if value is None else value)


def _batch_norm(x: Tensor, *args: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Shapes of an evaluation-mode batch norm. Its meta kernel is a long decomposition: half of all tracing time."""
    for statistic in args[:4]:
        if statistic is not None and statistic.shape != x.shape[1:2]:
            raise RuntimeError(f"batch norm over {x.shape[1]} channels has parameters for {statistic.shape[0]}")
    return torch.empty_like(x), x.new_empty(0), x.new_empty(0)


def tensors_of(tree: Any) -> Iterator[Tensor]:
    """The tensors in whatever a model returns: a tensor, or tuples, lists and dictionaries of them."""
    return (t for t in _leaves(tree) if isinstance(t, Tensor))


def _leaves(tree: Any) -> Iterator[Any]:
    if is_dataclass(tree) and not isinstance(tree, type):
        yield from _leaves(vars(tree))
    elif isinstance(tree, dict):
        for x in tree.values():
            yield from _leaves(x)
    elif isinstance(tree, (list, tuple)) and not isinstance(tree, Ref):
        for x in tree:
            yield from _leaves(x)
    else:
        yield tree


def _replace(tree: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(tree, dict):
        return {k: _replace(v, function) for k, v in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(_replace(x, function) for x in tree)
    return function(tree)


@contextmanager
def _module_paths(shadow: nn.Module, mode: _Recorder) -> Iterator[None]:
    names = {id(m): n for n, m in shadow.named_modules()}

    def enter(module: nn.Module, _args: Any) -> None:
        mode.path.append(names.get(id(module), mode.path[-1]))
        mode.deepest = mode.path[-1]

    def leave(_module: nn.Module, _args: Any, _result: Any) -> None:
        mode.path.pop()

    handles = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _explain(error: Exception, mode: _Recorder, shapes: list[tuple[int, ...]]) -> str:
    where = mode.deepest or "the model itself"
    torch_files = os.path.dirname(torch.__file__)
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename != __file__ and not f.filename.startswith(torch_files)]
    line = f"{own[-1].filename}:{own[-1].lineno}" if own else "unknown"
    operation = f" in {mode.last}" if mode.last else ""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    given = ", ".join("x".join(map(str, s)) for s in shapes)
    return (
        f"The model failed on input {given}{operation}, module {where}, line {line}: {reason}\n"
        "Check the input shape (--input-shape) and that the forward does not depend on the values of tensors."
    )
