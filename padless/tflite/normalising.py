"""The TFLite form of normalisation: by kept statistics, and by those of the input."""

import math

import numpy as np

from padless.graph.recording import Op, Ref
from padless.tflite.layers import affine, scale_and_shift
from padless.tflite.layout import Layout, usual_order
from padless.tflite.lowered import Stored, refuse
from padless.tflite.lowering import Lowering, has_statistics, lowers
from padless.tflite.reducing import spread


@lowers("native_batch_norm")
def batch_norm(lowering: Lowering, op: Op) -> None:
    """One that stands before its convolution is a depthwise 1x1 convolution, with the clamp behind it merged in."""
    if len(lowering.shape(op.outputs[0])) not in (2, 3, 4):
        raise refuse(op, "is not over a feature map or rows")
    if not has_statistics(op):
        instance_norm(lowering, op)
        return
    gain, shift = affine(lowering, op)
    act, value = lowering.activation_behind(op)
    x = lowering.map_of(op, op.args[0])
    scale_and_shift(lowering, op, x, gain, shift, lowering.map_result(op, value), act)


def instance_norm(lowering: Lowering, op: Op) -> None:
    """A normalisation of each channel by its own mean and spread over everything else, then gain and shift."""
    x, gain, shift, *_, eps = op.args
    axes = [a for a in range(len(lowering.shape(x.value))) if a != 1]
    normalise(lowering, op, x, axes, [1], gain, shift, float(eps))


@lowers("native_layer_norm")
def layer_norm(lowering: Lowering, op: Op) -> None:
    """Over the last axes: (x - mean) * rsqrt(mean of squares + eps), then gain and shift."""
    x, normalised, gain, shift, eps = op.args
    rank = len(lowering.shape(x.value))
    axes = list(range(rank - len(normalised), rank))
    normalise(lowering, op, x, axes, axes, gain, shift, float(eps))


def normalise(
    lowering: Lowering, op: Op, x: Ref, axes: list[int], own: list[int], gain: Ref | None, shift: Ref | None, eps: float
) -> None:
    """(x - mean) * rsqrt(mean of squares + eps) over `axes`, then a gain and a shift along the axes `own`."""
    rank = len(lowering.shape(x.value))
    order = lowering.stored(op, x).layout.order() or usual_order(rank)
    places = [order.index(a) for a in axes]
    source = lowering.arranged(op, x, order)
    layout = Layout.of(lowering.shape(x.value), order)
    _, centred, variance = spread(lowering, op, source, places)
    small = lowering.builder.tensors[variance].shape
    safe, inverse = lowering.another(op, "plus eps", source, small), lowering.another(op, "rsqrt", source, small)
    lowering.builder.operator("ADD", [variance, lowering.constant(f"{op.module} eps", np.array([eps]))], [safe])
    lowering.builder.operator("RSQRT", [safe], [inverse])
    out = lowering.another(op, "normalised", source, layout.sizes)
    lowering.builder.operator("MUL", [centred, inverse], [out])
    out = _gain_and_shift(lowering, op, out, layout, own, gain, shift)
    lowering.at[op.outputs[0]] = Stored(out, layout)


def _gain_and_shift(
    lowering: Lowering, op: Op, x: int, layout: Layout, axes: list[int], gain: Ref | None, shift: Ref | None
) -> int:
    """Along one last stored axis of a map as a depthwise 1x1 convolution, else as MUL and ADD."""
    if gain is None and shift is None:
        return x
    sizes = tuple(layout.width(a) for a in axes)
    g = lowering.weight(gain) if gain is not None else np.ones(sizes)
    s = lowering.weight(shift) if shift is not None else np.zeros(sizes)
    if len(layout.sizes) == 4 and len(axes) == 1 and layout.axes[axes[0]] == (3,):
        out = lowering.another(op, "scaled", x, layout.sizes)
        scale_and_shift(lowering, op, x, g, s, out, "NONE")
        return out
    rank = len(layout.axes)
    order = layout.order() or usual_order(rank)
    for code, data in (("MUL", g), ("ADD", s)):
        spread_out = data.reshape([layout.width(a) if a in axes else 1 for a in range(rank)])
        constant = lowering.constant(f"{op.module} {code}", spread_out.transpose(order))
        out = lowering.another(op, code.lower(), x, layout.sizes)
        lowering.builder.operator(code, [x, constant], [out])
        x = out
    return x


@lowers("native_group_norm")
def group_norm(lowering: Lowering, op: Op) -> None:
    """Each group's channels and pixels are one row: MEAN and the rest over it, then gain and shift for each channel."""
    x, gain, shift, _, channels, _, groups, eps = op.args
    shape = lowering.shape(x.value)
    if len(shape) not in (3, 4):
        raise refuse(op, "is not over a map or a line")
    per, value = channels // groups, op.outputs[0]
    order = (0, *range(2, len(shape)), 1)
    source = lowering.arranged(op, x, order)
    sizes = (1, math.prod(shape[2:]), groups, per)
    rows = lowering.reshaped(op, source, sizes)
    _, centred, variance = spread(lowering, op, rows, [1, 3])
    safe, inverse = (lowering.another(op, name, source, (1, 1, groups, 1)) for name in ("plus eps", "rsqrt"))
    lowering.builder.operator("ADD", [variance, lowering.constant(f"{op.module} eps", np.array([float(eps)]))], [safe])
    lowering.builder.operator("RSQRT", [safe], [inverse])
    out = lowering.another(op, "normalised", source, sizes)
    lowering.builder.operator("MUL", [centred, inverse], [out])
    layout = Layout.of(shape, order)
    back = lowering.reshaped(op, out, layout.sizes)
    lowering.at[value] = Stored(_gain_and_shift(lowering, op, back, layout, [1], gain, shift), layout)
