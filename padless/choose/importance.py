"""How much a channel matters, from the weights alone."""

from collections import defaultdict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from padless.errors import UsageError, suggest
from padless.graph import Graph, ParameterAxis

Scores = npt.NDArray[np.float64]  # [channels of the graph]
CRITERIA: tuple[str, ...] = ("l1", "l2")
BLOCK = 1 << 18  # elements: 1 MB of float32


def importance(graph: Graph, model: nn.Module, criterion: str = "l1") -> Scores:
    """The norm of everything a channel touches: its filters, its batch norm, its columns in every consumer.

    `l1` sums absolute values (Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017), `l2` is the root of the
    sum of squares. Summing over the whole group is what keeps residual and depthwise networks comparable (Fang et al.,
    "DepGraph", CVPR 2023). Buffers do not count. Returns one score a channel, float64.

    Raises UsageError for an unknown criterion.
    """
    if criterion not in CRITERIA:
        raise UsageError(f"Unknown importance {criterion!r}. {suggest(criterion, CRITERIA)}")
    parameters = dict(model.named_parameters())
    by_parameter: dict[str, list[ParameterAxis]] = defaultdict(list)
    for axis in graph.axes:
        if axis.parameter in parameters:
            by_parameter[axis.parameter].append(axis)
    places, sums = [np.empty(0, np.int64)], [np.empty(0)]
    for name, axes in by_parameter.items():
        for axis, total in zip(axes, _sums(parameters[name].detach(), [a.axis for a in axes], criterion), strict=True):
            places.append(axis.channels)
            sums.append(total)
    found = np.concatenate(places)
    scores = np.zeros(graph.channels + 1)  # what is FIXED falls on the last one
    np.add.at(scores, found, np.concatenate(sums))
    scores = scores[:-1]
    return scores if criterion == "l1" else np.sqrt(scores)


def _sums(weight: Tensor, axes: list[int], criterion: str) -> list[npt.NDArray[np.float64]]:
    """The sum of absolute values (of squares for l2) along each of some axes.

    In blocks of rows that stay in the cache, since large weights are read no faster than memory gives them.
    """
    size = weight.shape
    totals = [torch.zeros(size[axis], dtype=torch.float64) for axis in axes]
    rows = max(1, BLOCK // max(1, weight[0].numel())) if weight.ndim else 1
    for start in range(0, size[0], rows):
        block = weight[start : start + rows]
        block = (block.abs() if criterion == "l1" else block.square()).reshape(len(block), -1)
        others: Tensor | None = None
        for axis, total in zip(axes, totals, strict=True):
            if axis == 0:
                total[start : start + rows] = block.sum(1)
            else:
                others = block.sum(0).reshape(size[1:]) if others is None else others
                rest = [d for d in range(others.ndim) if d != axis - 1]
                total += (others.sum(rest) if rest else others).cpu()
    return [total.numpy() for total in totals]


def relative(graph: Graph, scores: Scores) -> Scores:
    """Scores over their group's mean, so that one threshold can serve layers of different scale."""
    out = np.empty_like(scores)
    for group in graph.groups:
        mine = scores[group.channels]
        out[group.channels] = mine / (mine.mean() or 1.0)
    return out
