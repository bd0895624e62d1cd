"""Reductions"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from padless.onnx.operators import host
from padless.onnx.operators.table import listed, operator

Reduction = Callable[..., Tensor]
REDUCTIONS: dict[str, Reduction] = {
    "ReduceMean": torch.mean, "ReduceSum": torch.sum, "ReduceMax": torch.amax, "ReduceMin": torch.amin,
    "ReduceL2": lambda x, dim, keepdim: torch.linalg.vector_norm(x, dim=dim, keepdim=keepdim),
    "ReduceL1": lambda x, dim, keepdim: torch.sum(x.abs(), dim=dim, keepdim=keepdim),
    "ReduceSumSquare": lambda x, dim, keepdim: torch.sum(x * x, dim=dim, keepdim=keepdim),
    "ReduceLogSum": lambda x, dim, keepdim: torch.log(torch.sum(x, dim=dim, keepdim=keepdim)),
    "ReduceLogSumExp": lambda x, dim, keepdim: torch.logsumexp(x, dim=dim, keepdim=keepdim),
}  # fmt: skip


def _on_host(node: Any, x: Any, axes: Any = None) -> Any:
    if node.operator == "ReduceProd":
        return host.product(node, x, axes)
    if node.operator == "ReduceSum":
        return host.total(node, x, axes)
    raise node.refused("reduces whole numbers of shapes")


@operator(*REDUCTIONS, inputs="x axes", constant="axes", on_host=_on_host)
def reduction(node: Any, x: Tensor, axes: Any = None) -> Tensor:
    """Over the given axes, or all, with or without keeping them."""
    dim = _axes(node, x, axes)
    return x if dim is None else REDUCTIONS[node.operator](x, dim=dim, keepdim=bool(node.get("keepdims", 1)))


@operator("ReduceProd", inputs="x axes", constant="axes", on_host=_on_host)
def reduce_prod(node: Any, x: Tensor, axes: Any = None) -> Tensor:
    """The product over the given axes."""
    for axis in sorted((a % x.ndim for a in _axes(node, x, axes) or ()), reverse=True):
        x = x.prod(axis, keepdim=bool(node.get("keepdims", 1)))
    return x


def _axes(node: Any, x: Tensor, axes: Any) -> tuple[int, ...] | None:
    """None: nothing is reduced."""
    axes = listed(node.get("axes", axes) if node.get("axes", axes) is not None else [])
    if not axes and node.get("noop_with_empty_axes", 0):
        return None
    return tuple(axes) or tuple(range(x.ndim))


@operator("ArgMax", "ArgMin", inputs="x")
def argument(node: Any, x: Tensor) -> Tensor:
    """The first position of the largest or the least."""
    if node.get("select_last_index", 0):
        raise node.refused("asks for the last of equal ones")
    function: Any = torch.argmax if node.operator == "ArgMax" else torch.argmin
    result: Tensor = function(x, node.get("axis", 0), bool(node.get("keepdims", 1)))
    return result


@operator("TopK", inputs="x k", constant="k", outputs=2)
def top_k(node: Any, x: Tensor, k: Any) -> tuple[Tensor, Tensor]:
    """The k largest or least along an axis, and where they lie."""
    values, positions = torch.topk(
        x, listed(k)[0], node.get("axis", -1), bool(node.get("largest", 1)), bool(node.get("sorted", 1))
    )
    return values, positions


@operator("CumSum", inputs="x axis", constant="axis")
def cumulative(node: Any, x: Tensor, axis: Any) -> Tensor:
    """Sums of all that came before, along an axis."""
    if node.get("exclusive", 0) or node.get("reverse", 0):
        raise node.refused("is exclusive or reversed")
    return x.cumsum(listed(axis)[0])
