"""The file that is flashed: INT8, or INT16 activations, with the ranges that were seen of every activation.

Weights are symmetric INT8 with a scale for each filter, biases INT32 (INT64 beside INT16 activations) on the scale of their
products, activations asymmetric INT8, or symmetric INT16: https://ai.google.dev/edge/litert/models/quantization_spec.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from padless.tflite.file import Data, Operator, Tensor, TFLiteBuilder
from padless.tflite.lowered import Lowered, Port
from padless.tflite.scales import NEAR, SAME, Quantity, Scales
from padless.tflite.writers import is_whole, rounded
from padless.treat.grid import scales

# Where input, weight and bias stand among an operator's inputs.
WEIGHTED: Final = {
    "CONV_2D": (0, 1, 2),
    "DEPTHWISE_CONV_2D": (0, 1, 2),
    "FULLY_CONNECTED": (0, 1, 2),
    "TRANSPOSE_CONV": (2, 1, 3),
}
LARGEST_BIAS: Final = {8: 2**30, 16: 2**38}  # by bits of activations; Ethos-U has 40 for the biases of 16
COARSE: Final = 16  # steps of a shared scale below which a part of a concatenation is told
SMALLEST_CLAMP: Final = 1e-8  # scale: below, whole numbers do not reach 6, and neither does the activation
IO: Final = ("int8", "float32", "uint8")


Ports = tuple[tuple[Port, int], ...]  # each with its tensor in the file


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibrated:
    """A network as it will stand in the file. In- and outputs are those of the file, of the type that was asked for."""

    builder: TFLiteBuilder
    inputs: Ports
    outputs: Ports
    coarse: tuple[tuple[str, int], ...]  # parts of concatenations that a wider scale leaves few steps, and how many

    def build(self, metadata: Mapping[str, bytes] | None = None) -> bytes:
        """The file."""
        names = [port.name for port, _ in self.inputs], [port.name for port, _ in self.outputs]
        reads, answers = [tensor for _, tensor in self.inputs], [tensor for _, tensor in self.outputs]
        return self.builder.build(reads, answers, "main", signature=names, metadata=metadata)


def calibrated(
    lowered: Lowered, ranges: Mapping[int, tuple[float, float]], *, bits: int = 8, io: str = "int8"
) -> Calibrated:
    """The network in INT8, or with `bits=16` with activations of 16 bits.

    `ranges` has the lowest and the highest number of every activation, by its tensor's index. `io` is the type of in- and
    outputs: that of the activations ("int8"), "float32", or "uint8" (INT8 moved by 128).
    """
    writer = _Writer(lowered, Scales(lowered, ranges, bits), bits)
    for op in lowered.builder.operators:
        writer.write(op)
    reads, answers = writer.ports(lowered, io)
    return Calibrated(
        builder=writer.builder, coarse=tuple(writer.coarse), inputs=tuple(zip(lowered.inputs, reads, strict=True)),
        outputs=tuple(zip(lowered.outputs, answers, strict=True)),
    )  # fmt: skip


class _Writer:
    """Goes through the operators once. Tensors keep the indices that they have in the lowered network."""

    def __init__(self, lowered: Lowered, scales: Scales, bits: int) -> None:
        self.given, self.scales, self.bits = lowered.builder, scales, bits
        self.type = f"INT{bits}"
        self.builder = TFLiteBuilder([self._activation(i, t) for i, t in enumerate(lowered.builder.tensors)])
        self.coarse: list[tuple[str, int]] = []
        self.requantised: dict[tuple[int, Quantity], int] = {}  # a tensor and a scale -> the tensor on that scale

    def _activation(self, index: int, tensor: Tensor) -> Tensor:
        """On its own scale. Constants are rounded where they are read."""
        if tensor.data is not None:
            return tensor
        scale, zero = self.scales.of(index)
        return replace(tensor, dtype=self.type, scale=(scale,), zero_point=zero)

    def write(self, op: Operator) -> None:
        inputs = list(op.inputs)
        if op.code in WEIGHTED:
            self._weights(op, inputs)
        else:
            wanted = self.scales.of(op.outputs[0]) if op.code in SAME | NEAR else None
            for place, index in enumerate(inputs):
                tensor = self.given.tensors[index]
                if tensor.data is not None and not is_whole(tensor.data):
                    inputs[place] = self._constant(tensor, wanted)
                elif tensor.data is None and wanted is not None and self.scales.of(index) != wanted:
                    inputs[place] = self._requantised(index, wanted)
        options, code = dict(op.options), op.code
        if self.scales.of(op.outputs[0])[0] < SMALLEST_CLAMP:
            code = "RELU" if code == "RELU6" else code
            if options.get("FusedActivationFunction") == "RELU6":
                options["FusedActivationFunction"] = "RELU"
        if self.bits == 16 and op.code in ("ADD", "SUB"):
            options["PotScaleInt16"] = False  # any scale, not powers of two alone
        self.builder.operators.append(replace(op, code=code, inputs=tuple(inputs), options=options))

    def _weights(self, op: Operator, inputs: list[int]) -> None:
        """Filters with a scale each; one grows where its bias would not fit its type otherwise."""
        source, filters, biases = (inputs[place] for place in WEIGHTED[op.code])
        weight, bias = self.given.tensors[filters], self.given.tensors[biases]
        assert weight.data is not None
        assert bias.data is not None
        step = self.scales.of(source)[0]
        scale = scales(np.moveaxis(weight.data.astype(float), weight.axis, 0).reshape(weight.shape[weight.axis], -1))
        scale = np.maximum(scale, np.abs(bias.data) / (LARGEST_BIAS[self.bits] * step))
        scale = scale.astype(np.float32).astype(float)  # as the file has it
        bias_type = "INT32" if self.bits == 8 else "INT64"
        new_weight, new_bias = (
            replace(weight, scale=tuple(scale)),
            replace(bias, dtype=bias_type, scale=tuple(scale * step), axis=0),
        )
        for place, tensor in zip(WEIGHTED[op.code][1:], (new_weight, new_bias), strict=True):
            inputs[place] = self._stored(inputs[place], replace(tensor, data=rounded(tensor)))

    def _constant(self, tensor: Tensor, wanted: Quantity | None) -> int:
        """An operand: on the scale of the operator's result where the operator wants that, else symmetric on its own."""
        data: Data | None = tensor.data
        assert data is not None
        if wanted is None:
            largest = max(float(np.abs(data).max(initial=0)), 1e-8)
            wanted = (float(np.float32(largest / (2 ** (self.bits - 1) - 1))), 0)
        tensor = replace(tensor, dtype=self.type, scale=wanted[:1], zero_point=wanted[1])
        return self.builder.tensor(replace(tensor, data=rounded(tensor)))

    def _stored(self, index: int, tensor: Tensor) -> int:
        """A rounded constant in the place of the real one, or beside it where another operator has used that."""
        if is_whole(self.builder.tensors[index].data):
            return self.builder.tensor(tensor)
        self.builder.tensors[index] = tensor
        return index

    def _requantised(self, index: int, wanted: Quantity) -> int:
        key = (index, wanted)
        if key not in self.requantised:
            tensor = self.builder.tensors[index]
            out = self.builder.tensor(replace(
                tensor, name=f"{tensor.name} requantised", scale=wanted[:1], zero_point=wanted[1]
            ))  # fmt: skip
            self.builder.operator("QUANTIZE", [index], [out])
            self.requantised[key] = out
            steps = round(2**self.bits * tensor.scale[0] / wanted[0])
            if steps < COARSE:
                self.coarse.append((tensor.name, steps))
        return self.requantised[key]

    def ports(self, lowered: Lowered, io: str) -> tuple[list[int], list[int]]:
        """The tensors that the file reads and answers with, converted from and to `io`; unread constants go."""
        reads, answers = [p.tensor for p in lowered.inputs], [p.tensor for p in lowered.outputs]
        if io != "int8":
            body, self.builder.operators = self.builder.operators, []
            reads = [self._converted(index, io, reads=True) for index in reads]
            self.builder.operators += body
            answers = [self._converted(index, io, reads=False) for index in answers]
        self._compact({*reads, *answers})
        return reads, answers

    def _converted(self, index: int, io: str, *, reads: bool) -> int:
        tensor = self.builder.tensors[index]
        if io == "float32":
            outside = replace(tensor, name=f"{tensor.name} float", dtype="FLOAT32", scale=(), zero_point=0)
        else:
            outside = replace(tensor, name=f"{tensor.name} uint8", dtype="UINT8", zero_point=tensor.zero_point + 128)
        place = self.builder.tensor(replace(outside, data=None))
        code = "DEQUANTIZE" if io == "float32" and not reads else "QUANTIZE"
        self.builder.operator(code, [place] if reads else [index], [index] if reads else [place])
        return place

    def _compact(self, ports: set[int]) -> None:
        """Constants that were rounded elsewhere become empty tensors, so that indices stay and nothing is stored twice."""
        used = {i for op in self.builder.operators for i in (*op.inputs, *op.outputs)} | ports
        for index, tensor in enumerate(self.builder.tensors):
            if index not in used and tensor.data is not None:
                empty = np.zeros(1, np.int8)
                self.builder.tensors[index] = Tensor(name=tensor.name, shape=(1,), scale=(1.0,), data=empty)
