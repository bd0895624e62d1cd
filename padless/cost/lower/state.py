"""The state while a recording is written as TFLite, and the registry of rules that do it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from padless.cost.lower.file import Tensor, TFLiteBuilder
from padless.graph import Graph
from padless.graph.record import Op, Ref
from padless.graph.shadow import tensor_names

Floats = npt.NDArray[np.float64]
SCALE = 0.05  # nominal, of every activation
NO_ACTIVATION, BOTTOM = "NONE", -128


class Unlowered(Exception):  # noqa: N818
    """The network has an operator that this file format, or this module, has no form for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowered:
    """A TFLite file, and for each of its operators the layer or the kind of operation that it computes."""

    tflite: bytes
    operators: tuple[str, ...]


class Lowering:
    """Walks the recording once. Feature maps are [N, H, W, C] here, [N, C, H, W] in the recording."""

    def __init__(self, graph: Graph, model: nn.Module) -> None:
        self.graph, self.recording = graph, graph.recording
        self.parameters = tensor_names(model)
        self.builder = TFLiteBuilder()
        self.at: dict[int, int] = {}  # value -> tensor
        self.flat: dict[int, tuple[int, int, int]] = {}  # flattened value -> C, H, W that it was
        self.transposed: dict[int, int] = {}  # value -> weight
        self.done: set[int] = set()  # operations that were merged into an earlier one
        self.readers: dict[int, list[int]] = {}
        for i, op in enumerate(self.recording.ops):
            for value in set(op.inputs()):
                self.readers.setdefault(value, []).append(i)
        self.layers = iter(graph.layers)
        self.names: Counter[str] = Counter()

    def network(self) -> Lowered:
        for value in self.recording.inputs:
            shape = self.recording.shape(value)
            if shape[0] != 1:
                raise Unlowered(f"the example has a batch of {shape[0]}, the compiler takes 1")
            self.at[value] = self.activation(self.recording.values[value].name, nhwc(shape), zero_point=0)
        for i, op in enumerate(self.recording.ops):
            if i in self.done or not any(v in self.readers or v in self.recording.outputs for v in op.outputs):
                continue
            rule = RULES.get(op.name)
            if rule is None:
                raise Unlowered(f"{op.name} has no TFLite form{f' (module {op.module})' if op.module else ''}")
            rule(self, op)
        try:
            inputs, outputs = (
                [self.at[v] for v in values] for values in (self.recording.inputs, self.recording.outputs)
            )
        except KeyError as error:
            raise Unlowered("an output of the network is not computed by it") from error
        tflite = self.builder.build(inputs, outputs, "main")
        return Lowered(tflite=tflite, operators=tuple(self.builder.operator_names()))

    # --- reading the recording -------------------------------------------------------------------------------------

    def shape(self, value: int) -> tuple[int, ...]:
        return self.recording.shape(value)

    def tensor(self, op: Op, ref: Any) -> int:
        """The tensor that holds a value; a parameter becomes a constant."""
        value = ref.value
        if value not in self.at:
            if self.recording.values[value].origin not in ("parameter", "buffer"):
                raise Unlowered(f"{op.name} reads a tensor that the forward makes itself (module {op.module})")
            data = self.weight(ref)
            if data.ndim in (3, 4):
                data = np.moveaxis(data, -3, -1).reshape(-1, *data.shape[-2:], data.shape[-3])  # channels last
            self.at[value] = self.constant(self.recording.values[value].name, data)
        return self.at[value]

    def weight(self, ref: Ref) -> Floats:
        """A parameter's or buffer's values."""
        name = self.recording.values[self.transposed.get(ref.value, ref.value)].name
        if name not in self.parameters:
            raise Unlowered("a weight is computed in the forward")
        return self.parameters[name].detach().cpu().double().numpy()

    def only_reader(self, value: int) -> tuple[int, Op] | None:
        """The one operation that reads a value, if nothing else does."""
        readers = self.readers.get(value, [])
        if len(readers) != 1 or value in self.recording.outputs:
            return None
        return readers[0], self.recording.ops[readers[0]]

    def activation_behind(self, op: Op) -> tuple[str, int]:
        """The activation that can be merged into the operation, and the value that then holds its result."""
        value = op.outputs[0]
        found = self.only_reader(value)
        if found and (kind := clamp(found[1])):
            self.done.add(found[0])
            return kind, found[1].outputs[0]
        return NO_ACTIVATION, value

    def normalisation_behind(self, op: Op) -> Op | None:
        found = self.only_reader(op.outputs[0])
        if found and found[1].name == "aten.native_batch_norm":
            self.done.add(found[0])
            return found[1]
        return None

    # --- writing tensors -------------------------------------------------------------------------------------------

    def name(self, base: str) -> str:
        self.names[base] += 1
        return base if self.names[base] == 1 else f"{base}#{self.names[base]}"

    def activation(self, name: str, shape: tuple[int, ...], *, zero_point: int, scale: float = SCALE) -> int:
        return self.builder.tensor(Tensor(name=self.name(name), shape=shape, scale=(scale,), zero_point=zero_point))

    def like(self, op: Op, value: int, source: int | None = None) -> int:
        """The tensor for an operation's result, quantised like `source` where one is given, known as `value`."""
        name = f"{op.module or 'network'} {op.name.removeprefix('aten.').rstrip('_')}"
        given = self.builder.tensors[source] if source is not None else Tensor(name="", shape=(), scale=(SCALE,))
        self.at[value] = self.activation(
            name, nhwc(self.shape(value)), zero_point=given.zero_point, scale=given.scale[0]
        )
        return self.at[value]

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
        others = tuple(d for d in range(weight.ndim) if d != axis)
        scale = np.maximum(np.abs(weight).max(others, keepdims=True), 1e-8) / 127
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


Rule = Callable[["Lowering", Op], None]
RULES: dict[str, Rule] = {}


def lowers(*names: str) -> Callable[[Rule], Rule]:
    """Register the TFLite form of some ATen operations."""

    def register(rule: Rule) -> Rule:
        RULES.update({f"aten.{name}": rule for name in names})
        return rule

    return register


def convolve(
    builder: TFLiteBuilder, inputs: list[int], out: int, stride: tuple[int, int], dilation: tuple[int, int], act: str,
    depthwise: bool,
) -> None:  # fmt: skip
    """CONV_2D or DEPTHWISE_CONV_2D without padding."""
    options: dict[str, int | str] = {
        "Padding": "VALID", "StrideH": stride[0], "StrideW": stride[1], "DilationHFactor": dilation[0],
        "DilationWFactor": dilation[1], "FusedActivationFunction": act,
    }  # fmt: skip
    if depthwise:
        options["DepthMultiplier"] = builder.tensors[out].shape[3] // builder.tensors[inputs[0]].shape[3]
    builder.operator("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", inputs, [out], **options)


def pad(
    builder: TFLiteBuilder, x: int, rows: tuple[int, int], columns: tuple[int, int], name: str, *, lowest: bool = False
) -> int:
    """A map with zeros, or the lowest value there is, around it: above and below, left and right. None: the map itself."""
    if not any((*rows, *columns)):
        return x
    given = builder.tensors[x]
    n, h, w, c = given.shape
    shape = (n, h + sum(rows), w + sum(columns), c)
    out = builder.tensor(Tensor(name=name, shape=shape, scale=given.scale, zero_point=given.zero_point))
    around = np.array([(0, 0), rows, columns, (0, 0)], np.int32)
    inputs = [x, builder.tensor(Tensor(name=f"{name} widths", shape=around.shape, dtype="INT32", data=around))]
    if lowest:
        least = np.array([BOTTOM], np.int8)
        value = Tensor(name=f"{name} value", shape=(1,), scale=given.scale, zero_point=given.zero_point, data=least)
        inputs.append(builder.tensor(value))
    builder.operator("PADV2" if lowest else "PAD", inputs, [out])
    return out


def nhwc(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else tuple(shape)


def clamp(op: Op) -> str | None:
    """The fused activation that an operation is, if it is one."""
    if op.name in ("aten.relu", "aten.relu_"):
        return "RELU"
    if op.name in ("aten.hardtanh", "aten.hardtanh_") and tuple(op.args[1:3]) == (0.0, 6.0):
        return "RELU6"
    return None
