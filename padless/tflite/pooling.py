"""The TFLite form of pooling."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from padless.graph.recording import Op
from padless.hardware.rounding import ceil_div
from padless.tflite.forms import Pair, pad, pool
from padless.tflite.layout import Layout
from padless.tflite.lowered import Floats, Stored, refuse
from padless.tflite.lowering import MAP, Lowering, lowers
from padless.tflite.moving import joined, same, sliced


def global_average(lowering: Lowering, op: Op) -> None:
    """Pooling over the whole map, as ExecuTorch has it for Ethos-U.

    Vela makes two operators of MEAN, which cost a tenth more of all EfficientNet-B0.
    """
    value = op.outputs[0]
    source = lowering.arranged(op, op.args[0], MAP)
    _, rows, columns, channels = lowering.builder.tensors[source].shape
    if len(lowering.shape(value)) == 4:
        out = lowering.result(op, value, like=source)
    else:
        layout = Layout((1, 1, 1, channels), ((0,), (3,)))
        out = lowering.result_as(op, value, layout, layout.sizes, like=source)
    pool(lowering.builder, "AVERAGE_POOL_2D", source, out, (rows, columns), (1, 1))


@lowers("_adaptive_avg_pool2d", "adaptive_max_pool2d")
def adaptive(lowering: Lowering, op: Op) -> None:
    """A pool where all windows have one size and distance, else one for each row and column of the result."""
    before, after = lowering.shape(op.args[0].value)[-2:], lowering.shape(op.outputs[0])[-2:]
    if len(lowering.shape(op.outputs[0])) != 4:
        raise refuse(op, "is not over a feature map")
    code = "MAX_POOL_2D" if "max" in op.name else "AVERAGE_POOL_2D"
    if before == after:
        same(lowering, op)
        return
    if after == (1, 1) and "avg" in op.name:
        global_average(lowering, op)
        return
    source = lowering.map_of(op, op.args[0])
    spans = [[(i * n // o, ceil_div((i + 1) * n, o)) for i in range(o)] for n, o in zip(before, after, strict=True)]
    (rows, down), (columns, right) = ((w[0][1] - w[0][0], w[1][0] - w[0][0] if len(w) > 1 else 1) for w in spans)
    if all(map(_even, spans)):
        out = lowering.map_result(op, op.outputs[0], like=source)
        pool(lowering.builder, code, source, out, (rows, columns), (down, right))
        return
    for axis, along in enumerate(spans, 1):
        source = _along(lowering, op, code, source, axis, along)
    lowering.at[op.outputs[0]] = Stored(source, Layout.of(lowering.shape(op.outputs[0]), MAP))


def _even(spans: Sequence[Pair]) -> bool:
    """Whether windows (start, end) have one size and one distance."""
    starts, ends = zip(*spans, strict=True)
    return len({e - s for s, e in spans}) == 1 and len({b - a for a, b in pairwise(starts)}) < 2 and ends[-1] > 0


def _along(lowering: Lowering, op: Op, code: str, source: int, axis: int, spans: Sequence[Pair]) -> int:
    """Windows of any sizes along one axis of a map, each cut out and pooled."""
    parts = []
    for start, end in spans:
        part = sliced(lowering, op, source, axis, start, end, 1)
        if end - start > 1:
            shape = tuple(1 if i == axis else n for i, n in enumerate(lowering.builder.tensors[part].shape))
            out = lowering.another(op, "window", source, shape)
            pool(lowering.builder, code, part, out, (end - start, 1) if axis == 1 else (1, end - start), (1, 1))
            part = out
        parts.append(part)
    return joined(lowering, op, parts, axis)


@lowers("avg_pool2d", "max_pool2d_with_indices")
def windows(lowering: Lowering, op: Op) -> None:
    """Windows that reach past the map: SAME where that means the same, else a map with a border, pooled without padding.

    The border of a maximum has the least value there is. An average over zeros that PyTorch does not count, or divides
    by another number, is corrected by a factor for each place.
    """
    x, window, *options = op.args
    if len(lowering.shape(op.outputs[0])) != 4:
        raise refuse(op, "is not over a feature map")
    maximum = "max" in op.name
    if maximum and len(options) > 2 and set(_pair(options[2])) != {1}:
        raise refuse(op, "is dilated")
    kernel = _pair(window)
    stride = _pair(options[0]) if options and options[0] else kernel
    padding = _pair(options[1]) if len(options) > 1 else (0, 0)
    source = lowering.map_of(op, x)
    before, after = lowering.shape(x.value)[2:], lowering.shape(op.outputs[0])[2:]
    axes = list(zip(before, after, kernel, stride, padding, strict=True))
    reach = [max(0, (o - 1) * s + k - n - p) for n, o, k, s, p in axes]
    code = "MAX_POOL_2D" if maximum else "AVERAGE_POOL_2D"
    counted = len(options) < 4 or bool(options[3])
    divisor = options[4] if not maximum and len(options) > 4 else None
    spills = any((*padding, *reach))
    if spills and _is_same(axes) and (maximum or not (counted or divisor)):
        out = lowering.map_result(op, op.outputs[0], like=source)
        pool(lowering.builder, code, source, out, kernel, stride, "SAME")
        return
    rows, columns = zip(padding, reach, strict=True)
    source = pad(lowering.builder, source, rows, columns, lowering.name(f"{op.module} pad"), lowest=maximum)
    factors = np.ones((1, 1)) if maximum else _corrections(axes, counted, divisor)
    if (factors == 1).all():
        pool(lowering.builder, code, source, lowering.map_result(op, op.outputs[0], like=source), kernel, stride)
        return
    shape = (lowering.shape(x.value)[0], *after, lowering.shape(x.value)[1])
    average = lowering.another(op, "windows", source, shape)
    pool(lowering.builder, code, source, average, kernel, stride)
    factor = factors[:1, :1] if (factors == factors[0, 0]).all() else factors
    constant = lowering.constant(f"{op.module} shares", factor[None, :, :, None])
    lowering.builder.operator("MUL", [average, constant], [lowering.map_result(op, op.outputs[0])])


def _is_same(axes: Sequence[tuple[int, int, int, int, int]]) -> bool:
    """Whether TFLite's SAME has PyTorch's windows; `axes` are (size, size of the result, window, stride, padding)."""
    return all(o == ceil_div(n, s) and max(0, (o - 1) * s + k - n) // 2 == p for n, o, k, s, p in axes)


def _corrections(axes: Sequence[tuple[int, int, int, int, int]], counted: bool, divisor: int | None) -> Floats:
    """What the average of whole windows, zeros and all, is multiplied by: [rows, columns]."""
    counts = []
    for n, o, k, s, p in axes:
        starts = np.arange(o) * s - p
        ends = np.minimum(starts + k, n + p)  # beyond the padding nothing is ever counted
        counts.append(ends - starts if counted else np.minimum(ends, n) - np.maximum(starts, 0))
    size = axes[0][2] * axes[1][2]
    return size / (np.full((1, 1), divisor) if divisor else np.outer(*counts)).astype(float)


def _pair(size: Any) -> Pair:
    sizes = [size] if isinstance(size, int) else list(size)
    return sizes[0], sizes[-1]
