"""The TFLite form of pooling."""

from typing import Any

from padless.graph.record import Op
from padless.hardware.rounding import ceil_div
from padless.tflite.forms import Pair, pad, pool
from padless.tflite.layout import Layout
from padless.tflite.lowering import MAP, Lowering, lowers, refuse
from padless.tflite.moving import same


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


@lowers("_adaptive_avg_pool2d")
def adaptive_average(lowering: Lowering, op: Op) -> None:
    """Windows of one size, next to each other."""
    (*_, rows, columns), (*_, r, c) = lowering.shape(op.args[0].value), lowering.shape(op.outputs[0])
    if (rows, columns) == (r, c):
        same(lowering, op)
    elif (r, c) == (1, 1):
        global_average(lowering, op)
    elif rows % r == columns % c == 0:
        size = (rows // r, columns // c)
        source = lowering.arranged(op, op.args[0], MAP)
        pool(lowering.builder, "AVERAGE_POOL_2D", source, lowering.result(op, op.outputs[0], like=source), size, size)
    else:
        raise refuse(op, "has windows of different sizes")


@lowers("adaptive_max_pool2d")
def adaptive_maximum(lowering: Lowering, op: Op) -> None:
    (*_, rows, columns), (*_, r, c) = lowering.shape(op.args[0].value), lowering.shape(op.outputs[0])
    if rows % r or columns % c:
        raise refuse(op, "has windows of different sizes")
    size = (rows // r, columns // c)
    source = lowering.arranged(op, op.args[0], MAP)
    pool(lowering.builder, "MAX_POOL_2D", source, lowering.result(op, op.outputs[0], like=source), size, size)


@lowers("avg_pool2d", "max_pool2d_with_indices")
def windows(lowering: Lowering, op: Op) -> None:
    """Windows that reach past the map leave out what is beyond, or average zeros where PyTorch counts its padding.

    SAME stands for every padding with as many windows. For an even map and a stride of 2 it begins a pixel later than
    PyTorch does: the same work, whereas TFLite's only exact form copies the map into a padded one, which a compiler
    that is given PyTorch's padding (as ExecuTorch gives it) does not do.
    """
    x, window, *options = op.args
    if len(lowering.shape(op.outputs[0])) != 4:
        raise refuse(op, "is not over a feature map")
    maximum = "max" in op.name
    if maximum and len(options) > 2 and set(_pair(options[2])) != {1}:
        raise refuse(op, "is dilated")
    if not maximum and len(options) > 4 and options[4] is not None:
        raise refuse(op, "has a divisor of its own")
    kernel = _pair(window)
    stride = _pair(options[0]) if options and options[0] else kernel
    padding = _pair(options[1]) if len(options) > 1 else (0, 0)
    source = lowering.arranged(op, x, MAP)
    before, after = lowering.shape(x.value)[2:], lowering.shape(op.outputs[0])[2:]
    reach = [(o - 1) * s + k - n - p for o, s, k, n, p in zip(after, stride, kernel, before, padding, strict=True)]
    rows, columns = ((p, max(0, r)) for p, r in zip(padding, reach, strict=True))
    zeros_count = not maximum and any(padding) and (len(options) < 4 or options[3])
    as_many = all(o == ceil_div(n, s) for o, n, s in zip(after, before, stride, strict=True))
    mode = "SAME" if as_many and not zeros_count and any((*rows, *columns)) else "VALID"
    if mode == "VALID":
        source = pad(lowering.builder, source, rows, columns, lowering.name(f"{op.module} pad"), lowest=maximum)
    out = lowering.result(op, op.outputs[0], like=source)
    pool(lowering.builder, "MAX_POOL_2D" if maximum else "AVERAGE_POOL_2D", source, out, kernel, stride, mode)


def _pair(size: Any) -> Pair:
    sizes = [size] if isinstance(size, int) else list(size)
    return sizes[0], sizes[-1]
