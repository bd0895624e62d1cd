"""A small interpreter of TFLite files, in floating point: constants as they are stored, activations not quantised.

It knows nothing of how the files are written, so that what it computes says whether they mean the network.
"""

from importlib import import_module

import numpy as np
import torch
from torch.nn import functional as F

DTYPES = {9: np.int8, 2: np.int32}


def run(tflite: bytes, *inputs: torch.Tensor) -> list[torch.Tensor]:
    """The outputs for inputs in the file's own order of axes."""
    from ethosu.vela.tflite.BuiltinOperator import BuiltinOperator
    from ethosu.vela.tflite.Model import Model

    model = Model.GetRootAs(tflite, 0)
    graph = model.Subgraphs(0)
    names = {code: name for name, code in vars(BuiltinOperator).items() if not name.startswith("_")}
    values = [_constant(model, graph.Tensors(i)) for i in range(graph.TensorsLength())]
    for index, given in zip(graph.InputsAsNumpy(), inputs, strict=True):
        values[index] = given.double()
    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        name = names[model.OperatorCodes(op.OpcodeIndex()).BuiltinCode()]
        args = [values[j] for j in op.InputsAsNumpy()]
        out = OPERATORS[name](_Options(op), *args)
        shape = tuple(graph.Tensors(op.Outputs(0)).ShapeAsNumpy())
        assert tuple(out.shape) == shape, f"{name}: {tuple(out.shape)}, the file says {shape}"
        values[op.Outputs(0)] = out
    return [values[j] for j in graph.OutputsAsNumpy()]


def _constant(model, tensor):
    data = model.Buffers(tensor.Buffer()).DataAsNumpy()
    if isinstance(data, int):
        return None
    stored = data.view(DTYPES[tensor.Type()]).reshape(tensor.ShapeAsNumpy()).astype(np.float64)
    q = tensor.Quantization()
    if q is None or not q.ScaleLength():
        return torch.tensor(stored)
    scale, zero = q.ScaleAsNumpy().astype(np.float64), q.ZeroPointAsNumpy()
    zero = zero if isinstance(zero, np.ndarray) else np.zeros(1)
    if len(scale) > 1:
        shape = [1] * stored.ndim
        shape[q.QuantizedDimension() if stored.ndim > 1 else 0] = -1
        return torch.tensor(stored * scale.reshape(shape))
    return torch.tensor((stored - zero[0]) * scale[0])


class _Options:
    """The options of an operator, read by their names in the schema."""

    def __init__(self, op):
        from ethosu.vela.tflite.BuiltinOptions import BuiltinOptions

        kinds = {code: name for name, code in vars(BuiltinOptions).items() if not name.startswith("_")}
        kind = kinds[op.BuiltinOptionsType()]
        self.table = None
        if kind != "NONE":
            self.table = getattr(import_module(f"ethosu.vela.tflite.{kind}"), kind)()
            self.table.Init(op.BuiltinOptions().Bytes, op.BuiltinOptions().Pos)

    def __getattr__(self, name):
        return getattr(self.table, name)()


def activated(o, y):
    return {0: lambda y: y, 1: torch.relu, 3: lambda y: y.clamp(0, 6)}[o.FusedActivationFunction](y)


def around(o, x, kernel, dilation=(1, 1), value=0.0):
    """The map with the padding of SAME."""
    if o.Padding == 1:
        return x
    for axis, k, s, d in ((1, kernel[0], o.StrideH, dilation[0]), (2, kernel[1], o.StrideW, dilation[1])):
        n = x.shape[axis]
        total = max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
        pads = [0, 0, 0, 0, 0, 0]
        pads[2 * (3 - axis)], pads[2 * (3 - axis) + 1] = total // 2, total - total // 2
        x = F.pad(x, pads, value=value)
    return x


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def conv(o, x, w, b):
    dilation = (o.DilationHFactor, o.DilationWFactor)
    x = around(o, x, w.shape[1:3], dilation)
    groups = x.shape[3] // w.shape[3]
    y = F.conv2d(nchw(x), w.permute(0, 3, 1, 2), b, (o.StrideH, o.StrideW), 0, dilation, groups)
    return activated(o, nhwc(y))


def depthwise(o, x, w, b):
    dilation = (o.DilationHFactor, o.DilationWFactor)
    x = around(o, x, w.shape[1:3], dilation)
    y = F.conv2d(nchw(x), w.permute(3, 0, 1, 2), b, (o.StrideH, o.StrideW), 0, dilation, x.shape[3])
    return activated(o, nhwc(y))


def transpose_conv(o, size, w, x, b):
    y = nhwc(F.conv_transpose2d(nchw(x), w.permute(3, 0, 1, 2), b, (o.StrideH, o.StrideW)))
    rows, columns = int(size[1]), int(size[2])
    top, left = (y.shape[1] - rows) // 2, (y.shape[2] - columns) // 2
    return y[:, top : top + rows, left : left + columns]


def average(o, x):
    kernel = (o.FilterHeight, o.FilterWidth)
    ones = around(o, torch.ones_like(x), kernel)
    total, count = (
        F.avg_pool2d(nchw(around(o, v, kernel)), kernel, (o.StrideH, o.StrideW)) for v in (x, torch.ones_like(x))
    )
    return nhwc(total / count) if ones.shape != x.shape else nhwc(total)


def maximum(o, x):
    kernel = (o.FilterHeight, o.FilterWidth)
    return nhwc(F.max_pool2d(nchw(around(o, x, kernel, value=-1e30)), kernel, (o.StrideH, o.StrideW)))


def pad(o, x, widths, value=None):
    flat = [int(n) for pair in widths.flip(0).tolist() for n in pair]
    return F.pad(x, flat, value=-1e30 if value is not None and value < -6 else float(value or 0))


def whole(t):
    return [int(n) for n in t.reshape(-1).tolist()]


def strided_slice(o, x, begin, end, steps):
    return x[tuple(slice(b, e, s) for b, e, s in zip(whole(begin), whole(end), whole(steps), strict=True))]


def resize(o, x, size, mode):
    if mode == "nearest" and o.HalfPixelCenters:
        mode = "nearest-exact"
    corners = {} if "nearest" in mode else {"align_corners": bool(o.AlignCorners)}
    return nhwc(F.interpolate(nchw(x), whole(size), mode=mode, **corners))


def reduce(function):
    return lambda o, x, axes: function(x, dim=whole(axes), keepdim=bool(o.KeepDims))


def mirror(o, x, widths):
    (_, _), (a, b), (c, d), (_, _) = [[int(n) for n in row] for row in widths.tolist()]
    return nhwc(F.pad(nchw(x), (c, d, a, b), mode="reflect"))


OPERATORS = {
    "ABS": lambda o, x: x.abs(),
    "ADD": lambda o, a, b: activated(o, a + b),
    "AVERAGE_POOL_2D": average,
    "BATCH_MATMUL": lambda o, a, b: a @ b,
    "CONCATENATION": lambda o, *parts: torch.cat(parts, o.Axis),
    "CONV_2D": conv,
    "DEPTHWISE_CONV_2D": depthwise,
    "ELU": lambda o, x: F.elu(x),
    "EXP": lambda o, x: x.exp(),
    "FULLY_CONNECTED": lambda o, x, w, b: activated(o, F.linear(x, w, b)),
    "GATHER": lambda o, x, places: x.index_select(o.Axis, places.long()),
    "GELU": lambda o, x: F.gelu(x, approximate="tanh" if o.Approximate else "none"),
    "HARD_SWISH": lambda o, x: F.hardswish(x),
    "LEAKY_RELU": lambda o, x: F.leaky_relu(x, o.Alpha),
    "LOG": lambda o, x: x.log(),
    "LOGISTIC": lambda o, x: x.sigmoid(),
    "LOG_SOFTMAX": lambda o, x: x.log_softmax(-1),
    "MAXIMUM": lambda o, a, b: torch.maximum(a, b),
    "MAX_POOL_2D": maximum,
    "MEAN": reduce(torch.mean),
    "MINIMUM": lambda o, a, b: torch.minimum(a, b),
    "MIRROR_PAD": mirror,
    "MUL": lambda o, a, b: activated(o, a * b),
    "NEG": lambda o, x: -x,
    "PAD": pad,
    "PADV2": pad,
    "PRELU": lambda o, x, slope: torch.where(x > 0, x, x * slope),
    "REDUCE_MAX": reduce(torch.amax),
    "REDUCE_MIN": reduce(torch.amin),
    "RELU": lambda o, x: x.relu(),
    "RELU6": lambda o, x: x.clamp(0, 6),
    "RESHAPE": lambda o, x, shape: x.reshape(whole(shape)),
    "RESIZE_BILINEAR": lambda o, x, size: resize(o, x, size, "bilinear"),
    "RESIZE_NEAREST_NEIGHBOR": lambda o, x, size: resize(o, x, size, "nearest"),
    "RSQRT": lambda o, x: x.rsqrt(),
    "SOFTMAX": lambda o, x: x.softmax(-1),
    "STRIDED_SLICE": strided_slice,
    "SUB": lambda o, a, b: activated(o, a - b),
    "SUM": reduce(torch.sum),
    "TANH": lambda o, x: x.tanh(),
    "TILE": lambda o, x, times: x.repeat(whole(times)),
    "TRANSPOSE": lambda o, x, order: x.permute(whole(order)),
    "TRANSPOSE_CONV": transpose_conv,
}
