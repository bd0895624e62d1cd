"""The TFLite form of each ATen operation that convolutional networks use."""

from typing import Any

import numpy as np

from padless.cost.lower.state import (
    BOTTOM,
    NO_ACTIVATION,
    Floats,
    Lowering,
    Unlowered,
    clamp,
    convolve,
    lowers,
    nhwc,
    pad,
)
from padless.graph import Layer
from padless.graph.record import Op, Ref


def refuse(op: Op, why: str) -> Unlowered:
    return Unlowered(f"{op.name} {why}{f' (module {op.module})' if op.module else ''}")


@lowers("convolution")
def convolution(net: Lowering, op: Op) -> None:
    """With the batch norm and the clamp behind it merged in."""
    x, weight_ref, bias_ref, stride, padding, dilation, transposed, _, _ = op.args
    if transposed or len(stride) != 2:
        raise refuse(op, "is transposed or not two-dimensional")
    weight, layer = net.weight(weight_ref), _layer(net, weight_ref)
    bias = net.weight(bias_ref) if bias_ref is not None else np.zeros(len(weight))
    last = op
    if norm := net.normalisation_behind(op):
        gain, shift = _affine(net, norm)
        weight, bias, last = weight * gain[:, None, None, None], bias * gain + shift, norm
    act, value = net.activation_behind(last)
    depthwise = layer.kind == "depthwise"
    stored = weight.transpose(1, 2, 3, 0) if depthwise else weight.transpose(0, 2, 3, 1)  # 1HWO or OHWI
    rows, columns = padding
    source = pad(
        net.builder, net.tensor(op, x), (rows, rows), (columns, columns), net.name(f"{op.module or 'network'} pad")
    )
    scale = net.builder.tensors[source].scale[0]
    filters = net.filters(layer.name, stored, bias, 3 if depthwise else 0, scale)
    out = net.activation(layer.name, nhwc(net.shape(value)), zero_point=0)
    net.at[value] = out
    convolve(net.builder, [source, *filters], out, tuple(stride), tuple(dilation), act, depthwise)


def _layer(net: Lowering, weight: Ref) -> Layer:
    """The layer that the next call of a weight is; calls whose result nobody reads are passed over."""
    name = net.recording.values[net.transposed.get(weight.value, weight.value)].name
    return next(layer for layer in net.layers if layer.weight == name)


def _affine(net: Lowering, norm: Op) -> tuple[Floats, Floats]:
    """Batch norm as y = gain * x + shift."""
    _, gamma, beta, mean, variance, *_, eps = norm.args
    sigma = np.sqrt(net.weight(variance) + eps)
    gain = (net.weight(gamma) if gamma is not None else 1.0) / sigma
    return gain, (net.weight(beta) if beta is not None else 0.0) - net.weight(mean) * gain


@lowers("native_batch_norm")
def batch_norm(net: Lowering, op: Op) -> None:
    """One that stands before its convolution is a depthwise 1x1 convolution, with the clamp behind it merged in."""
    if len(net.shape(op.outputs[0])) != 4:
        raise refuse(op, "is not over a feature map")
    gain, shift = _affine(net, op)
    act, value = net.activation_behind(op)
    x = net.tensor(op, op.args[0])
    name = op.module or "batch_norm"
    filters = net.filters(name, gain.reshape(1, 1, 1, -1), shift, 3, net.builder.tensors[x].scale[0])
    out = net.like(op, value)
    convolve(net.builder, [x, *filters], out, (1, 1), (1, 1), act, True)


@lowers("t")
def transpose_weight(net: Lowering, op: Op) -> None:
    net.transposed[op.outputs[0]] = op.args[0].value


@lowers("addmm", "mm")
def linear(net: Lowering, op: Op) -> None:
    """Columns behind a flattened map are put into this layout's order. One scale for the whole weight."""
    *bias_ref, x, weight_ref = op.args
    if weight_ref.value not in net.transposed:
        raise refuse(op, "multiplies by something else than a layer's weight")
    weight, layer = net.weight(weight_ref), _layer(net, weight_ref)
    if chw := net.flat.get(x.value):
        weight = weight.reshape(len(weight), *chw).transpose(0, 2, 3, 1).reshape(len(weight), -1)
    bias = net.weight(bias_ref[0]) if bias_ref else np.zeros(len(weight))
    act, value = net.activation_behind(op)
    source, stored = net.tensor(op, x), net.constant(f"{layer.name}.weight", weight)
    scale = net.builder.tensors[source].scale[0] * net.builder.tensors[stored].scale[0]
    biases = net.biases(layer.name, bias, np.array([scale]))
    out = net.activation(layer.name, net.shape(value), zero_point=0)
    net.at[value] = out
    net.builder.operator("FULLY_CONNECTED", [source, stored, biases], [out], FusedActivationFunction=act)


@lowers("relu", "relu_", "hardtanh", "hardtanh_")
def clamped(net: Lowering, op: Op) -> None:
    """A clamp that could not be merged into the operation before it."""
    kind = clamp(op)
    if kind is None:
        raise refuse(op, "clamps to other bounds than ReLU6")
    x = net.tensor(op, op.args[0])
    net.builder.operator(kind, [x], [net.like(op, op.outputs[0])])


@lowers("hardswish", "hardswish_")
def hardswish(net: Lowering, op: Op) -> None:
    x = net.tensor(op, op.args[0])
    net.builder.operator("HARD_SWISH", [x], [net.like(op, op.outputs[0])])


@lowers("sigmoid", "sigmoid_")
def sigmoid(net: Lowering, op: Op) -> None:
    net.at[op.outputs[0]] = _logistic(net, op, net.tensor(op, op.args[0]))


@lowers("silu", "silu_")
def silu(net: Lowering, op: Op) -> None:
    """x times its own logistic."""
    x = net.tensor(op, op.args[0])
    net.builder.operator("MUL", [x, _logistic(net, op, x)], [net.like(op, op.outputs[0])])


def _logistic(net: Lowering, op: Op, x: int) -> int:
    # The runtime insists on this scale.
    shape = net.builder.tensors[x].shape
    out = net.activation(f"{op.module} logistic", shape, zero_point=BOTTOM, scale=1 / 256)
    net.builder.operator("LOGISTIC", [x], [out])
    return out


@lowers("hardsigmoid", "hardsigmoid_")
def hardsigmoid(net: Lowering, op: Op) -> None:
    """relu6(x + 3) / 6."""
    x = net.tensor(op, op.args[0])
    moved = net.activation(f"{op.module} plus 3", net.builder.tensors[x].shape, zero_point=BOTTOM)
    three, sixth = (net.constant(f"{op.module} {c:.2f}", np.array([c])) for c in (3.0, 1 / 6))
    net.builder.operator("ADD", [x, three], [moved], FusedActivationFunction="RELU6")
    net.builder.operator("MUL", [moved, sixth], [net.like(op, op.outputs[0])])


@lowers("add", "add_", "mul", "mul_")
def arithmetic(net: Lowering, op: Op) -> None:
    """ADD and MUL with broadcasting, and the clamp behind merged in."""
    if op.kwargs.get("alpha", 1) != 1:
        raise refuse(op, "has a factor")
    operands = [
        net.tensor(op, a) if isinstance(a, Ref) else net.constant(f"{op.module} constant", np.array([float(a)]))
        for a in op.args[:2]
    ]
    act, value = net.activation_behind(op)
    out = net.like(op, value)
    net.builder.operator("ADD" if "add" in op.name else "MUL", operands, [out], FusedActivationFunction=act)
    _keep_order(net, op, value)


def _keep_order(net: Lowering, op: Op, value: int) -> None:
    for v in op.inputs():
        if v in net.flat:
            net.flat[value] = net.flat[v]


@lowers("cat")
def concatenation(net: Lowering, op: Op) -> None:
    """Joins maps. A clamp behind stays apart: TFLite's runtime takes none here."""
    rank = len(net.shape(op.outputs[0]))
    axis = (op.args[1] if len(op.args) > 1 else op.kwargs.get("dim", 0)) % rank
    if any(part.value in net.flat for part in op.args[0]):
        raise refuse(op, "joins flattened maps")
    parts = [net.tensor(op, part) for part in op.args[0]]
    out = net.like(op, op.outputs[0])
    axis = {0: 0, 1: 3, 2: 1, 3: 2}[axis] if rank == 4 else axis
    net.builder.operator("CONCATENATION", parts, [out], Axis=axis, FusedActivationFunction=NO_ACTIVATION)


@lowers("mean")
def mean(net: Lowering, op: Op) -> None:
    """Over rows and columns."""
    x = op.args[0]
    rank = len(net.shape(x.value))
    if rank != 4 or sorted(d % rank for d in op.args[1] or ()) != [2, 3]:
        raise refuse(op, "is not over rows and columns")
    _global_average(net, op)


def _global_average(net: Lowering, op: Op) -> None:
    """Pooling over the whole map, as ExecuTorch has it for Ethos-U.

    Vela makes two operators of MEAN, which cost a tenth more of all EfficientNet-B0.
    """
    source = net.tensor(op, op.args[0])
    given = net.builder.tensors[source]
    _, rows, columns, c = given.shape
    if len(net.shape(op.outputs[0])) == 4:
        _pool(net, op, "AVERAGE_POOL_2D", source, (rows, columns), (1, 1))
        return
    pooled = net.activation(
        f"{op.module or 'network'} pool", (1, 1, 1, c), zero_point=given.zero_point, scale=given.scale[0]
    )
    _pool(net, op, "AVERAGE_POOL_2D", source, (rows, columns), (1, 1), out=pooled)
    shape = net.integers("shape", net.shape(op.outputs[0]))
    net.builder.operator("RESHAPE", [pooled, shape], [net.like(op, op.outputs[0], source)])


@lowers("_adaptive_avg_pool2d")
def adaptive_average(net: Lowering, op: Op) -> None:
    (*_, rows, columns), (*_, r, c) = net.shape(op.args[0].value), net.shape(op.outputs[0])
    if (rows, columns) == (r, c):
        same(net, op)
    elif (r, c) == (1, 1):
        _global_average(net, op)
    elif rows % r == columns % c == 0:
        size = (rows // r, columns // c)
        _pool(net, op, "AVERAGE_POOL_2D", net.tensor(op, op.args[0]), size, size)
    else:
        raise refuse(op, "has windows of different sizes")


@lowers("avg_pool2d", "max_pool2d_with_indices")
def pool(net: Lowering, op: Op) -> None:
    """Windows that reach past the map leave out what is beyond, or average zeros where PyTorch counts its padding.

    SAME stands for every padding with as many windows. For an even map and a stride of 2 it begins a pixel later than
    PyTorch does: the same work, whereas TFLite's only exact form copies the map into a padded one, which a compiler
    that is given PyTorch's padding (as ExecuTorch gives it) does not do.
    """
    x, kernel, *rest = op.args
    if len(net.shape(op.outputs[0])) != 4:
        raise refuse(op, "is not over a feature map")
    maximum = "max" in op.name
    if maximum and len(rest) > 2 and set(_pair(rest[2])) != {1}:
        raise refuse(op, "is dilated")
    if not maximum and len(rest) > 4 and rest[4] is not None:
        raise refuse(op, "has a divisor of its own")
    kernel = _pair(kernel)
    stride = _pair(rest[0]) if rest and rest[0] else kernel
    padding = _pair(rest[1]) if len(rest) > 1 else (0, 0)
    source = net.tensor(op, x)
    before, after = net.shape(x.value)[2:], net.shape(op.outputs[0])[2:]
    reach = [(o - 1) * s + k - n - p for o, s, k, n, p in zip(after, stride, kernel, before, padding, strict=True)]
    rows, columns = ((p, max(0, r)) for p, r in zip(padding, reach, strict=True))
    zeros_count = not maximum and any(padding) and (len(rest) < 4 or rest[3])
    as_many = all(o == -(-n // s) for o, n, s in zip(after, before, stride, strict=True))
    mode = "SAME" if as_many and not zeros_count and any((*rows, *columns)) else "VALID"
    if mode == "VALID":
        source = pad(net.builder, source, rows, columns, net.name(f"{op.module} pad"), lowest=maximum)
    _pool(net, op, "MAX_POOL_2D" if maximum else "AVERAGE_POOL_2D", source, kernel, stride, mode)


def _pool(
    net: Lowering, op: Op, code: str, source: int, kernel: tuple[int, int], stride: tuple[int, int],
    mode: str = "VALID", out: int | None = None,
) -> None:  # fmt: skip
    out = net.like(op, op.outputs[0], source) if out is None else out
    net.builder.operator(
        code, [source], [out], Padding=mode, StrideH=stride[0], StrideW=stride[1], FilterHeight=kernel[0],
        FilterWidth=kernel[1], FusedActivationFunction=NO_ACTIVATION,
    )  # fmt: skip


def _pair(size: Any) -> tuple[int, int]:
    sizes = [size] if isinstance(size, int) else list(size)
    return sizes[0], sizes[-1]


@lowers("view", "_unsafe_view", "reshape")
def view(net: Lowering, op: Op) -> None:
    """A feature map flattened to a row, in this layout's order (rows and columns first), or a row as a 1x1 map."""
    before, after = net.shape(op.args[0].value), net.shape(op.outputs[0])
    if before == after:
        same(net, op)
        return
    rank = (len(before), len(after))
    if rank == (4, 2) and after[0] == before[0]:
        net.flat[op.outputs[0]] = (before[1], before[2], before[3])
    elif rank != (2, 4) or after[2:] != (1, 1) or op.args[0].value in net.flat:
        raise refuse(op, f"from {before} to {after} is not a flattening")
    x = net.tensor(op, op.args[0])
    out = net.like(op, op.outputs[0], x)
    net.builder.operator("RESHAPE", [x, net.integers("shape", nhwc(after))], [out])


@lowers("clone", "detach", "alias", "native_dropout", "_to_copy")
def same(net: Lowering, op: Op) -> None:
    """Nothing to compute."""
    net.at[op.outputs[0]] = net.tensor(op, op.args[0])
    _keep_order(net, op, op.outputs[0])
