"""The TFLite form of reductions, normalisation at run time, softmax and products of activations."""

import math

import numpy as np

from padless.graph.record import Op, Ref
from padless.tflite.forms import convolve
from padless.tflite.layers import scale_and_shift
from padless.tflite.layout import Layout, usual_order
from padless.tflite.lowering import MAP, NO_ACTIVATION, Lowering, Stored, lowers, refuse
from padless.tflite.moving import sliced
from padless.tflite.pooling import global_average

FEW = 8  # indices of an axis that are rather added up one by one
CODES = {"mean": "MEAN", "sum": "SUM", "amax": "REDUCE_MAX", "amin": "REDUCE_MIN"}


@lowers(*CODES)
def reduction(lowering: Lowering, op: Op) -> None:
    """An average over rows and columns is a pool."""
    x, name = op.args[0], op.name.removeprefix("aten.")
    rank = len(lowering.shape(x.value))
    axes = sorted(a % rank for a in (op.args[1] if len(op.args) > 1 and op.args[1] else range(rank)))
    if name == "mean" and rank == 4 and axes == [2, 3]:
        global_average(lowering, op)
        return
    order = lowering.stored(op, x).layout.order() or usual_order(rank)
    source, places = lowering.arranged(op, x, order), [order.index(a) for a in axes]
    few = len(axes) == 1 and lowering.shape(x.value)[axes[0]] <= FEW and name in ("sum", "mean")
    out = added(lowering, op, name, source, places[0]) if few else reduced(lowering, op, CODES[name], source, places)
    shape = lowering.shape(op.outputs[0])
    if len(shape) == rank:
        layout = Layout.of(shape, order)
    else:
        axes_left = [a for a in order if a not in axes]
        layout = Layout.of(shape, [sorted(axes_left).index(a) for a in axes_left])
        out = lowering.reshaped(op, out, layout.sizes)
    lowering.at[op.outputs[0]] = Stored(out, layout)


def added(lowering: Lowering, op: Op, name: str, tensor: int, axis: int) -> int:
    """A sum over a short axis: its slices, added up."""
    size = lowering.builder.tensors[tensor].shape[axis]
    parts = [sliced(lowering, op, tensor, axis, i, i + 1, 1) for i in range(size)]
    total = parts[0]
    for part in parts[1:]:
        out = lowering.another(op, "sum", tensor, lowering.builder.tensors[part].shape)
        lowering.builder.operator("ADD", [total, part], [out])
        total = out
    if name == "mean":
        out = lowering.another(op, "mean", tensor, lowering.builder.tensors[total].shape)
        lowering.builder.operator("MUL", [total, lowering.constant(f"{op.module} share", np.array([1 / size]))], [out])
        total = out
    return total


def reduced(lowering: Lowering, op: Op, code: str, tensor: int, axes: list[int]) -> int:
    """A reduction that keeps its axes, with size 1.

    Vela leaves a MEAN over channels to the CPU: it becomes a 1x1 convolution to one channel.
    """
    axes = sorted(axes)
    shape = lowering.builder.tensors[tensor].shape
    if code == "MEAN" and axes == [len(shape) - 1]:
        rows = lowering.reshaped(op, tensor, (1, 1, math.prod(shape[:-1]), shape[-1]))
        scale = lowering.builder.tensors[rows].scale[0]
        average = np.full((1, 1, 1, shape[-1]), 1 / shape[-1])
        filters = lowering.filters(f"{op.module or 'network'} mean", average, np.zeros(1), 0, scale)
        out = lowering.another(op, "mean", tensor, (1, 1, math.prod(shape[:-1]), 1))
        convolve(lowering.builder, [rows, *filters], out, (1, 1), (1, 1), NO_ACTIVATION, False)
        return lowering.reshaped(op, out, (*shape[:-1], 1))
    if code == "MEAN" and len(shape) - 1 in axes:
        return reduced(lowering, op, code, reduced(lowering, op, code, tensor, [len(shape) - 1]), axes[:-1])
    out = lowering.another(op, code.lower(), tensor, tuple(1 if i in axes else n for i, n in enumerate(shape)))
    lowering.builder.operator(code, [tensor, lowering.integers("axes", axes)], [out], KeepDims=True)
    return out


@lowers("native_layer_norm")
def layer_norm(lowering: Lowering, op: Op) -> None:
    """Over the last axes: (x - mean) * rsqrt(mean of squares + eps), then gain and shift."""
    x, normalised, gain, shift, eps = op.args
    rank = len(lowering.shape(x.value))
    axes = list(range(rank - len(normalised), rank))
    normalise(lowering, op, x, axes, gain, shift, float(eps))


@lowers("var")
def variance_alone(lowering: Lowering, op: Op) -> None:
    """The mean of squared distances from the mean; PyTorch's correction is a factor."""
    x = op.args[0]
    shape = lowering.shape(x.value)
    axes = sorted(a % len(shape) for a in (op.args[1] if len(op.args) > 1 and op.args[1] else range(len(shape))))
    if len(lowering.shape(op.outputs[0])) != len(shape):
        raise refuse(op, "drops axes")
    correction = op.kwargs.get("correction", 1)
    order = lowering.stored(op, x).layout.order() or usual_order(len(shape))
    _, variance = spread(lowering, op, lowering.arranged(op, x, order), [order.index(a) for a in axes])
    count = math.prod(shape[a] for a in axes)
    if correction:
        out = lowering.another(op, "corrected", variance, lowering.builder.tensors[variance].shape)
        factor = lowering.constant(f"{op.module} correction", np.array([count / (count - float(correction))]))
        lowering.builder.operator("MUL", [variance, factor], [out])
        variance = out
    lowering.at[op.outputs[0]] = Stored(variance, Layout.of(lowering.shape(op.outputs[0]), order))


def spread(lowering: Lowering, op: Op, source: int, places: list[int]) -> tuple[int, int]:
    """The distances from the mean along stored axes, and the mean of their squares."""
    shape = lowering.builder.tensors[source].shape
    mean = reduced(lowering, op, "MEAN", source, places)
    centred, squared = (lowering.another(op, name, source, shape) for name in ("centred", "squared"))
    lowering.builder.operator("SUB", [source, mean], [centred])
    lowering.builder.operator("MUL", [centred, centred], [squared])
    return centred, reduced(lowering, op, "MEAN", squared, places)


def normalise(
    lowering: Lowering, op: Op, x: Ref, axes: list[int], gain: Ref | None, shift: Ref | None, eps: float
) -> None:
    rank = len(lowering.shape(x.value))
    order = lowering.stored(op, x).layout.order() or usual_order(rank)
    places = [order.index(a) for a in axes]
    source = lowering.arranged(op, x, order)
    layout = Layout.of(lowering.shape(x.value), order)
    centred, variance = spread(lowering, op, source, places)
    small = lowering.builder.tensors[variance].shape
    safe, inverse = lowering.another(op, "plus eps", source, small), lowering.another(op, "rsqrt", source, small)
    lowering.builder.operator("ADD", [variance, lowering.constant(f"{op.module} eps", np.array([eps]))], [safe])
    lowering.builder.operator("RSQRT", [safe], [inverse])
    out = lowering.another(op, "normalised", source, layout.sizes)
    lowering.builder.operator("MUL", [centred, inverse], [out])
    out = _gain_and_shift(lowering, op, out, layout, axes, gain, shift)
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
        constant = lowering.constant(
            f"{op.module} {code}", data.reshape((1,) * (rank - data.ndim) + data.shape).transpose(order)
        )
        out = lowering.another(op, code.lower(), x, layout.sizes)
        lowering.builder.operator(code, [x, constant], [out])
        x = out
    return x


@lowers("native_group_norm")
def group_norm(lowering: Lowering, op: Op) -> None:
    """Each group's channels and pixels are one row: MEAN and the rest over it, then gain and shift for each channel."""
    x, gain, shift, _, channels, _, groups, eps = op.args
    shape = lowering.shape(x.value)
    if len(shape) != 4:
        raise refuse(op, "is not over a feature map")
    per, value = channels // groups, op.outputs[0]
    source = lowering.arranged(op, x, MAP)
    sizes = (1, shape[2] * shape[3], groups, per)
    rows = lowering.reshaped(op, source, sizes)
    centred, variance = spread(lowering, op, rows, [1, 3])
    safe, inverse = (lowering.another(op, name, source, (1, 1, groups, 1)) for name in ("plus eps", "rsqrt"))
    lowering.builder.operator("ADD", [variance, lowering.constant(f"{op.module} eps", np.array([float(eps)]))], [safe])
    lowering.builder.operator("RSQRT", [safe], [inverse])
    out = lowering.another(op, "normalised", source, sizes)
    lowering.builder.operator("MUL", [centred, inverse], [out])
    layout = Layout.of(shape, MAP)
    back = lowering.reshaped(op, out, layout.sizes)
    lowering.at[value] = Stored(_gain_and_shift(lowering, op, back, layout, [1], gain, shift), layout)


@lowers("_softmax", "_safe_softmax", "softmax")
def softmax(lowering: Lowering, op: Op) -> None:
    """Along the last stored axis."""
    x = op.args[0]
    rank = len(lowering.shape(x.value))
    axis = op.args[1] % rank
    order = (*(a for a in range(rank) if a != axis), axis)
    source = lowering.arranged(op, x, order)
    layout = Layout.of(lowering.shape(op.outputs[0]), order)
    out = lowering.activation(f"{op.module or 'network'} softmax", layout.sizes, zero_point=-128, scale=1 / 256)
    lowering.builder.operator("SOFTMAX", [source], [out], Beta=1.0)
    lowering.at[op.outputs[0]] = Stored(out, layout)


@lowers("bmm")
def product(lowering: Lowering, op: Op) -> None:
    """BATCH_MATMUL of two activations."""
    operands = [lowering.arranged(op, ref, (0, 1, 2)) for ref in op.args[:2]]
    lowering.builder.operator("BATCH_MATMUL", operands, [lowering.result(op, op.outputs[0])])
