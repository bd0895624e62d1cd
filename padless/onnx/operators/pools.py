"""Pooling"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from padless.onnx.operators.padding import both_sides, padded
from padless.onnx.operators.table import operator


@operator("MaxPool", inputs="x")
def max_pool(node: Any, x: Tensor) -> Tensor:
    """The largest of each window, in one to three dimensions; the positions as a second output are not computed."""
    spatial = x.ndim - 2
    kernel = node.get("kernel_shape", [1] * spatial)
    strides, dilations = (tuple(node.get(name, [1] * spatial)) for name in ("strides", "dilations"))
    before, after = both_sides(node, x, kernel)
    if before != after or any(2 * p > k for p, k in zip(before, kernel, strict=True)):
        x, before = padded(x, before, after, float("-inf")), [0] * spatial
    function: Any = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[spatial]
    y: Tensor = function(x, tuple(kernel), strides, tuple(before), dilations, bool(node.get("ceil_mode", 0)))
    return y


@operator("AveragePool", inputs="x")
def average_pool(node: Any, x: Tensor) -> Tensor:
    """The mean of each window, in one to three dimensions, with or without the padding counted; no dilation."""
    spatial = x.ndim - 2
    kernel = tuple(node.get("kernel_shape", [1] * spatial))
    if any(d != 1 for d in node.get("dilations", [1] * spatial)):
        raise node.refused("is dilated")
    strides, ceil = tuple(node.get("strides", [1] * spatial)), bool(node.get("ceil_mode", 0))
    before, after = both_sides(node, x, kernel)
    counted = bool(node.get("count_include_pad", 0))
    function: Any = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[spatial]
    even = before == after and all(2 * p <= k for p, k in zip(before, kernel, strict=True))
    if even:
        y: Tensor = function(x, kernel, strides, tuple(before), ceil, counted)
        return y
    none = (0,) * spatial
    means: Tensor = function(padded(x, before, after), kernel, strides, none, ceil, True)
    if counted:
        return means
    ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
    share: Tensor = function(padded(ones, before, after), kernel, strides, none, ceil, True)
    return means / share


@operator("GlobalAveragePool", inputs="x")
def global_average_pool(_node: Any, x: Tensor) -> Tensor:
    """The mean of each channel's map."""
    return x.mean(dim=tuple(range(2, x.ndim)), keepdim=True)


@operator("GlobalMaxPool", inputs="x")
def global_max_pool(_node: Any, x: Tensor) -> Tensor:
    """The largest of each channel's map."""
    return x.amax(dim=tuple(range(2, x.ndim)), keepdim=True)
