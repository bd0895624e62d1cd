"""Operators that several rules write: convolutions, padding, pools."""

import numpy as np

from padless.tflite.file import Tensor, TFLiteBuilder
from padless.tflite.lowering import BOTTOM, NO_ACTIVATION

Pair = tuple[int, ...]  # rows and columns
WIDEST_STRIDE = 3  # that Ethos-U55 and U65 convolve with


def convolve(
    builder: TFLiteBuilder, inputs: list[int], out: int, stride: Pair, dilation: Pair, act: str, depthwise: bool
) -> None:
    """CONV_2D or DEPTHWISE_CONV_2D without padding."""
    options: dict[str, int | str] = {
        "Padding": "VALID", "StrideH": stride[0], "StrideW": stride[1], "DilationHFactor": dilation[0],
        "DilationWFactor": dilation[1], "FusedActivationFunction": act,
    }  # fmt: skip
    if depthwise:
        options["DepthMultiplier"] = builder.tensors[out].shape[3] // builder.tensors[inputs[0]].shape[3]
    builder.operator("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", inputs, [out], **options)


def pad(builder: TFLiteBuilder, x: int, rows: Pair, columns: Pair, name: str, *, lowest: bool = False) -> int:
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


def padded(builder: TFLiteBuilder, x: int, rows: Pair, columns: Pair, stride: Pair, name: str) -> int:
    """The map with zeros around it, for a convolution of this stride.

    Vela merges PAD into the convolution, but then cannot decompose one whose stride is beyond 3 (Ethos-U55, U65): there
    the zeros are joined to the map.
    """
    if max(stride) <= WIDEST_STRIDE:
        return pad(builder, x, rows, columns, name)
    for axis, sides in ((1, rows), (2, columns)):
        given = builder.tensors[x]
        if not any(sides):
            continue
        parts = []
        for side, size in zip(("before", "after"), sides, strict=True):
            shape = tuple(size if i == axis else n for i, n in enumerate(given.shape))
            zeros = np.full(shape, given.zero_point, np.int8)
            parts.append(builder.tensor(Tensor(
                name=f"{name} {side} {axis}", shape=shape, scale=given.scale, zero_point=given.zero_point, data=zeros
            )))  # fmt: skip
        whole = [p for p in (parts[0], x, parts[1]) if builder.tensors[p].shape[axis]]
        shape = tuple(n + sum(sides) if i == axis else n for i, n in enumerate(given.shape))
        x = builder.tensor(Tensor(name=f"{name} {axis}", shape=shape, scale=given.scale, zero_point=given.zero_point))
        builder.operator("CONCATENATION", whole, [x], Axis=axis, FusedActivationFunction=NO_ACTIVATION)
    return x


def pool(
    builder: TFLiteBuilder, code: str, source: int, out: int, kernel: Pair, stride: Pair, mode: str = "VALID"
) -> None:
    """AVERAGE_POOL_2D or MAX_POOL_2D."""
    builder.operator(
        code, [source], [out], Padding=mode, StrideH=stride[0], StrideW=stride[1], FilterHeight=kernel[0],
        FilterWidth=kernel[1], FusedActivationFunction=NO_ACTIVATION,
    )  # fmt: skip


def upsample(builder: TFLiteBuilder, inputs: list[int], out: int, kernel: Pair, stride: Pair, padding: Pair) -> None:
    """TRANSPOSE_CONV (filters OHWI): VALID where nothing is cut off, SAME where the map grows by the stride.

    What PyTorch's padding cuts off of one side and adds at the other changes no work.
    """
    mode = "VALID" if padding == (0, 0) else "SAME"
    shape = np.array(builder.tensors[out].shape, np.int32)
    size = builder.tensor(Tensor(name="output shape", shape=shape.shape, dtype="INT32", data=shape))
    x, weight, bias = inputs
    builder.operator(
        "TRANSPOSE_CONV", [size, weight, x, bias], [out], Padding=mode, StrideH=stride[0], StrideW=stride[1]
    )


def grows_plainly(in_hw: Pair, out_hw: Pair, kernel: Pair, stride: Pair, padding: Pair) -> bool:
    """Whether `upsample` can express a transposed convolution."""
    sizes = list(zip(in_hw, out_hw, kernel, stride, strict=True))
    if padding == (0, 0):
        return all(o == (n - 1) * s + k for n, o, k, s in sizes)
    return all(o == n * s for n, o, k, s in sizes)
