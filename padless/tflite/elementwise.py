"""The TFLite form of operations that work on each element alone."""

import math
from typing import Any

import numpy as np

from padless.graph.record import Op, Ref
from padless.tflite.file import OptionValue
from padless.tflite.layout import usual_order
from padless.tflite.lowering import BOTTOM, Lowering, Stored, clamp, lowers, refuse


def unary(lowering: Lowering, op: Op, code: str, **options: OptionValue) -> None:
    """An operation on each element, whatever the order of the axes."""
    stored = lowering.stored(op, op.args[0])
    shape = lowering.builder.tensors[stored.tensor].shape
    out = lowering.result_as(op, op.outputs[0], stored.layout, shape)
    lowering.builder.operator(code, [stored.tensor], [out], **options)


@lowers("relu", "relu_", "hardtanh", "hardtanh_", "clamp", "clamp_", "clamp_min", "clamp_min_")
def clamped(lowering: Lowering, op: Op) -> None:
    """A clamp that could not be merged into the operation before it."""
    if kind := clamp(op):
        unary(lowering, op, kind)
        return
    bounds = [*op.args[1:3], None, None][:2]
    if op.name.startswith("aten.hardtanh"):
        bounds = [*op.args[1:3], *(-1.0, 1.0)[len(op.args) - 1 :]]
    stored = lowering.stored(op, op.args[0])
    tensor, shape = stored.tensor, lowering.builder.tensors[stored.tensor].shape
    for bound, code in zip(bounds, ("MAXIMUM", "MINIMUM"), strict=True):
        if bound is None:
            continue
        if isinstance(bound, Ref):
            raise refuse(op, "clamps to a tensor")
        limit = lowering.constant(f"{op.module} bound", np.full((1,) * len(shape), float(bound)))
        limit = quantised_like(lowering, limit, tensor, float(bound))
        out = lowering.another(op, code.lower(), tensor, shape)
        lowering.builder.operator(code, [tensor, limit], [out])
        tensor = out
    lowering.at[op.outputs[0]] = Stored(tensor, stored.layout)


def quantised_like(lowering: Lowering, constant: int, like: int, value: float) -> int:
    """A constant of one element, requantised: the runtime wants equal scales on both sides of MINIMUM and MAXIMUM."""
    from dataclasses import replace

    pattern, tensor = lowering.builder.tensors[like], lowering.builder.tensors[constant]
    number = np.clip(round(value / pattern.scale[0]) + pattern.zero_point, -128, 127)
    lowering.builder.tensors[constant] = replace(
        tensor, scale=pattern.scale, zero_point=pattern.zero_point, data=np.full(tensor.shape, number, np.int8)
    )
    return constant


@lowers("hardswish", "hardswish_")
def hardswish(lowering: Lowering, op: Op) -> None:
    unary(lowering, op, "HARD_SWISH")


@lowers("gelu")
def gelu(lowering: Lowering, op: Op) -> None:
    unary(lowering, op, "GELU", Approximate=op.kwargs.get("approximate") == "tanh")


@lowers("leaky_relu", "leaky_relu_")
def leaky_relu(lowering: Lowering, op: Op) -> None:
    stored = lowering.stored(op, op.args[0])
    out = lowering.result_as(op, op.outputs[0], stored.layout, lowering.builder.tensors[stored.tensor].shape)
    slope = float(op.args[1]) if len(op.args) > 1 else 0.01
    lowering.builder.operator("LEAKY_RELU", [stored.tensor], [out], Alpha=slope)


@lowers("elu", "elu_")
def elu(lowering: Lowering, op: Op) -> None:
    if tuple(op.args[1:]) not in ((), (1.0,), (1,)):
        raise refuse(op, "has factors of its own")
    unary(lowering, op, "ELU")


@lowers("exp", "exp_")
def exponential(lowering: Lowering, op: Op) -> None:
    unary(lowering, op, "EXP")


@lowers("rsqrt", "rsqrt_")
def rsqrt(lowering: Lowering, op: Op) -> None:
    unary(lowering, op, "RSQRT")


@lowers("neg", "neg_")
def negative(lowering: Lowering, op: Op) -> None:
    unary(lowering, op, "NEG")


@lowers("sigmoid", "sigmoid_")
def sigmoid(lowering: Lowering, op: Op) -> None:
    stored = lowering.stored(op, op.args[0])
    lowering.at[op.outputs[0]] = Stored(logistic(lowering, op, stored.tensor), stored.layout)


@lowers("tanh", "tanh_")
def tanh(lowering: Lowering, op: Op) -> None:
    stored = lowering.stored(op, op.args[0])
    shape = lowering.builder.tensors[stored.tensor].shape
    out = lowering.activation(
        f"{op.module} tanh", shape, zero_point=0, scale=1 / 128
    )  # the runtime insists on this scale
    lowering.builder.operator("TANH", [stored.tensor], [out])
    lowering.at[op.outputs[0]] = Stored(out, stored.layout)


@lowers("silu", "silu_")
def silu(lowering: Lowering, op: Op) -> None:
    """x times its own logistic."""
    stored = lowering.stored(op, op.args[0])
    shape = lowering.builder.tensors[stored.tensor].shape
    gate = logistic(lowering, op, stored.tensor)
    lowering.builder.operator(
        "MUL", [stored.tensor, gate], [lowering.result_as(op, op.outputs[0], stored.layout, shape)]
    )


def logistic(lowering: Lowering, op: Op, x: int) -> int:
    # The runtime insists on this scale.
    shape = lowering.builder.tensors[x].shape
    out = lowering.activation(f"{op.module} logistic", shape, zero_point=BOTTOM, scale=1 / 256)
    lowering.builder.operator("LOGISTIC", [x], [out])
    return out


@lowers("hardsigmoid", "hardsigmoid_")
def hardsigmoid(lowering: Lowering, op: Op) -> None:
    """relu6(x + 3) / 6."""
    stored = lowering.stored(op, op.args[0])
    shape = lowering.builder.tensors[stored.tensor].shape
    moved = lowering.activation(f"{op.module} plus 3", shape, zero_point=BOTTOM)
    three, sixth = (lowering.constant(f"{op.module} {c:.2f}", np.array([c])) for c in (3.0, 1 / 6))
    lowering.builder.operator("ADD", [stored.tensor, three], [moved], FusedActivationFunction="RELU6")
    lowering.builder.operator("MUL", [moved, sixth], [lowering.result_as(op, op.outputs[0], stored.layout, shape)])


@lowers("_prelu_kernel", "prelu")
def prelu(lowering: Lowering, op: Op) -> None:
    slope = lowering.weight(op.args[1]).reshape(-1)
    rank = len(lowering.shape(op.outputs[0]))
    shape = (1,) * (rank - 2) + (len(slope),)  # the last stored axis is the channels'
    x = lowering.arranged(op, op.args[0], usual_order(rank))
    out = lowering.result(op, op.outputs[0])
    lowering.builder.operator("PRELU", [x, lowering.constant(f"{op.module} slope", slope.reshape(shape))], [out])


BINARY = {"add": "ADD", "sub": "SUB", "mul": "MUL", "div": "MUL", "maximum": "MAXIMUM", "minimum": "MINIMUM"}
FUSING = ("ADD", "SUB", "MUL")


@lowers(*BINARY, *(f"{name}_" for name in BINARY), "rsub")
def arithmetic(lowering: Lowering, op: Op) -> None:
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
            if lowering.computed(right):
                raise refuse(op, "divides by an activation")
            constant: Any = 1 / lowering.weight(right)
        else:
            constant = 1 / float(right)
        combine(lowering, op, "MUL", left, constant)
    else:
        combine(lowering, op, BINARY[name], left, right)


@lowers("pow", "square")
def power(lowering: Lowering, op: Op) -> None:
    exponent = op.args[1] if len(op.args) > 1 else 2
    if exponent != 2:
        raise refuse(op, "has another exponent than 2")
    combine(lowering, op, "MUL", op.args[0], op.args[0])


def combine(lowering: Lowering, op: Op, code: str, left: Any, right: Any) -> None:
    """Two operands: activations, parameters, arrays or numbers. They lie as the first activation does, if that is plain."""
    shape = lowering.shape(op.outputs[0])
    whole = [a for a in (left, right) if isinstance(a, Ref) and lowering.computed(a)]
    whole.sort(key=lambda ref: -math.prod(lowering.shape(ref.value)))
    main = lowering.at[whole[0].value]
    aligned = len(main.layout.axes) == len(shape)
    alike = {(lowering.at[r.value].layout, lowering.builder.tensors[lowering.at[r.value].tensor].shape) for r in whole}
    if aligned and len(alike) == 1 and (len(whole) == 2 or _single(lowering, left) or _single(lowering, right)):
        order = None  # whatever it is, it is the same for both
    else:
        order = (main.layout.order() if aligned else None) or usual_order(len(shape))
    operands = [_operand(lowering, op, a, order, len(shape)) for a in (left, right)]
    act, value = lowering.activation_behind(op) if code in FUSING else ("NONE", op.outputs[0])
    if order is None:
        out = lowering.result_as(op, value, main.layout, lowering.builder.tensors[main.tensor].shape)
    else:
        out = lowering.result(op, value, order)
    fused = {"FusedActivationFunction": act} if code in FUSING else {}
    lowering.builder.operator(code, operands, [out], **fused)


def _single(lowering: Lowering, operand: Any) -> bool:
    """Whether an operand is one number."""
    if isinstance(operand, Ref):
        return not lowering.computed(operand) and lowering.weight(operand).size == 1
    return np.size(operand) == 1


def _operand(lowering: Lowering, op: Op, operand: Any, order: tuple[int, ...] | None, rank: int) -> int:
    if isinstance(operand, Ref) and lowering.computed(operand):
        stored = lowering.at[operand.value]
        if order is None:
            return stored.tensor
        missing = rank - len(stored.layout.axes)  # a tensor of fewer axes has ones in front
        if missing:
            stored = Stored(
                stored.tensor, type(stored.layout)(stored.layout.sizes, ((),) * missing + stored.layout.axes)
            )
        key = (operand.value, (rank, *order))
        if key not in lowering.moved:
            lowering.moved[key] = lowering.brought(op, stored, order)
        return lowering.moved[key]
    if isinstance(operand, Ref):
        data, name = lowering.weight(operand), lowering.recording.values[operand.value].name
    else:
        data, name = np.asarray(operand, dtype=float), f"{op.module} constant"
    if data.size == 1:
        return lowering.constant(name, data.reshape(1))
    assert order is not None
    return lowering.constant(name, data.reshape((1,) * (rank - data.ndim) + data.shape).transpose(order))
