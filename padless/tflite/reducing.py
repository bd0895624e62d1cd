"""The TFLite form of reductions and softmax."""

import math
from typing import Any

import numpy as np

from padless.graph.recording import Op, Ref
from padless.tflite.elementwise import apply, combine, root, times
from padless.tflite.forms import convolve
from padless.tflite.layout import Layout, usual_order
from padless.tflite.lowered import Stored, refuse
from padless.tflite.lowering import NO_ACTIVATION, Lowering, lowers
from padless.tflite.moving import sliced
from padless.tflite.pooling import global_average

FEW = 8  # indices of an axis that are rather added up one by one
CODES = {"mean": "MEAN", "sum": "SUM", "amax": "REDUCE_MAX", "amin": "REDUCE_MIN"}


@lowers(*CODES)
def reduction(lowering: Lowering, op: Op) -> None:
    """An average over rows and columns is a pool."""
    axes = _axes(lowering, op, op.args[1] if len(op.args) > 1 else None)
    name = op.name.removeprefix("aten.")
    if name == "mean" and len(lowering.shape(op.args[0].value)) == 4 and axes == [2, 3]:
        global_average(lowering, op)
        return
    order, source, places = _places(lowering, op, axes)
    few = len(axes) == 1 and lowering.shape(op.args[0].value)[axes[0]] <= FEW and name in ("sum", "mean")
    out = added(lowering, op, name, source, places[0]) if few else reduced(lowering, op, CODES[name], source, places)
    put_reduced(lowering, op, op.outputs[0], out, axes, order)


def _axes(lowering: Lowering, op: Op, given: Any) -> list[int]:
    """The recorded axes that are reduced, all where none are given."""
    rank = len(lowering.shape(op.args[0].value))
    if given is None or given == []:
        return list(range(rank))
    return sorted(a % rank for a in ([given] if isinstance(given, int) else given))


def _places(lowering: Lowering, op: Op, axes: list[int]) -> tuple[tuple[int, ...], int, list[int]]:
    """An order of the axes, a tensor in this order, and where in it the reduced axes lie."""
    x = op.args[0]
    order = lowering.stored(op, x).layout.order() or usual_order(len(lowering.shape(x.value)))
    return order, lowering.arranged(op, x, order), [order.index(a) for a in axes]


def put_reduced(lowering: Lowering, op: Op, value: int, out: int, axes: list[int], order: tuple[int, ...]) -> None:
    """`out`, whose reduced axes have size 1, as the value, which may have lost them."""
    shape = lowering.shape(value)
    if len(shape) == len(order):
        layout = Layout.of(shape, order)
    else:
        axes_left = [a for a in order if a not in axes]
        layout = Layout.of(shape, [sorted(axes_left).index(a) for a in axes_left])
        out = lowering.reshaped(op, out, layout.sizes)
    lowering.at[value] = Stored(out, layout)


@lowers("max", "min")
def extreme(lowering: Lowering, op: Op) -> None:
    """Over all, or along an axis, without the places where it lies; of two tensors it is MAXIMUM or MINIMUM."""
    name = op.name.removeprefix("aten.")
    if len(op.args) > 1 and isinstance(op.args[1], Ref):
        combine(lowering, op, {"max": "MAXIMUM", "min": "MINIMUM"}[name], *op.args[:2])
        return
    if len(op.outputs) > 1 and (op.outputs[1] in lowering.readers or op.outputs[1] in lowering.recording.outputs):
        raise refuse(op, "tells places, too")
    axes = _axes(lowering, op, op.args[1] if len(op.args) > 1 else None)
    order, source, places = _places(lowering, op, axes)
    out = reduced(lowering, op, {"max": "REDUCE_MAX", "min": "REDUCE_MIN"}[name], source, places)
    put_reduced(lowering, op, op.outputs[0], out, axes, order)


@lowers("linalg_vector_norm", "norm")
def vector_norm(lowering: Lowering, op: Op) -> None:
    """Of order 1, 2 or infinity: a sum of absolute values, the root of a sum of squares, the largest."""
    order_of_norm = float(op.args[1]) if len(op.args) > 1 and op.args[1] is not None else 2.0
    axes = _axes(lowering, op, op.args[2] if len(op.args) > 2 else None)
    order, source, places = _places(lowering, op, axes)
    if order_of_norm == 2:
        out = root(lowering, op, reduced(lowering, op, "SUM", apply(lowering, op, "MUL", source, source), places))
    elif order_of_norm in (1, math.inf):
        code = "SUM" if order_of_norm == 1 else "REDUCE_MAX"
        out = reduced(lowering, op, code, apply(lowering, op, "ABS", source), places)
    else:
        raise refuse(op, "has another order than 1, 2 or infinity")
    put_reduced(lowering, op, op.outputs[0], out, axes, order)


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


@lowers("var", "var_mean", "std", "std_mean")
def variance_alone(lowering: Lowering, op: Op) -> None:
    """The mean of squared distances from the mean, or its root; PyTorch's correction is a factor."""
    given = op.args[1] if len(op.args) > 1 and not isinstance(op.args[1], bool) else None
    axes = _axes(lowering, op, given)
    bools = [a for a in op.args[1:] if isinstance(a, bool)]  # the old form's `unbiased`
    correction = float(bools[0]) if bools else op.kwargs.get("correction", 1)
    correction = 1.0 if correction is None else float(correction)
    order, source, places = _places(lowering, op, axes)
    mean, _, variance = spread(lowering, op, source, places)
    count = math.prod(lowering.shape(op.args[0].value)[a] for a in axes)
    if correction:
        if count <= correction:
            raise refuse(op, "divides by zero")
        variance = times(lowering, op, variance, count / (count - correction))
    if "std" in op.name:
        variance = root(lowering, op, variance)
    put_reduced(lowering, op, op.outputs[0], variance, axes, order)
    if len(op.outputs) > 1:
        put_reduced(lowering, op, op.outputs[1], mean, axes, order)


def spread(lowering: Lowering, op: Op, source: int, places: list[int]) -> tuple[int, int, int]:
    """The mean along stored axes, the distances from it, and the mean of their squares."""
    shape = lowering.builder.tensors[source].shape
    mean = reduced(lowering, op, "MEAN", source, places)
    centred, squared = (lowering.another(op, name, source, shape) for name in ("centred", "squared"))
    lowering.builder.operator("SUB", [source, mean], [centred])
    lowering.builder.operator("MUL", [centred, centred], [squared])
    return mean, centred, reduced(lowering, op, "MEAN", squared, places)


@lowers("_softmax", "_safe_softmax", "softmax")
def softmax(lowering: Lowering, op: Op) -> None:
    _along_last(lowering, op, "SOFTMAX", zero_point=-128, scale=1 / 256, Beta=1.0)


@lowers("_log_softmax", "log_softmax")
def log_softmax(lowering: Lowering, op: Op) -> None:
    """Vela leaves it to the CPU. The runtime insists on this scale and zero point."""
    _along_last(lowering, op, "LOG_SOFTMAX", zero_point=127, scale=16 / 256)


def _along_last(lowering: Lowering, op: Op, name: str, *, zero_point: int, scale: float, **options: float) -> None:
    """An operator that works along the last stored axis."""
    x = op.args[0]
    rank = len(lowering.shape(x.value))
    axis = op.args[1] % rank
    order = (*(a for a in range(rank) if a != axis), axis)
    source = lowering.arranged(op, x, order)
    layout = Layout.of(lowering.shape(op.outputs[0]), order)
    label = f"{op.module or 'network'} {name.lower()}"
    out = lowering.activation(label, layout.sizes, zero_point=zero_point, scale=scale)
    lowering.builder.operator(name, [source], [out], **options)
    lowering.at[op.outputs[0]] = Stored(out, layout)
