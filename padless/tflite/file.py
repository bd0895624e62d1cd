"""Write TFLite files with the schema bindings that Arm's compiler brings along (`ethosu.vela.tflite`).

An operator is a row of `OPTIONS`; its options are the fields of its table in TensorFlow's `schema.fbs`, by their names
there. No TensorFlow is needed, and nothing is checked: a malformed file is the caller's mistake.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from padless.errors import missing_extra

Data = npt.NDArray[np.generic]
OptionValue = int | bool | float | str  # text names a member of an enumeration, such as padding "SAME"

# Operator -> the table of its options; None where it has none.
OPTIONS: Final[Mapping[str, str | None]] = {
    "ABS": "AbsOptions",
    "ADD": "AddOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "ELU": None,
    "EXP": "ExpOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "GATHER": "GatherOptions",
    "GELU": "GeluOptions",
    "HARD_SWISH": "HardSwishOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "LOG": None,
    "LOGISTIC": None,
    "LOG_SOFTMAX": "LogSoftmaxOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "MIRROR_PAD": "MirrorPadOptions",
    "MUL": "MulOptions",
    "NEG": "NegOptions",
    "PAD": "PadOptions",
    "PADV2": "PadV2Options",
    "PRELU": None,
    "QUANTIZE": "QuantizeOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "RELU": None,
    "RELU6": None,
    "RESHAPE": "ReshapeOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "RSQRT": None,
    "SOFTMAX": "SoftmaxOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SUB": "SubOptions",
    "SUM": "ReducerOptions",
    "TANH": None,
    "TILE": "TileOptions",
    "TRANSPOSE": "TransposeOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
}
# Fields whose values are members of an enumeration.
ENUMERATIONS: Final = {
    "Padding": "Padding",
    "FusedActivationFunction": "ActivationFunctionType",
    "Mode": "MirrorPadMode",
}
# The first version of each operator that takes int8 with per-channel weights; 2 for the others.
VERSIONS: Final = {
    "CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4,
    "HARD_SWISH": 1, "RESHAPE": 1, "PRELU": 1, "ELU": 1, "NEG": 1, "ABS": 1,
}  # fmt: skip
ALIGNMENT: Final = 16  # bytes; the schema's `force_align` of a buffer's data


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tensor:
    """real = scale * (stored - zero_point). More than one scale: one for each index of `axis`.

    Data of floating point are real values: a writer (`padless.tflite.writers`, `calibrated`) stores them as `dtype` says.
    Whole numbers are stored as they are.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "INT8"
    scale: tuple[float, ...] = ()
    zero_point: int = 0
    axis: int = 0
    data: Data | None = None  # None: computed at run time


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """A row of `OPTIONS` with its tensors, by their indices."""

    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, OptionValue]


Signature = tuple[Sequence[str], Sequence[str]]  # names of the inputs, and of the outputs


class TFLiteBuilder:
    """Tensors and operators of one subgraph, in the order in which they are added."""

    def __init__(self, tensors: Iterable[Tensor] = (), operators: Iterable[Operator] = ()) -> None:
        self.tensors, self.operators = list(tensors), list(operators)

    def tensor(self, tensor: Tensor) -> int:
        """Add a tensor; the answer is its index."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def operator(self, code: str, inputs: Sequence[int], outputs: Sequence[int], **options: OptionValue) -> None:
        """Add an operator of `OPTIONS`. Options are named as in the schema, in camel case: `StrideW=2`."""
        self.operators.append(Operator(code=code, inputs=tuple(inputs), outputs=tuple(outputs), options=options))

    def operator_names(self) -> list[str]:
        """For each operator the name of its first output."""
        return [self.tensors[op.outputs[0]].name for op in self.operators]

    def build(
        self,
        inputs: Sequence[int],
        outputs: Sequence[int],
        name: str,
        *,
        signature: Signature | None = None,
        metadata: Mapping[str, bytes] | None = None,
    ) -> bytes:
        """The file. Its subgraph reads the tensors `inputs` and answers with `outputs`.

        `signature` names both, in their order, for runtimes that call a network by names. `metadata` are named bytes.
        """
        writer = _Writer(sum(t.data.nbytes for t in self.tensors if t.data is not None))
        codes = list(dict.fromkeys(op.code for op in self.operators))
        data = [t.data for t in self.tensors if t.data is not None]
        buffers = [writer.table("Buffer")] + [writer.table("Buffer", Data=writer.blob(d.tobytes())) for d in data]
        extras: dict[str, int] = {}
        if metadata:
            notes = []
            for key, content in metadata.items():
                notes.append(writer.table("Metadata", Name=writer.text(key), Buffer=len(buffers)))
                buffers.append(writer.table("Buffer", Data=writer.blob(content)))
            extras["Metadata"] = writer.offsets(notes)
        if signature:
            extras["SignatureDefs"] = writer.offsets([writer.signature(signature, inputs, outputs)])
        filled = iter(range(1, len(buffers)))  # by convention buffer 0 is empty and serves every tensor without data
        tensors = [writer.tensor(t, 0 if t.data is None else next(filled)) for t in self.tensors]
        operators = [writer.operator(op, codes.index(op.code)) for op in self.operators]
        subgraph = writer.table(
            "SubGraph",
            Name=writer.text(name),
            Tensors=writer.offsets(tensors),
            Inputs=writer.vector(inputs, np.int32),
            Outputs=writer.vector(outputs, np.int32),
            Operators=writer.offsets(operators),
        )
        model = writer.table(
            "Model",
            Version=3,
            OperatorCodes=writer.offsets([writer.code(c) for c in codes]),
            Subgraphs=writer.offsets([subgraph]),
            Description=writer.text("padless"),
            Buffers=writer.offsets(buffers),
            **extras,
        )
        return writer.finish(model)


class _Writer:
    """Flatbuffers inside out: a child is written before its parent, which refers to it by its offset."""

    def __init__(self, data_bytes: int) -> None:
        flatbuffers: Any = _module("flatbuffers")
        self._builder = flatbuffers.Builder(data_bytes + 4096)

    def text(self, text: str) -> int:
        return int(self._builder.CreateString(text))

    def vector(self, values: Sequence[float], dtype: npt.DTypeLike) -> int:
        return int(self._builder.CreateNumpyVector(np.asarray(values, dtype)))

    def blob(self, data: bytes) -> int:
        # `CreateByteVector`, but for the alignment.
        builder = self._builder
        builder.StartVector(1, len(data), ALIGNMENT)
        builder.head = builder.Head() - len(data)
        builder.Bytes[builder.Head() : builder.Head() + len(data)] = data
        return int(builder.EndVector())

    def offsets(self, offsets: Sequence[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())

    def table(self, schema: str, **fields: float) -> int:
        module = _schema(schema)
        module.Start(self._builder)
        for field, value in fields.items():
            getattr(module, f"Add{field}")(self._builder, value)
        return int(module.End(self._builder))

    def tensor(self, tensor: Tensor, buffer: int) -> int:
        quantization = {}
        if tensor.scale:
            quantization["Quantization"] = self.table(
                "QuantizationParameters",
                Scale=self.vector(tensor.scale, np.float32),
                ZeroPoint=self.vector([tensor.zero_point] * len(tensor.scale), np.int64),
                QuantizedDimension=tensor.axis,
            )
        return self.table(
            "Tensor",
            Shape=self.vector(tensor.shape, np.int32),
            Name=self.text(tensor.name),
            Type=_member("TensorType", tensor.dtype),
            Buffer=buffer,
            **quantization,
        )

    def operator(self, op: Operator, code: int) -> int:
        options = {}
        if schema := OPTIONS[op.code]:
            fields = {k: _member(ENUMERATIONS[k], v) if isinstance(v, str) else v for k, v in op.options.items()}
            options["BuiltinOptions"] = self.table(schema, **fields)
            options["BuiltinOptionsType"] = _member("BuiltinOptions", schema)
        return self.table(
            "Operator",
            OpcodeIndex=code,
            Inputs=self.vector(op.inputs, np.int32),
            Outputs=self.vector(op.outputs, np.int32),
            **options,
        )

    def signature(self, names: Signature, inputs: Sequence[int], outputs: Sequence[int]) -> int:
        def maps(labels: Sequence[str], tensors: Sequence[int]) -> int:
            pairs = zip(labels, tensors, strict=True)
            return self.offsets([self.table("TensorMap", Name=self.text(n), TensorIndex=t) for n, t in pairs])

        key, read, answered = self.text("serving_default"), maps(names[0], inputs), maps(names[1], outputs)
        return self.table("SignatureDef", Inputs=read, Outputs=answered, SignatureKey=key, SubgraphIndex=0)

    def code(self, name: str) -> int:
        code = _member("BuiltinOperator", name)
        # Codes above 127 did not fit the first field; readers take the larger of the two.
        return self.table(
            "OperatorCode", DeprecatedBuiltinCode=min(code, 127), BuiltinCode=code, Version=VERSIONS.get(name, 2)
        )

    def finish(self, root: int) -> bytes:
        self._builder.Finish(root, file_identifier=b"TFL3")
        return bytes(self._builder.Output())


def _schema(table: str) -> Any:
    return _module(f"ethosu.vela.tflite.{table}")


def _member(enumeration: str, name: str) -> int:
    return int(getattr(getattr(_schema(enumeration), enumeration), name))


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise missing_extra("ethos-u-vela", "vela", "Writing TFLite files") from error
