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
def reduction(net: Lowering, op: Op) -> None:
    """An average over rows and columns is a pool."""
    x, name = op.args[0], op.name.removeprefix("aten.")
    rank = len(net.shape(x.value))
    axes = sorted(a % rank for a in (op.args[1] if len(op.args) > 1 and op.args[1] else range(rank)))
    if name == "mean" and rank == 4 and axes == [2, 3]:
        global_average(net, op)
        return
    order = net.stored(op, x).layout.order() or usual_order(rank)
    source, places = net.arranged(op, x, order), [order.index(a) for a in axes]
    few = len(axes) == 1 and net.shape(x.value)[axes[0]] <= FEW and name in ("sum", "mean")
    out = added(net, op, name, source, places[0]) if few else reduced(net, op, CODES[name], source, places)
    shape = net.shape(op.outputs[0])
    if len(shape) == rank:
        layout = Layout.of(shape, order)
    else:
        rest = [a for a in order if a not in axes]
        layout = Layout.of(shape, [sorted(rest).index(a) for a in rest])
        out = net.reshaped(op, out, layout.sizes)
    net.at[op.outputs[0]] = Stored(out, layout)


def added(net: Lowering, op: Op, name: str, tensor: int, axis: int) -> int:
    """A sum over a short axis: its slices, added up."""
    size = net.builder.tensors[tensor].shape[axis]
    parts = [sliced(net, op, tensor, axis, i, i + 1, 1) for i in range(size)]
    total = parts[0]
    for part in parts[1:]:
        out = net.another(op, "sum", tensor, net.builder.tensors[part].shape)
        net.builder.operator("ADD", [total, part], [out])
        total = out
    if name == "mean":
        out = net.another(op, "mean", tensor, net.builder.tensors[total].shape)
        net.builder.operator("MUL", [total, net.constant(f"{op.module} share", np.array([1 / size]))], [out])
        total = out
    return total


def reduced(net: Lowering, op: Op, code: str, tensor: int, axes: list[int]) -> int:
    """A reduction that keeps its axes, with size 1.

    Vela leaves a MEAN over channels to the CPU: it becomes a 1x1 convolution to one channel.
    """
    axes = sorted(axes)
    shape = net.builder.tensors[tensor].shape
    if code == "MEAN" and axes == [len(shape) - 1]:
        rows = net.reshaped(op, tensor, (1, 1, math.prod(shape[:-1]), shape[-1]))
        scale = net.builder.tensors[rows].scale[0]
        average = np.full((1, 1, 1, shape[-1]), 1 / shape[-1])
        filters = net.filters(f"{op.module or 'network'} mean", average, np.zeros(1), 0, scale)
        out = net.another(op, "mean", tensor, (1, 1, math.prod(shape[:-1]), 1))
        convolve(net.builder, [rows, *filters], out, (1, 1), (1, 1), NO_ACTIVATION, False)
        return net.reshaped(op, out, (*shape[:-1], 1))
    if code == "MEAN" and len(shape) - 1 in axes:
        return reduced(net, op, code, reduced(net, op, code, tensor, [len(shape) - 1]), axes[:-1])
    out = net.another(op, code.lower(), tensor, tuple(1 if i in axes else n for i, n in enumerate(shape)))
    net.builder.operator(code, [tensor, net.integers("axes", axes)], [out], KeepDims=True)
    return out


@lowers("native_layer_norm")
def layer_norm(net: Lowering, op: Op) -> None:
    """Over the last axes: (x - mean) * rsqrt(mean of squares + eps), then gain and shift."""
    x, normalised, gain, shift, eps = op.args
    rank = len(net.shape(x.value))
    axes = list(range(rank - len(normalised), rank))
    normalise(net, op, x, axes, gain, shift, float(eps))


@lowers("var")
def variance_alone(net: Lowering, op: Op) -> None:
    """The mean of squared distances from the mean; PyTorch's correction is a factor."""
    x = op.args[0]
    shape = net.shape(x.value)
    axes = sorted(a % len(shape) for a in (op.args[1] if len(op.args) > 1 and op.args[1] else range(len(shape))))
    if len(net.shape(op.outputs[0])) != len(shape):
        raise refuse(op, "drops axes")
    correction = op.kwargs.get("correction", 1)
    order = net.stored(op, x).layout.order() or usual_order(len(shape))
    _, variance = spread(net, op, net.arranged(op, x, order), [order.index(a) for a in axes])
    count = math.prod(shape[a] for a in axes)
    if correction:
        out = net.another(op, "corrected", variance, net.builder.tensors[variance].shape)
        factor = net.constant(f"{op.module} correction", np.array([count / (count - float(correction))]))
        net.builder.operator("MUL", [variance, factor], [out])
        variance = out
    net.at[op.outputs[0]] = Stored(variance, Layout.of(net.shape(op.outputs[0]), order))


def spread(net: Lowering, op: Op, source: int, places: list[int]) -> tuple[int, int]:
    """The distances from the mean along stored axes, and the mean of their squares."""
    shape = net.builder.tensors[source].shape
    mean = reduced(net, op, "MEAN", source, places)
    centred, squared = (net.another(op, name, source, shape) for name in ("centred", "squared"))
    net.builder.operator("SUB", [source, mean], [centred])
    net.builder.operator("MUL", [centred, centred], [squared])
    return centred, reduced(net, op, "MEAN", squared, places)


def normalise(net: Lowering, op: Op, x: Ref, axes: list[int], gain: Ref | None, shift: Ref | None, eps: float) -> None:
    rank = len(net.shape(x.value))
    order = net.stored(op, x).layout.order() or usual_order(rank)
    places = [order.index(a) for a in axes]
    source = net.arranged(op, x, order)
    layout = Layout.of(net.shape(x.value), order)
    centred, variance = spread(net, op, source, places)
    small = net.builder.tensors[variance].shape
    safe, inverse = net.another(op, "plus eps", source, small), net.another(op, "rsqrt", source, small)
    net.builder.operator("ADD", [variance, net.constant(f"{op.module} eps", np.array([eps]))], [safe])
    net.builder.operator("RSQRT", [safe], [inverse])
    out = net.another(op, "normalised", source, layout.sizes)
    net.builder.operator("MUL", [centred, inverse], [out])
    out = _gain_and_shift(net, op, out, layout, axes, gain, shift)
    net.at[op.outputs[0]] = Stored(out, layout)


def _gain_and_shift(
    net: Lowering, op: Op, x: int, layout: Layout, axes: list[int], gain: Ref | None, shift: Ref | None
) -> int:
    """Along one last stored axis of a map as a depthwise 1x1 convolution, else as MUL and ADD."""
    if gain is None and shift is None:
        return x
    sizes = tuple(layout.width(a) for a in axes)
    g = net.weight(gain) if gain is not None else np.ones(sizes)
    s = net.weight(shift) if shift is not None else np.zeros(sizes)
    if len(layout.sizes) == 4 and len(axes) == 1 and layout.axes[axes[0]] == (3,):
        out = net.another(op, "scaled", x, layout.sizes)
        scale_and_shift(net, op, x, g, s, out, "NONE")
        return out
    rank = len(layout.axes)
    order = layout.order() or usual_order(rank)
    for code, data in (("MUL", g), ("ADD", s)):
        constant = net.constant(
            f"{op.module} {code}", data.reshape((1,) * (rank - data.ndim) + data.shape).transpose(order)
        )
        out = net.another(op, code.lower(), x, layout.sizes)
        net.builder.operator(code, [x, constant], [out])
        x = out
    return x


@lowers("native_group_norm")
def group_norm(net: Lowering, op: Op) -> None:
    """Each group's channels and pixels are one row: MEAN and the rest over it, then gain and shift for each channel."""
    x, gain, shift, _, channels, _, groups, eps = op.args
    shape = net.shape(x.value)
    if len(shape) != 4:
        raise refuse(op, "is not over a feature map")
    per, value = channels // groups, op.outputs[0]
    source = net.arranged(op, x, MAP)
    sizes = (1, shape[2] * shape[3], groups, per)
    rows = net.reshaped(op, source, sizes)
    centred, variance = spread(net, op, rows, [1, 3])
    safe, inverse = (net.another(op, name, source, (1, 1, groups, 1)) for name in ("plus eps", "rsqrt"))
    net.builder.operator("ADD", [variance, net.constant(f"{op.module} eps", np.array([float(eps)]))], [safe])
    net.builder.operator("RSQRT", [safe], [inverse])
    out = net.another(op, "normalised", source, sizes)
    net.builder.operator("MUL", [centred, inverse], [out])
    layout = Layout.of(shape, MAP)
    back = net.reshaped(op, out, layout.sizes)
    net.at[value] = Stored(_gain_and_shift(net, op, back, layout, [1], gain, shift), layout)


@lowers("_softmax", "_safe_softmax", "softmax")
def softmax(net: Lowering, op: Op) -> None:
    """Along the last stored axis."""
    x = op.args[0]
    rank = len(net.shape(x.value))
    axis = op.args[1] % rank
    order = (*(a for a in range(rank) if a != axis), axis)
    source = net.arranged(op, x, order)
    layout = Layout.of(net.shape(op.outputs[0]), order)
    out = net.activation(f"{op.module or 'network'} softmax", layout.sizes, zero_point=-128, scale=1 / 256)
    net.builder.operator("SOFTMAX", [source], [out], Beta=1.0)
    net.at[op.outputs[0]] = Stored(out, layout)


@lowers("bmm")
def product(net: Lowering, op: Op) -> None:
    """BATCH_MATMUL of two activations."""
    operands = [net.arranged(op, ref, (0, 1, 2)) for ref in op.args[:2]]
    net.builder.operator("BATCH_MATMUL", operands, [net.result(op, op.outputs[0])])
