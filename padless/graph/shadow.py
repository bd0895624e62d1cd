"""Copies of a model that share its Python objects' structure but not its tensors."""

import copy
from collections.abc import Callable

from torch import Tensor, nn


def tensor_names(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by path, each tensor once, under its first path (tied weights have several)."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def rebuilt(model: nn.Module, replace: Callable[[str, Tensor], Tensor]) -> nn.Module:
    """A copy of `model` whose parameters and buffers are `replace(path, tensor)`; the original is only read.

    Tied weights stay tied, and parameters stay parameters with their `requires_grad`.
    """
    memo: dict[int, object] = {}
    for name, tensor in tensor_names(model).items():
        new = replace(name, tensor.detach())
        if isinstance(tensor, nn.Parameter):
            new = nn.Parameter(new, requires_grad=tensor.requires_grad)
        memo[id(tensor)] = new
    return copy.deepcopy(model, memo)
