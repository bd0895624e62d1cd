"""The state while a recording is written as TFLite, and the registry of rules that do it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from padless.graph import Graph, Layer
from padless.graph.record import Op, Ref
from padless.graph.shadow import tensor_names
from padless.tflite.file import Tensor, TFLiteBuilder
from padless.tflite.layout import Layout, Shape, moves, usual_order

Floats = npt.NDArray[np.float64]
SCALE = 0.05  # nominal, of every activation
NO_ACTIVATION, BOTTOM = "NONE", -128
MAKERS = frozenset(
    ["arange", "zeros", "ones", "full", "linspace", "scalar_tensor", "eye"]
)  # of constants, from nothing
MAP = (0, 2, 3, 1)  # the order of a feature map's axes here


class Unlowered(Exception):  # noqa: N818
    """The network has an operator that this file format, or this module, has no form for."""


def refuse(op: Op, why: str) -> Unlowered:
    return Unlowered(f"{op.name} {why}{f' (module {op.module})' if op.module else ''}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowered:
    """A TFLite file, and for each of its operators the layer or the kind of operation that it computes."""

    tflite: bytes
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """The tensor that holds a value, and how the value's axes lie in it."""

    tensor: int
    layout: Layout


class Lowering:
    """Walks the recording once. Feature maps are [N, H, W, C] here, [N, C, H, W] in the recording."""

    def __init__(self, graph: Graph, model: nn.Module) -> None:
        self.graph, self.recording = graph, graph.recording
        self.parameters = tensor_names(model)
        self.builder = TFLiteBuilder()
        self.at: dict[int, Stored] = {}  # value -> where it is
        self.moved: dict[tuple[int, tuple[int, ...]], int] = {}  # value, order -> a tensor that was brought into it
        self.transposed: dict[int, int] = {}  # value -> weight
        self.folded: dict[int, torch.Tensor] = {}  # value -> what the forward makes of parameters alone
        self.roots: dict[int, frozenset[str]] = {}  # folded value -> the parameters it is made of
        self.merged: set[int] = set()  # operations that were merged into an earlier one
        self.readers: dict[int, list[int]] = {}
        for i, op in enumerate(self.recording.ops):
            for value in set(op.inputs()):
                self.readers.setdefault(value, []).append(i)
        self.layers = iter(graph.layers)
        self.names: Counter[str] = Counter()

    def network(self) -> Lowered:
        """Every operation that somebody reads, in its order."""
        for value in self.recording.inputs:
            shape = self.recording.shape(value)
            if shape[0] != 1:
                raise Unlowered(f"the example has a batch of {shape[0]}, the compiler takes 1")
            layout = Layout.of(shape, usual_order(len(shape)))
            name = self.recording.values[value].name
            self.at[value] = Stored(self.activation(name, layout.sizes, zero_point=0), layout)
        for i, op in enumerate(self.recording.ops):
            if i in self.merged or not any(v in self.readers or v in self.recording.outputs for v in op.outputs):
                continue
            if self.fold(op):
                continue
            rule = RULES.get(op.name)
            if rule is None:
                raise refuse(op, "has no TFLite form")
            rule(self, op)
        try:
            inputs, outputs = (
                [self.at[v].tensor for v in values] for values in (self.recording.inputs, self.recording.outputs)
            )
        except KeyError as error:
            raise Unlowered("an output of the network is not computed by it") from error
        tflite = self.builder.build(inputs, outputs, "main")
        return Lowered(tflite=tflite, operators=tuple(self.builder.operator_names()))

    # --- reading the recording -------------------------------------------------------------------------------------

    def shape(self, value: int) -> Shape:
        return self.recording.shape(value)

    def computed(self, ref: Ref) -> bool:
        """Whether a value is an activation, not a parameter."""
        return ref.value in self.at

    def stored(self, op: Op, ref: Ref) -> Stored:
        """Where an activation is. Raises Unlowered for a constant."""
        if ref.value not in self.at:
            raise refuse(op, "reads a constant where an activation is expected")
        return self.at[ref.value]

    def weight(self, ref: Ref) -> Floats:
        """The values of a parameter or buffer, or of what is made of them alone."""
        value = self.transposed.get(ref.value, ref.value)
        tensor = self.known(value)
        if tensor is None:
            raise Unlowered("a weight is computed from activations")
        return tensor.detach().cpu().double().numpy()

    def known(self, value: int) -> torch.Tensor | None:
        """The values of a constant; None for an activation."""
        return self.folded.get(value, self.parameters.get(self.recording.values[value].name))

    def fold(self, op: Op) -> bool:
        """Run an operation now if it reads constants alone. A weight's transposition is left to the layer behind it."""
        reads = op.inputs()
        if op.name == "aten.t" or any(self.known(v) is None for v in reads) or len(op.outputs) != 1:
            return False
        if not reads and op.name.removeprefix("aten.") not in MAKERS:
            return False

        def real(arg: Any) -> Any:
            if isinstance(arg, Ref):
                return self.known(arg.value)
            return [real(a) for a in arg] if isinstance(arg, list | tuple) else arg

        kwargs = {name: real(arg) for name, arg in op.kwargs.items() if name not in ("device", "layout", "pin_memory")}
        with torch.no_grad():
            self.folded[op.outputs[0]] = op.function(*map(real, op.args), **kwargs)
        names = (self.roots.get(v, frozenset([self.recording.values[v].name])) for v in reads)
        self.roots[op.outputs[0]] = frozenset().union(*names)
        return True

    def layer_of(self, weight: Ref) -> Layer:
        """The layer that the next call of a weight is; calls whose result nobody reads are passed over."""
        value = self.transposed.get(weight.value, weight.value)
        names = self.roots.get(value, frozenset([self.recording.values[value].name]))
        return next(layer for layer in self.layers if layer.weight in names)

    def only_reader(self, value: int) -> tuple[int, Op] | None:
        """The one operation that reads a value, if nothing else does."""
        readers = self.readers.get(value, [])
        if len(readers) != 1 or value in self.recording.outputs:
            return None
        return readers[0], self.recording.ops[readers[0]]

    def activation_behind(self, op: Op) -> tuple[str, int]:
        """The activation that can be merged into the operation, and the value that then holds its result."""
        value = op.outputs[0]
        reader = self.only_reader(value)
        if reader and (kind := clamp(reader[1])):
            self.merged.add(reader[0])
            return kind, reader[1].outputs[0]
        return NO_ACTIVATION, value

    def normalisation_behind(self, op: Op) -> Op | None:
        reader = self.only_reader(op.outputs[0])
        if reader and reader[1].name == "aten.native_batch_norm":
            self.merged.add(reader[0])
            return reader[1]
        return None

    # --- arranging -------------------------------------------------------------------------------------------------

    def arranged(self, op: Op, ref: Ref, order: Sequence[int]) -> int:
        """A tensor with the value's axes in this order, each as large as recorded."""
        key = (ref.value, tuple(order))
        if key not in self.moved:
            sizes = tuple(self.shape(ref.value)[a] for a in order)
            tensor = self.brought(op, self.stored(op, ref), order)
            self.moved[key] = self.tiled(op, tensor, sizes)
        return self.moved[key]

    def brought(self, op: Op, stored: Stored, order: Sequence[int]) -> int:
        """The same, but an axis that is broadcast has size 1."""
        tensor, layout = stored.tensor, stored.layout
        if not layout.stored(order):
            before, permutation = moves(layout.sizes, layout.sequence(order))
            tensor = self.reshaped(op, tensor, before)
            out = self.another(op, "transpose", tensor, tuple(before[p] for p in permutation))
            self.builder.operator("TRANSPOSE", [tensor, self.integers("permutation", permutation)], [out])
            tensor = out
        return self.reshaped(op, tensor, tuple(layout.width(a) for a in order))

    def reshaped(self, op: Op, tensor: int, shape: Shape) -> int:
        if self.builder.tensors[tensor].shape == shape:
            return tensor
        out = self.another(op, "reshape", tensor, shape)
        self.builder.operator("RESHAPE", [tensor, self.integers("shape", shape)], [out])
        return out

    def tiled(self, op: Op, tensor: int, shape: Shape) -> int:
        """A tensor whose axes of size 1 are repeated."""
        has = self.builder.tensors[tensor].shape
        if has == shape:
            return tensor
        out = self.another(op, "tile", tensor, shape)
        times = [n // m for n, m in zip(shape, has, strict=True)]
        self.builder.operator("TILE", [tensor, self.integers("multiples", times)], [out])
        return out

    # --- writing tensors -------------------------------------------------------------------------------------------

    def name(self, base: str) -> str:
        self.names[base] += 1
        return base if self.names[base] == 1 else f"{base}#{self.names[base]}"

    def activation(self, name: str, shape: Shape, *, zero_point: int, scale: float = SCALE) -> int:
        return self.builder.tensor(Tensor(name=self.name(name), shape=shape, scale=(scale,), zero_point=zero_point))

    def another(self, op: Op, role: str, like: int, shape: Shape) -> int:
        """An activation that belongs to an operation, quantised like another."""
        pattern = self.builder.tensors[like]
        scale = pattern.scale[0] if pattern.scale else SCALE
        return self.activation(f"{op.module or 'network'} {role}", shape, zero_point=pattern.zero_point, scale=scale)

    def result(
        self, op: Op, value: int, order: Sequence[int] | None = None, *, like: int | None = None, name: str = ""
    ) -> int:
        """The tensor for an operation's result, with its axes in `order` (the usual one), known as `value`."""
        shape = self.shape(value)
        layout = Layout.of(shape, usual_order(len(shape)) if order is None else order)
        return self.result_as(op, value, layout, layout.sizes, like=like, name=name)

    def result_as(
        self, op: Op, value: int, layout: Layout, shape: Shape, *, like: int | None = None, name: str = ""
    ) -> int:
        """The same with any layout, in a tensor of this shape."""
        name = name or f"{op.module or 'network'} {op.name.removeprefix('aten.').rstrip('_')}"
        pattern = self.builder.tensors[like] if like is not None else Tensor(name="", shape=(), scale=(SCALE,))
        tensor = self.activation(name, shape, zero_point=pattern.zero_point, scale=pattern.scale[0])
        self.at[value] = Stored(tensor, layout)
        return tensor

    def constant(self, name: str, data: Floats) -> int:
        """A constant operand, INT8 with one scale."""
        scale = max(float(np.abs(data).max(initial=0)), 1e-8) / 127
        return self.builder.tensor(Tensor(
            name=self.name(name), shape=data.shape, scale=(scale,), data=np.round(data / scale).astype(np.int8),
        ))  # fmt: skip

    def integers(self, name: str, data: Any) -> int:
        array = np.asarray(data, np.int32)
        return self.builder.tensor(Tensor(name=self.name(name), shape=array.shape, dtype="INT32", data=array))

    def filters(self, name: str, weight: Floats, bias: Floats, axis: int, input_scale: float) -> tuple[int, int]:
        """Quantised weights (a scale for each index of `axis`) and INT32 biases."""
        rest_of_axes = tuple(d for d in range(weight.ndim) if d != axis)
        scale = np.maximum(np.abs(weight).max(rest_of_axes, keepdims=True), 1e-8) / 127
        per_filter = scale.reshape(-1)
        stored = self.builder.tensor(Tensor(
            name=self.name(f"{name}.weight"), shape=weight.shape, scale=tuple(per_filter), axis=axis,
            data=np.round(weight / scale).astype(np.int8),
        ))  # fmt: skip
        return stored, self.biases(name, bias, per_filter * input_scale)

    def biases(self, name: str, bias: Floats, scale: Floats) -> int:
        data = np.clip(np.round(bias / scale), -(2**31), 2**31 - 1).astype(np.int32)
        return self.builder.tensor(Tensor(
            name=self.name(f"{name}.bias"), shape=bias.shape, dtype="INT32", scale=tuple(scale), data=data,
        ))  # fmt: skip


LoweringRule = Callable[["Lowering", Op], None]
RULES: dict[str, LoweringRule] = {}


def lowers(*names: str) -> Callable[[LoweringRule], LoweringRule]:
    """Register the TFLite form of some ATen operations."""

    def register(rule: LoweringRule) -> LoweringRule:
        RULES.update({f"aten.{name}": rule for name in names})
        return rule

    return register


def clamp(op: Op) -> str | None:
    """The fused activation that an operation is, if it is one."""
    if op.name in ("aten.relu", "aten.relu_"):
        return "RELU"
    if op.name in ("aten.hardtanh", "aten.hardtanh_") and tuple(op.args[1:3]) == (0.0, 6.0):
        return "RELU6"
    return None
