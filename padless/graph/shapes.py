"""Shapes of the operations that make up most of a network.

Meta kernels answer for any operation, but take 10 to 100 microseconds, many of them through long decompositions in
Python, for some of which torch imports its compiler. These answer in two. Whatever they are not sure of they leave to the
meta kernel, which also words the errors.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
SHAPES: dict[Any, Callable[..., Any]] = {}


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    *rest: Any,
) -> Tensor:
    transposed, _, groups = rest
    size, kernel = x.shape, weight.shape
    n = len(size) - 2
    if not transposed and len(kernel) == n + 2 and size[1] == kernel[1] * groups and kernel[0] % groups == 0:
        stride, padding, dilation = (v if len(v) == n else v * n for v in (stride, padding, dilation))
        out = [
            (s + 2 * p - d * (k - 1) - 1) // t + 1
            for s, p, d, k, t in zip(size[2:], padding, dilation, kernel[2:], stride, strict=True)
        ]
        if min(out) > 0:
            return x.new_empty((size[0], kernel[0], *out))
    return aten.convolution.default(x, weight, bias, stride, padding, dilation, *rest)  # type: ignore[no-any-return]


_NOTHING = torch.empty(0, device="meta")


def _batch_norm(x: Tensor, *args: Any) -> tuple[Tensor, Tensor, Tensor]:
    for statistic in args[:4]:
        if statistic is not None and statistic.shape != x.shape[1:2]:
            raise RuntimeError(f"batch norm over {x.shape[1]} channels has parameters for {statistic.shape[0]}")
    return torch.empty_like(x), _NOTHING, _NOTHING


def _layer_norm(
    x: Tensor, sizes: list[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, ...]:
    if list(x.shape[x.ndim - len(sizes) :]) != list(sizes):
        return aten.native_layer_norm.default(x, sizes, weight, bias, eps)  # type: ignore[no-any-return]
    return torch.empty_like(x), _NOTHING, _NOTHING


def _group_norm(x: Tensor, *args: Any) -> tuple[Tensor, ...]:
    return torch.empty_like(x), _NOTHING, _NOTHING


def _same(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return torch.empty_like(x)


def _itself(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return x


def _binary(function: Any, in_place: bool) -> Callable[..., Tensor]:
    def shape(a: Tensor, b: Any, *args: Any, **kwargs: Any) -> Tensor:
        plain = a.shape == b.shape and a.dtype == b.dtype if isinstance(b, Tensor) else a.is_floating_point()
        if not plain:
            return function(a, b, *args, **kwargs)  # type: ignore[no-any-return]
        return a if in_place else torch.empty_like(a)

    return shape


def _concatenate(parts: list[Tensor], axis: int = 0) -> Tensor:
    first = parts[0]
    size = list(first.shape)
    if len(size) != 4 or axis != 1 or any(
        p.dtype != first.dtype or len(p.shape) != 4 or p.shape[0] != size[0] or p.shape[2:] != first.shape[2:] for p in parts
    ):  # fmt: skip
        return aten.cat.default(parts, axis)  # type: ignore[no-any-return]
    return first.new_empty((size[0], sum(p.shape[1] for p in parts), size[2], size[3]))


def _pooled(x: Tensor, dims: list[int] | None, keepdim: bool = False, **kwargs: Any) -> Tensor:
    if dims is None or kwargs.get("dtype") is not None or not x.is_floating_point():
        return aten.mean.dim(x, dims, keepdim, **kwargs)  # type: ignore[no-any-return]
    axes = {d % x.ndim for d in dims}
    return x.new_empty([1 if i in axes else n for i, n in enumerate(x.shape) if keepdim or i not in axes])


def _fit(a: Tensor, b: Tensor) -> bool:
    return a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0] and a.dtype == b.dtype


def _product(a: Tensor, b: Tensor) -> Tensor:
    if _fit(a, b):
        return a.new_empty((a.shape[0], b.shape[1]))
    return aten.mm.default(a, b)  # type: ignore[no-any-return]


def _product_and_bias(bias: Tensor, a: Tensor, b: Tensor, **kwargs: Any) -> Tensor:
    if _fit(a, b) and bias.shape == b.shape[1:] and bias.dtype == a.dtype and not kwargs:
        return a.new_empty((a.shape[0], b.shape[1]))
    return aten.addmm.default(bias, a, b, **kwargs)  # type: ignore[no-any-return]


SHAPES[aten.convolution.default] = _convolution
SHAPES[aten.mm.default] = _product
SHAPES[aten.addmm.default] = _product_and_bias
SHAPES[aten.native_batch_norm.default] = _batch_norm
SHAPES[aten.native_layer_norm.default] = _layer_norm
SHAPES[aten.native_group_norm.default] = _group_norm
SHAPES[aten.cat.default] = _concatenate
SHAPES[aten.mean.dim] = _pooled
for _name in (
    "relu",
    "sigmoid",
    "silu",
    "gelu",
    "hardswish",
    "hardsigmoid",
    "hardtanh",
    "leaky_relu",
    "elu",
    "mish",
    "tanh",
):
    if hasattr(aten, _name):
        SHAPES[getattr(aten, _name).default] = _same
    if hasattr(aten, _name + "_"):
        SHAPES[getattr(aten, _name + "_").default] = _itself
for _name in ("add", "mul", "sub", "div"):
    for _suffix in ("", "_"):
        _function = getattr(aten, _name + _suffix).Tensor
        SHAPES[_function] = _binary(_function, bool(_suffix))
