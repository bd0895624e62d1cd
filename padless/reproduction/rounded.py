"""The cheapest rival: weights rounded to a few levels, with every channel kept. It asks for no pruning at all.

Compilers that store weights entropy-coded (Arm's Vela for Ethos-U) fetch rounded ones in fewer bytes, so that a network
whose weights arrive slowly takes fewer cycles. Arm calls it weight clustering.
"""

import copy
from collections.abc import Callable

import torch
from torch import nn

from padless.graph import Graph

LEVELS = (129, 65, 33, 25, 17, 13, 9, 7, 5, 3)  # of a filter's weights, from the finest


@torch.no_grad()
def rounded(model: nn.Module, graph: Graph, levels: int) -> nn.Module:
    """A copy whose weights have `levels` values a filter (odd: zero is one), evenly up to the filter's largest weight.

    The first and the last layer stay, as is usual; depthwise and grouped ones do too, since little is stored for them.
    """
    small = copy.deepcopy(model)
    tensors, half = dict(small.named_parameters()), levels // 2
    for layer in graph.layers[1:-1]:
        if layer.groups == 1:
            weight = tensors[layer.weight]
            step = weight.abs().amax(tuple(range(1, weight.ndim)), keepdim=True).clamp_min(1e-12) / half
            weight.copy_((weight / step).round() * step)
    return small


def finest(
    model: nn.Module, graph: Graph, cycles: Callable[[nn.Module], float], most: float
) -> tuple[nn.Module, int] | None:
    """The copy of the finest levels that takes at most so many cycles, and how many levels it has; None where none does."""
    for levels in LEVELS:
        small = rounded(model, graph, levels)
        if cycles(small) <= most:
            return small, levels
    return None
