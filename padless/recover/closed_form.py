"""The cut network's layers brought back to the dense network's outputs, one after the other, without labels or training."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from padless.calls import TRANSPOSED
from padless.graph import Graph, Keep
from padless.graph.structure import folded_inputs
from padless.moments.columns import WIDEST, pair
from padless.recover.constants import centre
from padless.recover.in_order import Fit, Step, in_order, places_of
from padless.recover.solve import least_squares, mixed

Mode = Literal["mix", "least-squares"]


@torch.no_grad()
def reconstruct(small: nn.Module, dense: nn.Module, graph: Graph, keep: Keep, x: Any, mode: Mode) -> int:
    """Solve `small`'s layers in place on images x [N, ...]; how many of them got new weights.

    Before that, what stands for removed branches becomes their mean.

    `small` is `dense` (with `graph`) cut to `keep`. Networks, and what is raised, are those of `in_order`.
    """
    weights = {name: p.detach() for name, p in dense.named_parameters()}
    centre(small, dense, graph, keep, x)
    places = places_of(small, graph, keep, x)
    return in_order(
        small, dense, places, x, f"Recovering ({mode})", lambda step: _fitted(step, weights[step.weight], mode)
    )


def _fitted(step: Step, full: Tensor, mode: Mode) -> Fit | None:
    """New weights for a layer; `full` are the dense network's."""
    x, arguments, linear = step.x, step.arguments, step.linear
    if x.shape == step.wide.shape and torch.equal(x, step.wide):
        return None
    near, transposed = None, step.function in TRANSPOSED
    if arguments["groups"] == 1:
        outputs, axis = step.place.outputs, 1 if transposed else 0
        full = full.index_select(axis, outputs.clamp_min(0)).index_fill(axis, (outputs < 0).nonzero()[:, 0], 0)
        strides = math.prod(pair(arguments["stride"], 1, full.ndim - 2)) if transposed else None
        near = mixed(
            x, step.wide, arguments["weight"], full, step.place.inputs, folded_inputs(step.place.layer),
            linear=linear, strides=strides, shifts=step.shifts,
        )  # fmt: skip
    columns = x.shape[step.axis] // arguments["groups"] * arguments["weight"][0, 0].numel()
    if mode == "mix" or columns > WIDEST or not step.place.unfolds:
        return near
    return least_squares(x, step.wanted, arguments, near, linear=linear, shifts=step.shifts)
