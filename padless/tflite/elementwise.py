"""The TFLite form of operations that work on each element alone."""

import math
from typing import Any

import numpy as np

from padless.graph.record import Op, Ref
from padless.tflite.file import OptionValue
from padless.tflite.layout import usual_order
from padless.tflite.lowering import BOTTOM, Lowering, Stored, clamp, lowers, refuse


def unary(net: Lowering, op: Op, code: str, **options: OptionValue) -> None:
    """An operation on each element, whatever the order of the axes."""
    stored = net.stored(op, op.args[0])
    shape = net.builder.tensors[stored.tensor].shape
    out = net.result_as(op, op.outputs[0], stored.layout, shape)
    net.builder.operator(code, [stored.tensor], [out], **options)


@lowers("relu", "relu_", "hardtanh", "hardtanh_", "clamp", "clamp_", "clamp_min", "clamp_min_")
def clamped(net: Lowering, op: Op) -> None:
    """A clamp that could not be merged into the operation before it."""
    if kind := clamp(op):
        unary(net, op, kind)
        return
    bounds = [*op.args[1:3], None, None][:2]
    if op.name.startswith("aten.hardtanh"):
        bounds = [*op.args[1:3], *(-1.0, 1.0)[len(op.args) - 1 :]]
    stored = net.stored(op, op.args[0])
    tensor, shape = stored.tensor, net.builder.tensors[stored.tensor].shape
    for bound, code in zip(bounds, ("MAXIMUM", "MINIMUM"), strict=True):
        if bound is None:
            continue
        if isinstance(bound, Ref):
            raise refuse(op, "clamps to a tensor")
        limit = net.constant(f"{op.module} bound", np.full((1,) * len(shape), float(bound)))
        limit = quantised_like(net, limit, tensor, float(bound))
        out = net.another(op, code.lower(), tensor, shape)
        net.builder.operator(code, [tensor, limit], [out])
        tensor = out
    net.at[op.outputs[0]] = Stored(tensor, stored.layout)


def quantised_like(net: Lowering, constant: int, like: int, value: float) -> int:
    """A constant of one element, requantised: the runtime wants equal scales on both sides of MINIMUM and MAXIMUM."""
    from dataclasses import replace

    given, tensor = net.builder.tensors[like], net.builder.tensors[constant]
    number = np.clip(round(value / given.scale[0]) + given.zero_point, -128, 127)
    net.builder.tensors[constant] = replace(
        tensor, scale=given.scale, zero_point=given.zero_point, data=np.full(tensor.shape, number, np.int8)
    )
    return constant


@lowers("hardswish", "hardswish_")
def hardswish(net: Lowering, op: Op) -> None:
    unary(net, op, "HARD_SWISH")


@lowers("gelu")
def gelu(net: Lowering, op: Op) -> None:
    unary(net, op, "GELU", Approximate=op.kwargs.get("approximate") == "tanh")


@lowers("leaky_relu", "leaky_relu_")
def leaky_relu(net: Lowering, op: Op) -> None:
    stored = net.stored(op, op.args[0])
    out = net.result_as(op, op.outputs[0], stored.layout, net.builder.tensors[stored.tensor].shape)
    slope = float(op.args[1]) if len(op.args) > 1 else 0.01
    net.builder.operator("LEAKY_RELU", [stored.tensor], [out], Alpha=slope)


@lowers("elu", "elu_")
def elu(net: Lowering, op: Op) -> None:
    if tuple(op.args[1:]) not in ((), (1.0,), (1,)):
        raise refuse(op, "has factors of its own")
    unary(net, op, "ELU")


@lowers("exp", "exp_")
def exponential(net: Lowering, op: Op) -> None:
    unary(net, op, "EXP")


@lowers("rsqrt", "rsqrt_")
def rsqrt(net: Lowering, op: Op) -> None:
    unary(net, op, "RSQRT")


@lowers("neg", "neg_")
def negative(net: Lowering, op: Op) -> None:
    unary(net, op, "NEG")


@lowers("sigmoid", "sigmoid_")
def sigmoid(net: Lowering, op: Op) -> None:
    stored = net.stored(op, op.args[0])
    net.at[op.outputs[0]] = Stored(logistic(net, op, stored.tensor), stored.layout)


@lowers("tanh", "tanh_")
def tanh(net: Lowering, op: Op) -> None:
    stored = net.stored(op, op.args[0])
    shape = net.builder.tensors[stored.tensor].shape
    out = net.activation(f"{op.module} tanh", shape, zero_point=0, scale=1 / 128)  # the runtime insists on this scale
    net.builder.operator("TANH", [stored.tensor], [out])
    net.at[op.outputs[0]] = Stored(out, stored.layout)


@lowers("silu", "silu_")
def silu(net: Lowering, op: Op) -> None:
    """x times its own logistic."""
    stored = net.stored(op, op.args[0])
    shape = net.builder.tensors[stored.tensor].shape
    gate = logistic(net, op, stored.tensor)
    net.builder.operator("MUL", [stored.tensor, gate], [net.result_as(op, op.outputs[0], stored.layout, shape)])


def logistic(net: Lowering, op: Op, x: int) -> int:
    # The runtime insists on this scale.
    shape = net.builder.tensors[x].shape
    out = net.activation(f"{op.module} logistic", shape, zero_point=BOTTOM, scale=1 / 256)
    net.builder.operator("LOGISTIC", [x], [out])
    return out


@lowers("hardsigmoid", "hardsigmoid_")
def hardsigmoid(net: Lowering, op: Op) -> None:
    """relu6(x + 3) / 6."""
    stored = net.stored(op, op.args[0])
    shape = net.builder.tensors[stored.tensor].shape
    moved = net.activation(f"{op.module} plus 3", shape, zero_point=BOTTOM)
    three, sixth = (net.constant(f"{op.module} {c:.2f}", np.array([c])) for c in (3.0, 1 / 6))
    net.builder.operator("ADD", [stored.tensor, three], [moved], FusedActivationFunction="RELU6")
    net.builder.operator("MUL", [moved, sixth], [net.result_as(op, op.outputs[0], stored.layout, shape)])


@lowers("_prelu_kernel", "prelu")
def prelu(net: Lowering, op: Op) -> None:
    slope = net.weight(op.args[1]).reshape(-1)
    rank = len(net.shape(op.outputs[0]))
    shape = (1,) * (rank - 2) + (len(slope),)  # the last stored axis is the channels'
    x = net.arranged(op, op.args[0], usual_order(rank))
    out = net.result(op, op.outputs[0])
    net.builder.operator("PRELU", [x, net.constant(f"{op.module} slope", slope.reshape(shape))], [out])


BINARY = {"add": "ADD", "sub": "SUB", "mul": "MUL", "div": "MUL", "maximum": "MAXIMUM", "minimum": "MINIMUM"}
FUSING = ("ADD", "SUB", "MUL")


@lowers(*BINARY, *(f"{name}_" for name in BINARY), "rsub")
def arithmetic(net: Lowering, op: Op) -> None:
    """With broadcasting, and the clamp behind merged in. A division by a number multiplies by its inverse."""
    name = op.name.removeprefix("aten.").removesuffix("_")
    if op.kwargs.get("alpha", 1) != 1 or (name == "rsub" and len(op.args) > 2 and op.args[2] != 1):
        raise refuse(op, "has a factor")
    left, right = op.args[:2]
    if name == "rsub":
        left, right, name = right, left, "sub"
    if name == "div":
        if op.kwargs.get("rounding_mode"):
            raise refuse(op, "rounds")
        if isinstance(right, Ref):
            if net.computed(right):
                raise refuse(op, "divides by an activation")
            constant: Any = 1 / net.weight(right)
        else:
            constant = 1 / float(right)
        combine(net, op, "MUL", left, constant)
    else:
        combine(net, op, BINARY[name], left, right)


@lowers("pow", "square")
def power(net: Lowering, op: Op) -> None:
    exponent = op.args[1] if len(op.args) > 1 else 2
    if exponent != 2:
        raise refuse(op, "has another exponent than 2")
    combine(net, op, "MUL", op.args[0], op.args[0])


def combine(net: Lowering, op: Op, code: str, left: Any, right: Any) -> None:
    """Two operands: activations, parameters, arrays or numbers. They lie as the first activation does, if that is plain."""
    shape = net.shape(op.outputs[0])
    whole = [a for a in (left, right) if isinstance(a, Ref) and net.computed(a)]
    whole.sort(key=lambda ref: -math.prod(net.shape(ref.value)))
    main = net.at[whole[0].value]
    aligned = len(main.layout.axes) == len(shape)
    alike = {(net.at[r.value].layout, net.builder.tensors[net.at[r.value].tensor].shape) for r in whole}
    if aligned and len(alike) == 1 and (len(whole) == 2 or _single(net, left) or _single(net, right)):
        order = None  # whatever it is, it is the same for both
    else:
        order = (main.layout.order() if aligned else None) or usual_order(len(shape))
    operands = [_operand(net, op, a, order, len(shape)) for a in (left, right)]
    act, value = net.activation_behind(op) if code in FUSING else ("NONE", op.outputs[0])
    if order is None:
        out = net.result_as(op, value, main.layout, net.builder.tensors[main.tensor].shape)
    else:
        out = net.result(op, value, order)
    fused = {"FusedActivationFunction": act} if code in FUSING else {}
    net.builder.operator(code, operands, [out], **fused)


def _single(net: Lowering, given: Any) -> bool:
    """Whether an operand is one number."""
    if isinstance(given, Ref):
        return not net.computed(given) and net.weight(given).size == 1
    return np.size(given) == 1


def _operand(net: Lowering, op: Op, given: Any, order: tuple[int, ...] | None, rank: int) -> int:
    if isinstance(given, Ref) and net.computed(given):
        stored = net.at[given.value]
        if order is None:
            return stored.tensor
        more = rank - len(stored.layout.axes)  # a tensor of fewer axes has ones in front
        if more:
            stored = Stored(stored.tensor, type(stored.layout)(stored.layout.sizes, ((),) * more + stored.layout.axes))
        key = (given.value, (rank, *order))
        if key not in net.moved:
            net.moved[key] = net.brought(op, stored, order)
        return net.moved[key]
    if isinstance(given, Ref):
        data, name = net.weight(given), net.recording.values[given.value].name
    else:
        data, name = np.asarray(given, dtype=float), f"{op.module} constant"
    if data.size == 1:
        return net.constant(name, data.reshape(1))
    assert order is not None
    return net.constant(name, data.reshape((1,) * (rank - data.ndim) + data.shape).transpose(order))
