"""Criteria that watch calibration images: activations, gradients of weights."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import nn

from padless.graph import Graph
from padless.importance.curves import Scores
from padless.importance.observed import observe, weight_gradients
from padless.importance.weights import over_channels


def taylor(graph: Graph, model: nn.Module, images: Iterable[Any]) -> Scores:
    """The sum of |weight x gradient| over everything a channel touches (Molchanov et al., CVPR 2019)."""
    gradients, _ = weight_gradients(model, images)
    parameters = dict(model.named_parameters())
    return over_channels(graph, {n: parameters[n].detach() * g for n, g in gradients.items()}, power=1)


def fisher(graph: Graph, model: nn.Module, images: Iterable[Any]) -> Scores:
    """Half the sum of weight^2 x E[gradient^2]: the diagonal of the Fisher information, an estimate of the Hessian's.

    That is the loss of zeroing each weight alone (Theis et al., arXiv:1801.05787; Optimal Brain Damage, NIPS 1989).
    """
    _, squares = weight_gradients(model, images)
    parameters = dict(model.named_parameters())
    return over_channels(graph, {n: 0.5 * parameters[n].detach().square() * g for n, g in squares.items()}, power=1)


def activation(graph: Graph, model: nn.Module, images: Iterable[Any]) -> Scores:
    """The mean magnitude of a channel where layers read it (Polyak and Wolf, IEEE Access 2015)."""
    return _where_read(graph, model, images, "magnitudes")


def apoz(graph: Graph, model: nn.Module, images: Iterable[Any]) -> Scores:
    """How often a channel is above zero where layers read it: 1 - APoZ (Hu et al., "Network Trimming", 2016)."""
    return _where_read(graph, model, images, "positive")


def _where_read(graph: Graph, model: nn.Module, images: Iterable[Any], field: str) -> Scores:
    """The mean of a statistic over the places where a channel is read; 1 where no layer that was seen reads it."""
    totals, counts = np.zeros(graph.channels + 1), np.zeros(graph.channels + 1)
    for seen in observe(graph, model, images, gradients=False).values():
        channels = seen.layer.inputs[:: seen.folded]
        np.add.at(totals, channels, (getattr(seen, field) / seen.rows).cpu().numpy())
        np.add.at(counts, channels, 1)
    return np.where(counts > 0, totals / np.maximum(counts, 1), 1.0)[:-1]
