"""Norms"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from padless.onnx.operators.table import operator


@operator("BatchNormalization", inputs="x weight bias running_mean running_var")
def batch_normalization(node: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    """Batch norm with stored statistics; that of training is refused."""
    if node.get("training_mode", 0):
        raise node.refused("is in training mode; export the model in evaluation mode")
    return F.batch_norm(x, mean, var, weight, bias, False, 0.0, node.get("epsilon", 1e-5))


@operator("InstanceNormalization", inputs="x weight bias")
def instance_normalization(node: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Every channel of every image by its own statistics."""
    return F.instance_norm(x, None, None, weight, bias, True, 0.0, node.get("epsilon", 1e-5))


@operator("LayerNormalization", inputs="x weight bias")
def layer_normalization(node: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Over the axes from `axis` on; the mean and the deviation as further outputs are not computed."""
    axis = node.get("axis", -1) % x.ndim
    return F.layer_norm(x, x.shape[axis:], weight, bias, node.get("epsilon", 1e-5))


@operator("RMSNormalization", inputs="x weight")
def rms_normalization(node: Any, x: Tensor, weight: Tensor) -> Tensor:
    """Root mean square norm over the axes from `axis` on."""
    axes = tuple(range(node.get("axis", -1) % x.ndim, x.ndim))
    return x * torch.rsqrt((x * x).mean(axes, keepdim=True) + node.get("epsilon", 1e-5)) * weight


@operator("GroupNormalization", inputs="x weight bias", stored={"num_groups": "num_groups"})
def group_normalization(node: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Group norm with a weight for every channel, as from opset 21 on."""
    return F.group_norm(x, node.num_groups, weight, bias, node.get("epsilon", 1e-5))


@operator("LRN", inputs="x")
def local_response(node: Any, x: Tensor) -> Tensor:
    """Local response norm across neighbouring channels, an odd number of them."""
    size = node.get("size", 1)
    if size % 2 == 0:
        raise node.refused("has an even size")
    return F.local_response_norm(x, size, node.get("alpha", 1e-4), node.get("beta", 0.75), node.get("bias", 1.0))


@operator("LpNormalization", inputs="x")
def lp_normalization(node: Any, x: Tensor) -> Tensor:
    """Division by the norm of order 1 or 2 along an axis."""
    norm = torch.linalg.vector_norm(x, node.get("p", 2), dim=node.get("axis", -1), keepdim=True)
    result: Tensor = x / norm.clamp(min=1e-12)
    return result
