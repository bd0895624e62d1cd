"""Activations and other functions of one tensor"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from padless.onnx.operators import host
from padless.onnx.operators.table import operator

UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Relu": F.relu, "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "HardSwish": F.hardswish, "Mish": F.mish,
    "Softplus": F.softplus, "Softsign": F.softsign, "Erf": torch.erf, "Sqrt": torch.sqrt, "Exp": torch.exp,
    "Log": torch.log, "Abs": torch.abs, "Neg": torch.neg, "Reciprocal": torch.reciprocal, "Floor": torch.floor,
    "Ceil": torch.ceil, "Round": torch.round, "Sign": torch.sign, "Sin": torch.sin, "Cos": torch.cos, "Tan": torch.tan,
    "Asin": torch.asin, "Acos": torch.acos, "Atan": torch.atan, "Sinh": torch.sinh, "Cosh": torch.cosh,
    "Asinh": torch.asinh, "Acosh": torch.acosh, "Atanh": torch.atanh, "Not": torch.logical_not, "IsNaN": torch.isnan,
}  # fmt: skip


@operator(*UNARY, inputs="x", on_host=host.unary)
def unary(node: Any, x: Tensor) -> Tensor:
    """The function of the same name, element by element."""
    return UNARY[node.operator](x)


@operator("Identity", "Dropout", inputs="x ratio training_mode", constant="ratio training_mode", on_host=host.same)
def identity(_node: Any, x: Tensor, _ratio: object = None, _training: object = None) -> Tensor:
    """The tensor itself: nothing is dropped outside training."""
    return x


@operator("LeakyRelu", inputs="x")
def leaky_relu(node: Any, x: Tensor) -> Tensor:
    """Leaky ReLU with the node's slope."""
    return F.leaky_relu(x, node.get("alpha", 0.01))


@operator("Elu", inputs="x")
def elu(node: Any, x: Tensor) -> Tensor:
    """ELU with the node's factor."""
    return F.elu(x, node.get("alpha", 1.0))


@operator("Celu", inputs="x")
def celu(node: Any, x: Tensor) -> Tensor:
    """CELU with the node's factor."""
    return F.celu(x, node.get("alpha", 1.0))


@operator("Selu", inputs="x")
def selu(node: Any, x: Tensor) -> Tensor:
    """SELU with the node's factors."""
    alpha, gamma = node.get("alpha", 1.6732631921768188), node.get("gamma", 1.0507010221481323)
    result: Tensor = F.elu(x, alpha) * gamma
    return result


@operator("ThresholdedRelu", inputs="x")
def thresholded_relu(node: Any, x: Tensor) -> Tensor:
    """What lies above the threshold, else zero."""
    return F.threshold(x, node.get("alpha", 1.0), 0.0)


@operator("PRelu", inputs="x weight")
def prelu(_node: Any, x: Tensor, weight: Tensor | float) -> Tensor:
    """ReLU with a slope for every channel, or any that broadcasts."""
    if isinstance(weight, Tensor) and weight.ndim == x.ndim - 1 and weight.shape[1:].numel() == 1:
        return F.prelu(x, weight.flatten())
    return F.relu(x) - weight * F.relu(-x)


@operator("Gelu", inputs="x")
def gelu(node: Any, x: Tensor) -> Tensor:
    """GELU, exact or by tanh."""
    return F.gelu(x, approximate=node.get("approximate", "none"))


@operator("HardSigmoid", inputs="x")
def hard_sigmoid(node: Any, x: Tensor) -> Tensor:
    """A straight line between 0 and 1 with the node's slope and offset."""
    slope, offset = node.get("alpha", 0.2), node.get("beta", 0.5)
    if abs(slope - 1 / 6) < 1e-6 and offset == 0.5:
        return F.hardsigmoid(x)
    return torch.clamp(x * slope + offset, 0, 1)


@operator("Clip", inputs="x min max", constant="min max", on_host=host.clipped)
def clip(node: Any, x: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    """Between constant bounds, either of which may be left out."""
    low, high = node.get("min", low), node.get("max", high)
    return x if low is None and high is None else torch.clamp(x, low, high)


@operator("Softmax", "LogSoftmax", inputs="x")
def softmax(node: Any, x: Tensor) -> Tensor:
    """Along one axis; before opset 13 over all axes from the given one on."""
    function: Any = F.softmax if node.operator == "Softmax" else F.log_softmax
    axis = node.get("axis", -1 if node.opset >= 13 else 1) % x.ndim
    if node.opset >= 13 or axis == x.ndim - 1:
        return function(x, axis)  # type: ignore[no-any-return]
    return function(x.flatten(axis), -1).reshape(x.shape)  # type: ignore[no-any-return]
