"""The TFLite form of arithmetic on each element, with broadcasting."""

import math
from typing import Any

import numpy as np

from padless.graph.recording import Op, Ref
from padless.tflite.constants import once
from padless.tflite.file import OptionValue
from padless.tflite.layout import usual_order
from padless.tflite.lowered import Stored, refuse
from padless.tflite.lowering import Lowering, lowers


def unary(lowering: Lowering, op: Op, code: str, **options: OptionValue) -> None:
    """An operation on each element, whatever the order of the axes."""
    stored = lowering.stored(op, op.args[0])
    shape = lowering.builder.tensors[stored.tensor].shape
    out = lowering.result_as(op, op.outputs[0], stored.layout, shape)
    lowering.builder.operator(code, [stored.tensor], [out], **options)


BINARY = {"add": "ADD", "sub": "SUB", "mul": "MUL", "div": "MUL", "maximum": "MAXIMUM", "minimum": "MINIMUM"}
FUSING = ("ADD", "SUB", "MUL")


@lowers(*BINARY, *(f"{name}_" for name in BINARY), "rsub")
def arithmetic(lowering: Lowering, op: Op) -> None:
    """With broadcasting, and the clamp behind merged in. A division multiplies by the inverse."""
    name = op.name.removeprefix("aten.").removesuffix("_")
    left, right = op.args[:2]
    factor = op.args[2] if name == "rsub" and len(op.args) > 2 else op.kwargs.get("alpha", 1)
    if factor != 1:  # of the second in `add` and `sub`, of the first in `rsub`, where that one is taken away
        if name == "rsub":
            left = scaled(lowering, op, left, float(factor))
        else:
            right = scaled(lowering, op, right, float(factor))
    if name == "rsub":
        left, right, name = right, left, "sub"
    if name == "div":
        if op.kwargs.get("rounding_mode"):
            raise refuse(op, "rounds")
        right = inverse(lowering, op, right)
    combine(lowering, op, BINARY[name], left, right)


def scaled(lowering: Lowering, op: Op, operand: Any, factor: float) -> Any:
    """An operand times a number."""
    if not isinstance(operand, Ref):
        return operand * factor
    if not lowering.computed(operand):
        return lowering.weight(operand) * factor
    stored = lowering.at[operand.value]
    return Stored(times(lowering, op, stored.tensor, factor), stored.layout)


def inverse(lowering: Lowering, op: Op, operand: Any) -> Any:
    """1 / operand. TFLite's DIV takes no INT8: 1 / x = x * rsqrt(x * x) * rsqrt(x * x)."""
    if not isinstance(operand, Ref):
        return 1 / float(operand)
    if not lowering.computed(operand):
        return 1 / lowering.weight(operand)
    stored = lowering.at[operand.value]
    x = stored.tensor
    root = apply(lowering, op, "RSQRT", apply(lowering, op, "MUL", x, x))
    return Stored(apply(lowering, op, "MUL", apply(lowering, op, "MUL", x, root), root), stored.layout)


@lowers("reciprocal", "reciprocal_")
def reciprocal(lowering: Lowering, op: Op) -> None:
    lowering.at[op.outputs[0]] = inverse(lowering, op, op.args[0])


def times(lowering: Lowering, op: Op, x: int, factor: float) -> int:
    return apply(lowering, op, "MUL", x, lowering.constant(f"{op.module} factor", np.array([factor])))


def plus(lowering: Lowering, op: Op, x: int, term: float) -> int:
    return apply(lowering, op, "ADD", x, lowering.constant(f"{op.module} term", np.array([term])))


def apply(lowering: Lowering, op: Op, code: str, *operands: int) -> int:
    """An operator on each element; the result is as large as the first operand."""
    out = lowering.another(op, code.lower(), operands[0], lowering.builder.tensors[operands[0]].shape)
    lowering.builder.operator(code, operands, [out])
    return out


def root(lowering: Lowering, op: Op, x: int) -> int:
    """sqrt(x) = x * rsqrt(x), which no NPU's compiler leaves to the CPU; a tiny term keeps that right for zero."""
    return apply(lowering, op, "MUL", x, apply(lowering, op, "RSQRT", plus(lowering, op, x, 1e-20)))


@lowers("pow", "pow_", "square", "sqrt", "sqrt_")
def power(lowering: Lowering, op: Op) -> None:
    """Small whole exponents are products, halves roots, others exp(exponent * log(x)), which is NaN below zero, too."""
    exponent = op.args[1] if len(op.args) > 1 else 0.5 if "sqrt" in op.name else 2
    if not isinstance(op.args[0], Ref):
        raise refuse(op, "raises a number")
    if isinstance(exponent, Ref):
        values = lowering.known(exponent.value)
        if values is None or values.numel() != 1:
            raise refuse(op, "has another exponent at each place")
        exponent = float(values)
    if exponent == 2:
        combine(lowering, op, "MUL", op.args[0], op.args[0])
        return
    stored = lowering.stored(op, op.args[0])
    lowering.at[op.outputs[0]] = Stored(raised(lowering, op, stored.tensor, float(exponent)), stored.layout)


def raised(lowering: Lowering, op: Op, x: int, exponent: float) -> int:
    if exponent == 0.5:
        return root(lowering, op, x)
    if exponent == -0.5:
        return apply(lowering, op, "RSQRT", x)
    if exponent in (1, 2, 3, 4):
        product = x
        for _ in range(int(exponent) - 1):
            product = apply(lowering, op, "MUL", product, x)
        return product
    if exponent.is_integer():
        raise refuse(op, "has another exponent than 1 to 4")
    return apply(lowering, op, "EXP", times(lowering, op, apply(lowering, op, "LOG", x), exponent))


def combine(lowering: Lowering, op: Op, code: str, left: Any, right: Any) -> None:
    """Two operands: activations, parameters, arrays or numbers. They lie as the first activation does, if that is plain."""
    shape = lowering.shape(op.outputs[0])
    left, right = (lowering.at[a.value] if isinstance(a, Ref) and lowering.computed(a) else a for a in (left, right))
    whole = [a for a in (left, right) if isinstance(a, Stored)]
    whole.sort(key=lambda stored: -math.prod(lowering.builder.tensors[stored.tensor].shape))
    if not whole:
        raise refuse(op, "reads a tensor that has no TFLite form")
    main = whole[0]
    aligned = len(main.layout.axes) == len(shape)
    alike = {(stored.layout, lowering.builder.tensors[stored.tensor].shape) for stored in whole}
    if aligned and len(alike) == 1 and (len(whole) == 2 or _single(lowering, left) or _single(lowering, right)):
        order = None  # whatever it is, it is the same for both
    else:
        order = (main.layout.order() if aligned else None) or usual_order(len(shape))
    operands = [_operand(lowering, op, a, order, len(shape)) for a in (left, right)]
    last = lowering.ends.get(op.outputs[0], op)
    act, value = lowering.activation_behind(last) if code in FUSING else ("NONE", last.outputs[0])
    if order is None:
        out = lowering.result_as(op, value, main.layout, lowering.builder.tensors[main.tensor].shape)
    else:
        out = lowering.result(op, value, order)
    fused = {"FusedActivationFunction": act} if code in FUSING else {}
    lowering.builder.operator(code, operands, [out], **fused)


def _single(lowering: Lowering, operand: Any) -> bool:
    """Whether an operand is one number."""
    if isinstance(operand, Stored):
        return False
    return bool(lowering.weight(operand).size == 1 if isinstance(operand, Ref) else np.size(operand) == 1)


def _operand(lowering: Lowering, op: Op, operand: Any, order: tuple[int, ...] | None, rank: int) -> int:
    if isinstance(operand, Stored):
        stored = operand
        if order is None:
            return stored.tensor
        missing = rank - len(stored.layout.axes)  # a tensor of fewer axes has ones in front
        if missing:
            stored = Stored(
                stored.tensor, type(stored.layout)(stored.layout.sizes, ((),) * missing + stored.layout.axes)
            )
        key = (stored, order)
        if key not in lowering.operands:
            lowering.operands[key] = lowering.brought(op, stored, order)
        return lowering.operands[key]
    if isinstance(operand, Ref):
        data, name = lowering.weight(operand), lowering.recording.values[operand.value].name
    else:
        data, name = np.asarray(operand, dtype=float), f"{op.module} constant"
    data = once(data)
    if data.size == 1:
        return lowering.constant(name, data.reshape(1))
    assert order is not None
    return lowering.constant(name, data.reshape((1,) * (rank - data.ndim) + data.shape).transpose(order))
