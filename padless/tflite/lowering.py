"""The state while a recording is written as TFLite, and the registry of rules that do it."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from padless.errors import PadlessError
from padless.graph import Graph
from padless.graph.liveness import needed
from padless.graph.recording import Op, Ref
from padless.tflite.constants import Constants
from padless.tflite.file import Tensor, TFLiteBuilder
from padless.tflite.layout import Layout, Shape, as_map, moves, usual_order
from padless.tflite.lowered import Floats, Lowered, Port, Stored, Unlowered, explained, refuse
from padless.tflite.writes import overwriting
from padless.treat.grid import scales

Result = TypeVar("Result")
SCALE = 0.05  # nominal, of every activation
NO_ACTIVATION, BOTTOM = "NONE", -128
MAP = (0, 2, 3, 1)  # the order of a feature map's axes here


class Lowering:
    """Walks the recording once. Feature maps are [N, H, W, C] here, [N, C, H, W] in the recording."""

    def __init__(self, graph: Graph, model: nn.Module) -> None:
        self.graph, self.recording = graph, graph.recording
        self.constants = Constants(self.recording, model)
        self.builder = TFLiteBuilder()
        self.at: dict[int, Stored] = {}  # value -> where it is
        self.moved: dict[tuple[int, tuple[int, ...]], int] = {}  # value, order -> a tensor that was brought into it
        self.operands: dict[tuple[Stored, tuple[int, ...]], int] = {}  # the same, with broadcast axes of size 1
        self.transposed = self.constants.transposed  # value -> weight
        self.merged: set[int] = set()  # operations that were merged into an earlier one
        self.ends: dict[int, Op] = {}  # the result of a sum -> the last operation whose constant was merged before it
        self.readers: dict[int, list[int]] = {}
        self.needed = needed(self.recording)
        for i in self.needed:
            for value in set(self.recording.ops[i].inputs()):
                self.readers.setdefault(value, []).append(i)
        self.layers = list(graph.layers)  # those that are still to come
        self.names: Counter[str] = Counter()

    def network(self, *, whole: bool = False) -> Lowered:
        """Every operation that somebody reads, in its order.

        With `whole` the axes of each output lie whole, in some order: a file's readers know nothing of interleaved ones.
        """
        op = overwriting(self.recording, self.readers)
        if op is not None:
            raise refuse(op, "writes into a tensor that is read elsewhere, too")
        for value in self.recording.inputs:
            shape = self.recording.shape(value)
            if shape and shape[0] != 1:
                raise Unlowered(f"the example has a batch of {shape[0]}, the compiler takes 1")
            layout = Layout.of(shape, usual_order(len(shape)))
            name = self.recording.values[value].name
            self.at[value] = Stored(self.activation(name, layout.sizes, zero_point=0), layout)
        ops = [self.recording.ops[i] for i in self.needed]
        folded = [self.translated(self.constants.fold, op) for op in ops]  # before any is merged into a layer
        for i, op, is_constant in zip(self.needed, ops, folded, strict=True):
            if i not in self.merged and not is_constant:
                self.translated(self.write, op)
        inputs = [self.port(value, self.recording.values[value].name) for value in self.recording.inputs]
        names = [f"output_{name or 0}" for name in self.recording.output_names]
        outputs = [self.port(v, name, whole=whole) for v, name in zip(self.recording.outputs, names, strict=True)]
        return Lowered(builder=self.builder, inputs=tuple(inputs), outputs=tuple(outputs))

    def port(self, value: int, name: str, *, whole: bool = False) -> Port:
        if value not in self.at:
            raise Unlowered(f"{name} of the network is not computed from its inputs")
        stored = self.at[value]
        shape = self.shape(value)
        spread = any(stored.layout.width(axis) != size for axis, size in enumerate(shape))
        if whole and (spread or stored.layout.order() is None):
            (op,) = (op for op in self.recording.ops if value in op.outputs)
            tensor = self.tiled(op, self.brought(op, stored, range(len(shape))), shape)
            stored = Stored(tensor, Layout.of(shape))
        return Port(name=name, shape=shape, tensor=stored.tensor, layout=stored.layout)

    def write(self, op: Op) -> None:
        """The form of one operation."""
        rule = RULES.get(op.name)
        if rule is None:
            raise refuse(op, "has no TFLite form")
        rule(self, op)

    def translated(self, step: Callable[[Op], Result], op: Op) -> Result:
        """A step of one operation. A mistake in a rule is told as a form that is missing: the network has others."""
        try:
            return step(op)
        except (Unlowered, PadlessError):
            raise
        except Exception as error:
            raise refuse(op, f"could not be lowered: {explained(error)}; please report it") from error

    # --- reading the recording -------------------------------------------------------------------------------------

    def shape(self, value: int) -> Shape:
        return self.recording.shape(value)

    def computed(self, ref: Ref) -> bool:
        """Whether a value is an activation, not a parameter."""
        return ref.value in self.at

    def stored(self, op: Op, ref: Ref) -> Stored:
        """Where a value is; a constant is written when it is first read. Raises Unlowered for what was not computed."""
        if ref.value not in self.at:
            values = self.known(ref.value)
            if values is None:
                raise refuse(op, "reads a tensor that has no TFLite form")
            data = values.detach().cpu().double().numpy()
            layout = Layout.of(data.shape, usual_order(data.ndim))
            name = f"{op.module or 'network'} constant"
            return Stored(self.known_activation(name, layout.packed(data)), layout)
        return self.at[ref.value]

    def weight(self, ref: Ref) -> Floats:
        """The values of a parameter or buffer, or of what is made of them alone."""
        tensor = self.known(self.transposed.get(ref.value, ref.value))
        if tensor is None:
            raise Unlowered("a weight is computed from activations")
        return tensor.detach().cpu().double().numpy()

    def known(self, value: int) -> torch.Tensor | None:
        """The values of a constant; None for an activation."""
        return self.constants.known(value)

    def layer_name(self, op: Op, weight: Ref) -> str:
        """The name of the layer that the next call of a weight is; calls whose result nobody reads are passed over."""
        names = self.constants.made_of(weight.value)
        for i, layer in enumerate(self.layers):
            if layer.weight in names:
                del self.layers[: i + 1]
                return layer.name
        return op.module or op.name

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
        if reader and reader[1].name == "aten.native_batch_norm" and has_statistics(reader[1]):
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

    def map_of(self, op: Op, ref: Ref) -> int:
        """A map [N, rows, columns, channels] of a value [N, channels, (rows,) columns] or [rows, channels]."""
        shape = self.shape(ref.value)
        order = (0, *range(2, len(shape)), 1)
        return self.reshaped(op, self.arranged(op, ref, order), as_map(tuple(shape[a] for a in order)))

    def map_result(self, op: Op, value: int, *, like: int | None = None, name: str = "") -> int:
        """The tensor of a result that is computed as such a map."""
        shape = self.shape(value)
        order = (0, *range(2, len(shape)), 1)
        layout = Layout.of(shape, order)
        return self.result_as(op, value, layout, as_map(layout.sizes), like=like, name=name)

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
        shape = shape or (1,)  # a shape without axes would be an empty constant, which Vela refuses
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

    def constant(self, name: str, data: Floats, scale: float | None = None) -> int:
        """A constant operand, INT8 with one scale: by default the largest number's."""
        scale = scale or max(float(np.abs(data).max(initial=0)), 1e-8) / 127
        return self.builder.tensor(Tensor(
            name=self.name(name), shape=data.shape, scale=(scale,), data=data
        ))  # fmt: skip

    def known_activation(self, name: str, data: Floats) -> int:
        """A constant that stands among activations: quantised as they are where its numbers allow that."""
        stored = np.round(data / SCALE)
        if not np.allclose(stored * SCALE, data) or np.abs(stored).max(initial=0) > 127:
            return self.constant(name, data)
        return self.builder.tensor(Tensor(
            name=self.name(name), shape=data.shape, scale=(SCALE,), data=data
        ))  # fmt: skip

    def integers(self, name: str, data: Any) -> int:
        array = np.asarray(data, np.int32)
        return self.builder.tensor(Tensor(name=self.name(name), shape=array.shape, dtype="INT32", data=array))

    def filters(self, name: str, weight: Floats, bias: Floats, axis: int, input_scale: float) -> tuple[int, int]:
        """Weights (a scale for each index of `axis`) and INT32 biases."""
        scale = scales(np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1))
        stored = self.builder.tensor(Tensor(
            name=self.name(f"{name}.weight"), shape=weight.shape, scale=tuple(scale), axis=axis,
            data=weight,
        ))  # fmt: skip
        return stored, self.biases(name, bias, scale * input_scale)

    def biases(self, name: str, bias: Floats, scale: Floats) -> int:
        return self.builder.tensor(Tensor(
            name=self.name(f"{name}.bias"), shape=bias.shape, dtype="INT32", scale=tuple(scale), data=bias
        ))  # fmt: skip


LoweringRule = Callable[["Lowering", Op], None]
RULES: dict[str, LoweringRule] = {}


def lowers(*names: str) -> Callable[[LoweringRule], LoweringRule]:
    """Register the TFLite form of some ATen operations."""

    def register(rule: LoweringRule) -> LoweringRule:
        RULES.update({f"aten.{name}": rule for name in names})
        return rule

    return register


def has_statistics(norm: Op) -> bool:
    """Whether a batch norm uses statistics that it keeps, not those of its input."""
    _, _, _, mean, variance, training, *_ = norm.args
    return mean is not None and variance is not None and not training


def clamp(op: Op) -> str | None:
    """The fused activation that an operation is, if it is one."""
    if op.name in ("aten.relu", "aten.relu_"):
        return "RELU"
    if op.name in ("aten.hardtanh", "aten.hardtanh_") and tuple(op.args[1:3]) == (0.0, 6.0):
        return "RELU6"
    return None
