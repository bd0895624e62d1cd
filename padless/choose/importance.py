"""How much a channel matters, from the weights alone."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from padless.errors import UsageError, suggest
from padless.graph import FIXED, Graph

Scores = npt.NDArray[np.float64]  # [channels of the graph]
CRITERIA: tuple[str, ...] = ("l1", "l2")


def importance(graph: Graph, model: nn.Module, criterion: str = "l1") -> Scores:
    """The norm of everything a channel touches: its filters, its batch norm, its columns in every consumer.

    `l1` sums absolute values (Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017), `l2` is the root of the
    sum of squares. Summing over the whole group is what keeps residual and depthwise networks comparable (Fang et al.,
    "DepGraph", CVPR 2023). Buffers do not count. Returns one score a channel, float64.

    Raises UsageError for an unknown criterion.
    """
    if criterion not in CRITERIA:
        raise UsageError(f"Unknown importance {criterion!r}. {suggest(criterion, CRITERIA)}")
    power = 1 if criterion == "l1" else 2
    parameters = dict(model.named_parameters())
    scores = np.zeros(graph.channels)
    for axis in graph.axes:
        if axis.parameter not in parameters:
            continue
        weight = parameters[axis.parameter].detach()
        others = [d for d in range(weight.ndim) if d != axis.axis]
        norm = torch.linalg.vector_norm(weight, power, others) if others else weight.abs()
        slices = norm.cpu().double().pow(power).numpy()
        mine = axis.channels != FIXED
        np.add.at(scores, axis.channels[mine], slices[mine])
    return scores if power == 1 else np.sqrt(scores)


def relative(graph: Graph, scores: Scores) -> Scores:
    """Scores over their group's mean, so that one threshold can serve layers of different scale."""
    out = np.empty_like(scores)
    for group in graph.groups:
        mine = scores[group.channels]
        out[group.channels] = mine / (mine.mean() or 1.0)
    return out
