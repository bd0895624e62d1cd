"""The cut network's layers brought back to the dense network's outputs, one after the other, without labels or training.

Each layer is solved on the inputs that it gets from the layers already solved, towards the outputs of the dense network
for the channels that it still has ("asymmetric" reconstruction: He et al., ICCV 2017). So errors do not pile up, joins of
branches need no care of their own, and batch norms keep statistics that fit.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from padless.calls import TRANSPOSED, LayerCalls, device_of, images_of, run
from padless.errors import PadlessError
from padless.graph import Graph, Keep, Layer, kept_positions
from padless.graph.shadow import tensor_names
from padless.graph.structure import folded_inputs
from padless.progress import bar
from padless.recover.lockstep import Leader, leading
from padless.recover.solve import WIDEST, Fit, least_squares, mixed, pair

Mode = Literal["mix", "least-squares"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A layer that may be solved: which of the dense layer's outputs and inputs it has (-1: zeros), where shifts go."""

    layer: Layer
    outputs: Tensor  # [c_out]
    inputs: Tensor  # [c_in], of channels
    normed: bool  # its output goes to a batch norm with running statistics


@torch.no_grad()
def reconstruct(small: nn.Module, dense: nn.Module, graph: Graph, keep: Keep, x: Any, mode: Mode) -> int:
    """Solve `small`'s layers in place on images x [N, ...]; how many of them got new weights.

    `small` is `dense` (with `graph`) cut to `keep`; both are in evaluation mode, on one device. Layers that are called
    several times, and those whose weights are computed, stay as they are. Raises PadlessError when the two networks do
    not call their layers in one order.
    """
    places = _places(small, graph, keep, images_of(x, 0, 1))
    own = {id(tensor) for tensor in tensor_names(small).values()}
    weights = {name: p.detach() for name, p in dense.named_parameters() if name in places}
    solved = 0
    shifts: dict[int, tuple[Tensor, int, Tensor]] = {}  # of outputs: themselves, their version, what is to be added
    with leading(dense, x, frozenset(places)) as leader, bar(f"Recovering ({mode})", len(places)) as shown:

        def at(name: str, function: Any, arguments: Mapping[str, Any], call: Callable[..., Tensor]) -> Tensor:
            nonlocal solved
            if name not in places:
                return call()
            bias = arguments["bias"]
            in_bias = bias is not None and id(bias) in own  # not worked out from other parameters
            fit = _fitted(
                places[name], leader, name, function, arguments, weights, mode, shifts=in_bias or places[name].normed
            )
            shown.advance()
            if fit is None:
                return call()
            solved += 1
            arguments["weight"].copy_(fit.weight)
            if fit.shift is not None and in_bias:
                bias.add_(fit.shift)
            y = call()
            if fit.shift is not None and not in_bias:
                shifts[id(y)] = (y, y._version, fit.shift)
            return y

        def norm(y: Tensor, mean: Tensor | None) -> None:
            if mean is not None and id(y) in shifts and shifts[id(y)][1] == y._version:
                mean.sub_(shifts.pop(id(y))[2])

        with LayerCalls(small, at, norm):
            run(small, x)
    return solved


def _fitted(
    place: _Place,
    leader: Leader,
    name: str,
    function: Any,
    arguments: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    mode: Mode,
    *,
    shifts: bool,
) -> Fit | None:
    """New weights for the layer that is called with `arguments`; `weights` are the dense network's."""
    step = leader.next()
    if step is None or step[0] != name:
        raise PadlessError(
            f"The dense network runs {step[0] if step else 'to its end'} where the cut one runs {name}. A forward whose "
            "path depends on its values cannot be solved layer by layer: use --recover bn."
        )
    _, wide, target = step
    x, linear = arguments["input"], function is F.linear
    if x.shape == wide.shape and torch.equal(x, wide):
        return None
    axis = x.ndim - 1 if linear else 1
    rows, blank = place.outputs.clamp_min(0), (place.outputs < 0).nonzero()[:, 0]
    y = target.index_select(axis, rows)
    if arguments["bias"] is not None:
        shape = [1] * y.ndim
        shape[axis] = -1
        y = y - arguments["bias"].reshape(shape)  # a shift is added to the bias that is there
    y = y.index_fill(axis, blank, 0)
    near, transposed = None, function in TRANSPOSED
    if arguments["groups"] == 1:
        full = weights[name].index_select(1 if transposed else 0, rows)
        full = full.index_fill(1 if transposed else 0, blank, 0)
        strides = math.prod(pair(arguments["stride"], 1, full.ndim - 2)) if transposed else None
        folded = folded_inputs(place.layer)
        near = mixed(
            x, wide, arguments["weight"], full, place.inputs, folded, linear=linear, strides=strides, shifts=shifts
        )
    columns = x.shape[axis] // arguments["groups"] * arguments["weight"][0, 0].numel()
    unfolds = not transposed and arguments["weight"].ndim <= 4 and not isinstance(arguments["padding"], str)
    if mode == "mix" or columns > WIDEST or not unfolds:
        return near
    return least_squares(x, y, arguments, near, linear=linear, shifts=shifts)


def _places(small: nn.Module, graph: Graph, keep: Keep, x: Any) -> dict[str, _Place]:
    """The layers that are called once, by their weight's path, as one run of the cut network shows them."""
    layers = {layer.weight: layer for layer in graph.layers}
    calls: dict[str, int] = {}
    outputs: dict[int, tuple[str, Tensor, int]] = {}
    normed: set[str] = set()

    def at(name: str, function: Any, arguments: Mapping[str, Any], call: Callable[..., Tensor]) -> Tensor:
        y = call()
        calls[name] = calls.get(name, 0) + 1
        outputs[id(y)] = (name, y, y._version)
        return y

    def norm(y: Tensor, mean: Tensor | None) -> None:
        if mean is not None and id(y) in outputs and outputs[id(y)][2] == y._version:  # nothing changed it in place
            normed.add(outputs[id(y)][0])

    with LayerCalls(small, at, norm):
        run(small, x)
    device = device_of(small)

    def positions(channels: Any) -> Tensor:
        kept = kept_positions(channels, keep)
        return torch.arange(len(channels)) if kept is None else torch.from_numpy(kept)

    return {
        name: _Place(
            layer=layers[name],
            outputs=positions(layers[name].outputs).to(device),
            inputs=positions(layers[name].inputs[:: folded_inputs(layers[name])]).to(device),
            normed=name in normed,
        )
        for name, count in calls.items()
        if count == 1 and name in layers
    }
