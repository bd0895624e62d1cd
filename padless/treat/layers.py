"""Which layers may have which treatment."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from padless.errors import UsageError, suggest
from padless.graph import Graph, Layer
from padless.graph.structure import folded_inputs
from padless.moments.columns import WIDEST
from padless.treat.treatment import KEPT, QUAD, UNTREATED, Treatment


def by_layer(treatments: str | Mapping[str, str], layers: Iterable[Layer]) -> dict[str, Treatment]:
    """The treatment of each layer that gets one."""
    named = {layer.name: layer for layer in layers}
    if isinstance(treatments, str):
        one = Treatment.parse(treatments)
        inner = list(named.values())[1:-1]
        return {} if one == Treatment() else {layer.name: one for layer in inner if not unfit(layer, one)}
    chosen = {name: Treatment.parse(text) for name, text in treatments.items()}
    for name, treatment in chosen.items():
        if name not in named:
            raise UsageError(f"There is no layer {name!r} to treat. {suggest(name, named)}")
        if reason := unfit(named[name], treatment):
            raise UsageError(f"{name} cannot have the treatment {treatment}: {reason}.")
    return {name: treatment for name, treatment in chosen.items() if treatment != Treatment()}


def treatable(graph: Graph, model: nn.Module) -> list[Layer]:
    """The layers that may be offered treatments: all but the first and the last one whose weights are theirs alone.

    Layers that pad by name stay.
    """
    calls = Counter(layer.weight for layer in graph.layers)
    slots = Counter(id(p) for module in model.modules() for p in module._parameters.values() if p is not None)
    by_name = {
        f"{name}.weight" for name, m in model.named_modules() if isinstance(getattr(m, "padding", None), str)
    }  # fmt: skip
    alone = {name for name, p in model.named_parameters() if slots[id(p)] == 1 and calls[name] == 1} - by_name
    return [layer for layer in graph.layers[1:-1] if layer.weight in alone and not unfit(layer, UNTREATED)]


def unfit(layer: Layer, treatment: Treatment) -> str:
    """Why a layer cannot have a treatment; empty where it can."""
    if layer.groups > 1:
        return "it has groups, for which little is stored"
    if layer.transposed or layer.three_dimensional:
        return "treated are convolutions of one and two dimensions and linear layers"
    if (columns := layer.c_in * math.prod(layer.kernel)) > WIDEST:
        return f"its filters have {columns:,} weights; up to {WIDEST:,} are solved for"
    channels = layer.c_in // folded_inputs(layer)
    if treatment.sparse and channels % QUAD:
        return f"it has {channels} input channels, which is no multiple of {QUAD}"
    return ""


@torch.no_grad()
def round_weights(model: nn.Module, treatments: Mapping[str, str], layers: Iterable[Layer]) -> None:
    """Bring layers' weights to the nearest that their treatments allow, in place; nothing makes up for it."""
    weights, named = dict(model.named_parameters()), {layer.name: layer for layer in layers}
    for name, text in treatments.items():
        weight, folded = weights[named[name].weight], folded_inputs(named[name])
        found = weight.float()  # halves have too few digits
        if folded == 1:
            weight.copy_(Treatment.parse(text).nearest(found))
        else:
            order = neighbours(weight, folded)
            weight[:, order] = Treatment.parse(text).nearest(found[:, order]).to(weight)


def held(model: nn.Module, treatments: Mapping[str, str], layers: Iterable[Layer]) -> dict[str, str]:
    """Those of the treatments by layer that a network's weights have: few values a filter, zeros where they belong."""
    weights, named = dict(model.named_parameters()), {layer.name: layer for layer in layers}
    found = {}
    for name, text in treatments.items():
        treatment, weight = Treatment.parse(text), weights[named[name].weight].detach()
        values = max(len(row.unique()) for row in weight.flatten(1))
        ordered = weight.flatten(1)[:, neighbours(weight, folded_inputs(named[name]))]
        zeros = not treatment.sparse or bool((ordered.unflatten(1, (-1, QUAD)) != 0).sum(2).le(KEPT).all())
        if values <= (treatment.levels or values) and zeros:
            found[name] = text
    return found


def neighbours(weight: Tensor, folded: int) -> Tensor:
    """The columns of a filter, place by place of the kernel or flattened map: neighbours are channels, as in files."""
    columns = torch.arange(weight[0].numel(), device=weight.device)
    return columns.reshape(weight.shape[1] // folded, -1).T.flatten()
