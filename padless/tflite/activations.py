"""The TFLite form of activations and other functions of one number."""

from dataclasses import replace
from typing import Any

import numpy as np

from padless.graph.recording import Op, Ref
from padless.tflite.elementwise import apply, combine, plus, times, unary
from padless.tflite.layout import Layout, usual_order
from padless.tflite.lowered import Stored, refuse
from padless.tflite.lowering import BOTTOM, Lowering, clamp, lowers
from padless.tflite.moving import sliced


@lowers("relu", "relu_", "hardtanh", "hardtanh_", "clamp", "clamp_", "clamp_min", "clamp_min_")
def clamped(lowering: Lowering, op: Op) -> None:
    """A clamp that could not be merged into the operation before it."""
    if kind := clamp(op):
        unary(lowering, op, kind)
        return
    bounds = [*op.args[1:3], None, None][:2]
    if op.name.startswith("aten.hardtanh"):
        bounds = [*op.args[1:3], *(-1.0, 1.0)[len(op.args) - 1 :]]
    if any(isinstance(bound, Ref) for bound in bounds):
        clamped_to_tensors(lowering, op, bounds)
        return
    stored = lowering.stored(op, op.args[0])
    tensor, shape = stored.tensor, lowering.builder.tensors[stored.tensor].shape
    for bound, code in zip(bounds, ("MAXIMUM", "MINIMUM"), strict=True):
        if bound is None:
            continue
        limit = lowering.constant(f"{op.module} bound", np.full((1,) * len(shape), float(bound)))
        limit = quantised_like(lowering, limit, tensor)
        out = lowering.another(op, code.lower(), tensor, shape)
        lowering.builder.operator(code, [tensor, limit], [out])
        tensor = out
    lowering.at[op.outputs[0]] = Stored(tensor, stored.layout)


def clamped_to_tensors(lowering: Lowering, op: Op, bounds: list[Any]) -> None:
    """Bounds for each place, which may be activations: MAXIMUM, then MINIMUM."""
    codes = [(code, bound) for code, bound in zip(("MAXIMUM", "MINIMUM"), bounds, strict=True) if bound is not None]
    if len(codes) > 1:
        raise refuse(op, "clamps to two tensors")
    combine(lowering, op, codes[0][0], op.args[0], codes[0][1])


def quantised_like(lowering: Lowering, constant: int, like: int) -> int:
    """A constant on the scale of an activation: the runtime wants equal scales on both sides of MINIMUM and MAXIMUM."""
    pattern, tensor = lowering.builder.tensors[like], lowering.builder.tensors[constant]
    lowering.builder.tensors[constant] = replace(tensor, scale=pattern.scale, zero_point=pattern.zero_point)
    return constant


UNARY = {"exp": "EXP", "rsqrt": "RSQRT", "log": "LOG", "abs": "ABS", "neg": "NEG", "hardswish": "HARD_SWISH"}


@lowers(*UNARY, *(f"{name}_" for name in UNARY))
def alone(lowering: Lowering, op: Op) -> None:
    """Functions that are one operator."""
    unary(lowering, op, UNARY[op.name.removeprefix("aten.").removesuffix("_")])


@lowers("gelu")
def gelu(lowering: Lowering, op: Op) -> None:
    unary(lowering, op, "GELU", Approximate=op.kwargs.get("approximate") == "tanh")


@lowers("leaky_relu", "leaky_relu_")
def leaky_relu(lowering: Lowering, op: Op) -> None:
    stored = lowering.stored(op, op.args[0])
    out = lowering.result_as(op, op.outputs[0], stored.layout, lowering.builder.tensors[stored.tensor].shape)
    slope = float(op.args[1]) if len(op.args) > 1 else 0.01
    lowering.builder.operator("LEAKY_RELU", [stored.tensor], [out], Alpha=slope)


@lowers("elu", "elu_", "celu", "celu_")
def elu(lowering: Lowering, op: Op) -> None:
    """With factors (CELU, SELU) the part above zero and the part below it, each times its own."""
    alpha, scale, inner = _factors(op)
    if (alpha, scale, inner) == (1.0, 1.0, 1.0):
        unary(lowering, op, "ELU")
        return
    stored = lowering.stored(op, op.args[0])
    x = stored.tensor
    above = apply(lowering, op, "RELU", x)
    below = apply(lowering, op, "ELU", x if inner == 1 else times(lowering, op, x, inner))
    zero = lowering.constant(f"{op.module} zero", np.zeros((1,) * len(lowering.builder.tensors[x].shape)))
    below = apply(lowering, op, "MINIMUM", below, quantised_like(lowering, zero, below))
    above, below = times(lowering, op, above, scale), times(lowering, op, below, scale * alpha)
    lowering.at[op.outputs[0]] = Stored(apply(lowering, op, "ADD", above, below), stored.layout)


def _factors(op: Op) -> tuple[float, float, float]:
    given = [float(a) for a in op.args[1:]]
    alpha, scale, inner = [*given, *(1.0, 1.0, 1.0)[len(given) :]]
    if "celu" in op.name:
        inner = 1 / alpha
    return alpha, scale, inner


@lowers("softplus")
def softplus(lowering: Lowering, op: Op) -> None:
    """relu(x) - log(sigmoid(|x|)): it is log(1 + exp(x)) without large numbers. A beta scales x, and the result back."""
    beta = float(op.args[1]) if len(op.args) > 1 else 1.0
    stored = lowering.stored(op, op.args[0])
    x = stored.tensor if beta == 1 else times(lowering, op, stored.tensor, beta)
    small = apply(lowering, op, "LOG", logistic(lowering, op, apply(lowering, op, "ABS", x)))
    out = apply(lowering, op, "SUB", apply(lowering, op, "RELU", x), small)
    lowering.at[op.outputs[0]] = Stored(out if beta == 1 else times(lowering, op, out, 1 / beta), stored.layout)


@lowers("log_sigmoid_forward")
def log_sigmoid(lowering: Lowering, op: Op) -> None:
    """Minus the softplus of -x: -relu(-x) + log(sigmoid(|x|))."""
    stored = lowering.stored(op, op.args[0])
    x = stored.tensor
    small = apply(lowering, op, "LOG", logistic(lowering, op, apply(lowering, op, "ABS", x)))
    below = apply(lowering, op, "RELU", apply(lowering, op, "NEG", x))
    lowering.at[op.outputs[0]] = Stored(apply(lowering, op, "SUB", small, below), stored.layout)


@lowers("mish", "mish_")
def mish(lowering: Lowering, op: Op) -> None:
    """x * (1 - q²) / (1 + q²) with q = sigmoid(-x): it is x * tanh(softplus(x)) without large numbers."""
    stored = lowering.stored(op, op.args[0])
    x = stored.tensor
    q = logistic(lowering, op, apply(lowering, op, "NEG", x))
    squared = apply(lowering, op, "MUL", q, q)
    root = apply(lowering, op, "RSQRT", plus(lowering, op, squared, 1.0))
    above = plus(lowering, op, times(lowering, op, squared, -1.0), 1.0)
    gate = apply(lowering, op, "MUL", apply(lowering, op, "MUL", above, root), root)
    lowering.at[op.outputs[0]] = Stored(apply(lowering, op, "MUL", x, gate), stored.layout)


@lowers("glu")
def gated(lowering: Lowering, op: Op) -> None:
    """The first half of an axis times the logistic of the second."""
    rank = len(lowering.shape(op.args[0].value))
    axis = (op.args[1] if len(op.args) > 1 else -1) % rank
    order = lowering.stored(op, op.args[0]).layout.order() or usual_order(rank)
    place, half = order.index(axis), lowering.shape(op.outputs[0])[axis]
    tensor = lowering.arranged(op, op.args[0], order)
    value, gate = (sliced(lowering, op, tensor, place, i * half, (i + 1) * half, 1) for i in (0, 1))
    out = apply(lowering, op, "MUL", value, logistic(lowering, op, gate))
    lowering.at[op.outputs[0]] = Stored(out, Layout.of(lowering.shape(op.outputs[0]), order))


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
    if len(lowering.shape(op.outputs[0])) < 2:
        raise refuse(op, "is not over channels")
    rank = len(lowering.shape(op.outputs[0]))
    order = (0, *range(2, rank), 1)
    x = lowering.arranged(op, op.args[0], order)
    out = lowering.result(op, op.outputs[0], order)
    shape = (1,) * (rank - 2) + (len(slope),)  # the last stored axis is the channels'
    lowering.builder.operator("PRELU", [x, lowering.constant(f"{op.module} slope", slope.reshape(shape))], [out])
