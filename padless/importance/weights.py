"""Criteria that need the weights alone."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from padless.calls import expect_finite
from padless.graph import Graph, ParameterAxis
from padless.importance.curves import Scores

BLOCK = 1 << 18  # elements: 1 MB of float32


def l1(graph: Graph, model: nn.Module) -> Scores:
    """The sum of absolute values of everything a channel touches (Li et al., ICLR 2017)."""
    return over_channels(graph, dict(model.named_parameters()), power=1)


def l2(graph: Graph, model: nn.Module) -> Scores:
    """The root of the sum of squares of everything a channel touches."""
    return np.sqrt(over_channels(graph, dict(model.named_parameters()), power=2))


def batch_norm(graph: Graph, model: nn.Module) -> Scores:
    """The absolute scale of a channel's batch norms, summed (Liu et al., "Network Slimming", ICCV 2017).

    Channels without any get the mean of the network's, so that their group is cut by its cost alone.
    """
    scales = {
        f"{name}.weight": m.weight
        for name, m in model.named_modules()
        if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.weight is not None
    }
    scores = over_channels(graph, scales, power=1)
    normed = scores > 0
    return np.where(normed, scores, scores[normed].mean() if normed.any() else 1.0)


def fpgm(graph: Graph, model: nn.Module) -> Scores:
    """The sum of a filter's distances to the other filters of its layer (He et al., "FPGM", CVPR 2019)."""
    parameters = dict(model.named_parameters())
    scores = np.zeros(graph.channels + 1)  # what is FIXED falls on the last one
    for layer in {layer.weight: layer for layer in graph.layers}.values():
        filters, axis = parameters.get(layer.weight), _axis_of(graph, layer.weight, layer.outputs)
        if filters is None or axis is None:
            continue
        flat = filters.detach().float().movedim(axis, 0).flatten(1)
        for start in range(0, len(flat), 1024):
            distances = torch.cdist(flat[start : start + 1024], flat).sum(1).double().cpu().numpy()
            np.add.at(scores, layer.outputs[start : start + 1024], distances)
    return scores[:-1]


def lamp(graph: Graph, model: nn.Module) -> Scores:
    """The square of a channel's norm over that of all its group's channels that are no smaller.

    Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning", ICLR 2021, for whole channels.

    One threshold then serves all groups, and none is emptied: the largest channel of each scores 1.
    """
    squares = over_channels(graph, dict(model.named_parameters()), power=2)
    out = np.empty_like(squares)
    for group in graph.groups:
        group_squares = squares[group.channels]
        order = np.argsort(group_squares, kind="stable")
        no_smaller = np.cumsum(group_squares[order][::-1])[::-1]
        scores = np.empty_like(group_squares)
        scores[order] = group_squares[order] / np.maximum(no_smaller, 1e-300)
        out[group.channels] = scores
    return out


def over_channels(graph: Graph, tensors: Mapping[str, Tensor], *, power: int) -> Scores:
    """For each channel the sum of |value| ** power over every place that it has in `tensors` (by parameter's name).

    Summing over the whole group is what keeps residual and depthwise networks comparable (Fang et al., "DepGraph", CVPR
    2023). Raises UsageError for a tensor that is not finite.
    """
    by_parameter: dict[str, list[ParameterAxis]] = defaultdict(list)
    for axis in graph.axes:
        if axis.parameter in tensors:
            by_parameter[axis.parameter].append(axis)
    places, sums = [np.empty(0, np.int64)], [np.empty(0)]
    for name, axes in by_parameter.items():
        for axis, total in zip(axes, _sums(tensors[name].detach(), [a.axis for a in axes], power), strict=True):
            places.append(axis.channels)
            sums.append(total)
    if not np.isfinite(every := np.concatenate(sums)).all():
        for name in by_parameter:
            expect_finite(name, tensors[name])
    scores = np.zeros(graph.channels + 1)  # what is FIXED falls on the last one
    np.add.at(scores, np.concatenate(places), every)
    return scores[:-1]


def _axis_of(graph: Graph, parameter: str, channels: npt.NDArray[np.int64]) -> int | None:
    """The axis of a weight on which its output channels lie."""
    for axis in graph.axes:
        if axis.parameter == parameter and np.array_equal(axis.channels, channels):
            return axis.axis
    return None


def _sums(weight: Tensor, axes: list[int], power: int) -> list[npt.NDArray[np.float64]]:
    """The sum of |value| ** power along each of some axes.

    In blocks of rows that stay in the cache, since large weights are read no faster than memory gives them.
    """
    size = weight.shape
    totals = [torch.zeros(size[axis], dtype=torch.float64) for axis in axes]
    rows = max(1, BLOCK // max(1, weight[0].numel())) if weight.ndim else 1
    for start in range(0, size[0], rows):
        block = weight[start : start + rows]
        block = (block.abs() if power == 1 else block.square()).reshape(len(block), -1)
        over_rows: Tensor | None = None
        for axis, total in zip(axes, totals, strict=True):
            if axis == 0:
                total[start : start + rows] = block.sum(1)
            else:
                over_rows = block.sum(0).reshape(size[1:]) if over_rows is None else over_rows
                rest = [d for d in range(over_rows.ndim) if d != axis - 1]
                total += (over_rows.sum(rest) if rest else over_rows).cpu()
    return [total.numpy() for total in totals]
