"""Operators that several rules write: convolutions, padding, pools."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from padless.hardware.rounding import ceil_div
from padless.tflite.file import Tensor, TFLiteBuilder
from padless.tflite.lowering import NO_ACTIVATION

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
        least = np.array([-np.inf], np.float32)
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
            zeros = np.zeros(shape, np.float32)
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


def upsample(builder: TFLiteBuilder, inputs: list[int], out: int, kernel: Pair, stride: Pair, begin: Pair) -> None:
    """TRANSPOSE_CONV (filters OHWI), without the first `begin` rows and columns: VALID or SAME where it is one of them.

    Else VALID, and a slice of it; zeros are joined to the map where the output reaches further.
    """
    x, weight, bias = inputs
    n, h, w, _ = builder.tensors[x].shape
    _, *size, channels = builder.tensors[out].shape
    axes = list(zip((h, w), size, kernel, stride, begin, strict=True))
    if all(o == (i - 1) * s + k and b == 0 for i, o, k, s, b in axes):
        _transpose_conv(builder, inputs, out, stride, "VALID")
        return
    if all(o == i * s and k >= s and b == (k - s) // 2 for i, o, k, s, b in axes):
        _transpose_conv(builder, inputs, out, stride, "SAME")
        return
    name = builder.tensors[out].name
    below, right = (max(0, ceil_div(b + o - (i - 1) * s - k, s)) for i, o, k, s, b in axes)
    x = pad(builder, x, (0, below), (0, right), f"{name} pad")
    whole = ((h + below - 1) * stride[0] + kernel[0], (w + right - 1) * stride[1] + kernel[1])
    full = like(builder, out, f"{name} whole", (n, *whole, channels))
    _transpose_conv(builder, [x, weight, bias], full, stride, "VALID")
    crop(builder, full, out, (0, *begin, 0))


def _transpose_conv(builder: TFLiteBuilder, inputs: list[int], out: int, stride: Pair, mode: str) -> None:
    x, weight, bias = inputs
    size = integers(builder, "output shape", builder.tensors[out].shape)
    builder.operator(
        "TRANSPOSE_CONV", [size, weight, x, bias], [out], Padding=mode, StrideH=stride[0], StrideW=stride[1]
    )


def upsample_in_groups(
    builder: TFLiteBuilder, inputs: list[int], out: int, kernel: Pair, stride: Pair, begin: Pair
) -> None:
    """The same for filters in groups, which TRANSPOSE_CONV has none of: a convolution of the map with zeros in between.

    Each pixel is repeated, and all but the first of them made zero. The filters are turned around.
    """
    x, weight, bias = inputs
    n, h, w, c = builder.tensors[x].shape
    _, *size, _ = builder.tensors[out].shape
    name = builder.tensors[out].name
    if stride != (1, 1):
        large = (h * stride[0], w * stride[1])
        repeated, sparse = (like(builder, x, f"{name} {role}", (n, *large, c)) for role in ("repeated", "sparse"))
        sides = [integers(builder, f"{name} size", large)]
        builder.operator("RESIZE_NEAREST_NEIGHBOR", [x, *sides], [repeated], HalfPixelCenters=False)
        first = np.zeros((1, *large, 1), np.float32)
        first[:, :: stride[0], :: stride[1]] = 1
        mask = builder.tensor(Tensor(name=f"{name} first", shape=first.shape, scale=(1.0,), data=first))
        builder.operator("MUL", [repeated, mask], [sparse], FusedActivationFunction=NO_ACTIVATION)
        x = sparse
    _, *has, _ = builder.tensors[x].shape
    before = [k - 1 - b for k, b in zip(kernel, begin, strict=True)]
    after = [o + k - 1 - i - b for o, k, i, b in zip(size, kernel, has, before, strict=True)]
    if min(*before, *after) < 0:  # more is cut off than the filter reaches
        begins = [max(0, -b) for b in before]
        ends = [i - max(0, -a) for i, a in zip(has, after, strict=True)]
        smaller = like(builder, x, f"{name} cut", (n, *(e - b for b, e in zip(begins, ends, strict=True)), c))
        crop(builder, x, smaller, (0, *begins, 0))
        x = smaller
    (above, left), (below, right) = ([max(0, side) for side in sides] for sides in (before, after))
    x = pad(builder, x, (above, below), (left, right), f"{name} pad")
    depthwise = builder.tensors[weight].shape[0] == 1 and builder.tensors[weight].axis == 3
    convolve(builder, [x, weight, bias], out, (1, 1), (1, 1), NO_ACTIVATION, depthwise)


def crop(builder: TFLiteBuilder, x: int, out: int, begins: Sequence[int]) -> None:
    """The part of a tensor that begins there and is as large as `out`."""
    ends = [b + n for b, n in zip(begins, builder.tensors[out].shape, strict=True)]
    sides = [
        integers(builder, "begin", begins),
        integers(builder, "end", ends),
        integers(builder, "steps", [1] * len(ends)),
    ]
    builder.operator("STRIDED_SLICE", [x, *sides], [out])


def like(builder: TFLiteBuilder, pattern: int, name: str, shape: tuple[int, ...]) -> int:
    """An activation that is quantised like another."""
    given = builder.tensors[pattern]
    return builder.tensor(Tensor(name=name, shape=shape, scale=given.scale, zero_point=given.zero_point))


def integers(builder: TFLiteBuilder, name: str, data: Any) -> int:
    array = np.asarray(data, np.int32)
    return builder.tensor(Tensor(name=name, shape=array.shape, dtype="INT32", data=array))
