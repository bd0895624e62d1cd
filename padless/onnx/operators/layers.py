"""Convolutions and matrix products"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from padless.onnx.operators.padding import both_sides, padded
from padless.onnx.operators.table import operator


@operator("Conv", inputs="x weight bias", stored={"group": "groups"})
def conv(node: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A convolution in one to three dimensions, with groups, dilation, uneven padding and automatic padding."""
    spatial = x.ndim - 2
    before, after = both_sides(node, x, weight.shape[2:])
    if before != after:
        x, before = padded(x, before, after), [0] * spatial
    function: Any = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[spatial]
    strides, dilations = (tuple(node.get(name, [1] * spatial)) for name in ("strides", "dilations"))
    result: Tensor = function(x, weight, bias, strides, tuple(before), dilations, node.groups)
    return result


@operator("ConvTranspose", inputs="x weight bias", stored={"group": "groups"})
def conv_transpose(node: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A transposed convolution in one to three dimensions, with groups, dilation, output padding and uneven padding."""
    spatial = x.ndim - 2
    strides, dilations = (list(node.get(name, [1] * spatial)) for name in ("strides", "dilations"))
    added = list(node.get("output_padding", [0] * spatial))
    sizes, kernel = [int.__index__(n) for n in x.shape[2:]], [int.__index__(n) for n in weight.shape[2:]]
    full = [
        s * (n - 1) + a + (k - 1) * d + 1
        for s, n, a, k, d in zip(strides, sizes, added, kernel, dilations, strict=True)
    ]
    automatic, wanted = node.get("auto_pad", "NOTSET"), node.get("output_shape", None)
    if wanted is None and automatic.startswith("SAME"):
        wanted = [n * s for n, s in zip(sizes, strides, strict=True)]
    if wanted is not None:
        total = [f - w for f, w in zip(full, wanted[-spatial:], strict=True)]
        if min(total) < 0:
            raise node.refused("asks for an output that is larger than it computes")
        halves = [t // 2 for t in total]
        before = [t - h for t, h in zip(total, halves, strict=True)] if automatic == "SAME_LOWER" else halves
        after = [t - b for t, b in zip(total, before, strict=True)]
    else:
        pads = list(node.get("pads", [0] * (2 * spatial)))
        before, after = pads[:spatial], pads[spatial:]
    function: Any = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[spatial]
    cut = [min(b, a) for b, a in zip(before, after, strict=True)]
    y: Tensor = function(
        x, weight, bias, tuple(strides), tuple(cut), tuple(added), node.groups, tuple(dilations)
    )  # fmt: skip
    for axis, (b, a, c, f) in enumerate(zip(before, after, cut, full, strict=True)):
        if b != a:
            y = y.narrow(axis + 2, b - c, f - b - a)
    return y


@operator("Gemm", inputs="a weight bias")
def gemm(node: Any, a: Tensor, weight: Tensor, bias: Tensor | float | None = None) -> Tensor:
    """A linear layer: a matrix product, either side transposed, with factors and a bias."""
    a = a.t() if node.get("transA", 0) else a
    weight = weight if node.transposed or node.get("transB", 0) else weight.t()
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    if alpha == beta == 1 and isinstance(bias, Tensor) and bias.ndim == 1 and bias.shape[0] == weight.shape[0]:
        return F.linear(a, weight, bias)
    y = F.linear(a, weight)
    y = y if alpha == 1 else y * alpha
    if bias is None:
        return y
    return y + (bias if beta == 1 else bias * beta)


@operator("MatMul", inputs="a weight")
def matmul(node: Any, a: Tensor, weight: Tensor) -> Tensor:
    """A matrix product of any rank; a linear layer where the second factor is a weight."""
    return F.linear(a, weight) if node.transposed else torch.matmul(a, weight)


@operator("Einsum", inputs="x")
def einsum(node: Any, *x: Tensor) -> Tensor:
    """A sum of products by its equation."""
    result: Tensor = torch.einsum(node.get("equation", ""), *x)
    return result
