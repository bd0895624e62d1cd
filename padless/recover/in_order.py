"""The layers of a cut network one after the other, each beside the dense network's own, to be given new weights.

Each gets the inputs that the layers before it now give, and should give the outputs of the dense network for the channels
that it still has ("asymmetric" reconstruction: He et al., ICCV 2017). So errors do not pile up, joins of branches need no
care of their own, and batch norms keep statistics that fit.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.weak import WeakIdKeyDictionary

from padless.batches import images_of
from padless.calls import TRANSPOSED, LayerCalls, device_of, run
from padless.errors import PadlessError
from padless.graph import Graph, Keep, Layer, kept_positions
from padless.graph.shadow import tensor_names
from padless.graph.structure import folded_inputs
from padless.progress import bar
from padless.recover.lockstep import Leader, leading


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A layer that may be solved: which of the dense layer's outputs and inputs it has (-1: zeros), where shifts go."""

    layer: Layer
    outputs: Tensor  # [c_out]
    inputs: Tensor  # [c_in], of channels
    normed: bool  # its output goes to a batch norm with running statistics
    unfolds: bool  # its inputs can be written as columns, one for each of a filter's weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One layer's call in both networks."""

    weight: str  # its path
    place: Place
    function: Any  # such as F.conv2d
    arguments: Mapping[str, Any]  # in the cut network
    wide: Tensor  # its input in the dense network
    wanted: Tensor  # what it should give, without its bias: as its output
    shifts: bool  # whether its outputs may be moved by a constant each

    @property
    def x(self) -> Tensor:
        """Its input as it is now."""
        x: Tensor = self.arguments["input"]
        return x

    @property
    def linear(self) -> bool:
        return self.function is F.linear

    @property
    def axis(self) -> int:
        """That of its channels, of inputs as of outputs."""
        return self.x.ndim - 1 if self.linear else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """New weights of a layer and what to add to its outputs."""

    weight: Tensor  # as the layer's own
    shift: Tensor | None  # [c_out]


@dataclass(frozen=True, slots=True, eq=False)
class _Shift:
    """What is to be added to a layer's outputs: the norms behind them take it from their means."""

    version: int  # of the outputs: later they are something else
    by: Tensor  # [c_out]
    means: set[int] = field(default_factory=set)  # those that have


@torch.no_grad()
def in_order(
    small: nn.Module,
    dense: nn.Module,
    places: Mapping[str, Place],
    x: Any,
    title: str,
    solve: Callable[[Step], Fit | None],
) -> int:
    """Give `small`'s layers in `places` the weights that `solve` has for them, in place; how many got some.

    x are images [N, ...]. `small` was cut from `dense`; both are in evaluation mode, on one device. Raises PadlessError
    when the two networks do not call their layers in one order.
    """
    own = {id(tensor) for tensor in tensor_names(small).values()}
    solved = 0
    shifts = WeakIdKeyDictionary()  # of outputs that are still needed
    with leading(dense, x, frozenset(places)) as leader, bar(title, len(places)) as shown:

        def at(name: str, function: Any, arguments: Mapping[str, Any], call: Callable[..., Tensor]) -> Tensor:
            nonlocal solved
            if name not in places:
                return call()
            bias = arguments["bias"]
            in_bias = bias is not None and id(bias) in own  # not worked out from other parameters
            fit = solve(_step(places[name], leader, name, function, arguments, shifts=in_bias or places[name].normed))
            shown.advance()
            if fit is None:
                return call()
            solved += 1
            arguments["weight"].copy_(fit.weight)
            if fit.shift is not None and in_bias:
                bias.add_(fit.shift)
            y = call()
            if fit.shift is not None and not in_bias:
                shifts[y] = _Shift(y._version, fit.shift)
            return y

        def norm(y: Tensor, mean: Tensor | None) -> None:
            shift = shifts.get(y)
            if mean is None or shift is None or shift.version != y._version or id(mean) in shift.means:
                return
            mean.sub_(shift.by)
            shift.means.add(id(mean))

        with LayerCalls(small, at, norm):
            run(small, x)
    return solved


def _step(
    place: Place, leader: Leader, name: str, function: Any, arguments: Mapping[str, Any], *, shifts: bool
) -> Step:
    """The layer that is called with `arguments`, and what the dense network's gets and gives."""
    led = leader.next()
    if led is None or led[0] != name:
        raise PadlessError(
            f"The dense network runs {led[0] if led else 'to its end'} where the cut one runs {name}. A forward whose "
            "path depends on its values cannot be solved layer by layer: use --recover bn."
        )
    _, wide, target = led
    axis = arguments["input"].ndim - 1 if function is F.linear else 1
    wanted = target.index_select(axis, place.outputs.clamp_min(0))
    if arguments["bias"] is not None:
        shape = [1] * wanted.ndim
        shape[axis] = -1
        wanted = wanted - arguments["bias"].reshape(shape)  # a shift is added to the bias that is there
    wanted = wanted.index_fill(axis, (place.outputs < 0).nonzero()[:, 0], 0)
    return Step(
        weight=name, place=place, function=function, arguments=arguments, wide=wide, wanted=wanted, shifts=shifts
    )


def places_of(small: nn.Module, graph: Graph, keep: Keep, x: Any) -> dict[str, Place]:
    """The layers of `small`, which was cut to `keep`, that may be given new weights, by their weight's path.

    Those are the ones that are called once, as a run on the first of the images x shows. Others stay as they are: weights
    that are computed, that stand in several modules, or that are read in several ways.
    """
    x = images_of(x, 0, 1)
    layers = {layer.weight: layer for layer in graph.layers}
    readers = Counter(layer.weight for layer in graph.layers)
    slots = Counter(id(p) for module in small.modules() for p in module._parameters.values() if p is not None)
    alone = {name for name, p in small.named_parameters() if slots[id(p)] == 1 and readers[name] == 1}
    unfolds: dict[str, bool] = {}
    calls: dict[str, int] = {}
    outputs: dict[int, tuple[str, Tensor, int]] = {}
    normed: set[str] = set()

    def at(name: str, function: Any, arguments: Mapping[str, Any], call: Callable[..., Tensor]) -> Tensor:
        y = call()
        calls[name] = calls.get(name, 0) + 1
        unfolds[name] = (
            function not in TRANSPOSED and arguments["weight"].ndim <= 4 and not isinstance(arguments["padding"], str)
        )
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
        name: Place(
            layer=layers[name],
            outputs=positions(layers[name].outputs).to(device),
            inputs=positions(layers[name].inputs[:: folded_inputs(layers[name])]).to(device),
            normed=name in normed,
            unfolds=unfolds[name],
        )
        for name, count in calls.items()
        if count == 1 and name in alone
    }
