"""What the loss suffers when a layer's weights are treated, in the unit of `losses`: to be weighed against widths.

Each treatment is compensated on the inputs that the layer has in the dense network; what its change of the weights does to
the loss of an image, to first order, is half squared and averaged over images that the compensation did not see: on those
that it saw, layers of many columns look up to two and a half times too cheap (measured on ResNet-18).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from padless.batches import count_of, images_of, joined, parts_of
from padless.calls import LayerCalls, evaluating, like_model, run
from padless.errors import UntreatedError
from padless.graph import Graph, Layer
from padless.graph.shadow import single
from padless.graph.structure import folded_inputs
from padless.importance.observed import BATCH, differentiable, loss_of
from padless.moments.columns import columns, unfolded
from padless.moments.gram import gram
from padless.progress import bar, track
from padless.treat.compensate import compensated, inverse_factor
from padless.treat.layers import neighbours, treatable, unfit
from padless.treat.treatment import UNTREATED, Treatment

ENTRIES = 1 << 25  # of images' weight gradients that are held at once


@dataclass(slots=True, eq=False)
class _Inputs:
    """Second moments and sums of a layer's columns."""

    rows: int = 0
    squares: Any = 0.0  # [D, D]
    total: Any = 0.0  # [D]
    linear: bool = False
    waiting: list[Tensor] = field(default_factory=list)  # rows that are not in `squares` yet: many at once are quicker

    def add(self, x: Tensor) -> None:
        self.rows += len(x)
        self.total += x.sum(0).double()
        self.waiting.append(x)
        if sum(map(len, self.waiting)) >= x.shape[1]:
            self._multiply()

    def _multiply(self) -> None:
        if self.waiting:
            x = torch.cat(self.waiting)
            self.squares += gram(x).double()
            self.waiting.clear()

    @property
    def mean(self) -> Tensor:
        mean: Tensor = self.total / self.rows
        return mean

    def covariance(self) -> Tensor:
        """[D, D] float32. What was summed for it is given up."""
        self._multiply()
        covariance: Tensor = self.squares.div_(self.rows).addr_(self.mean, self.mean, alpha=-1).float()
        self.squares = 0.0  # large, and no longer needed
        return covariance


@dataclass(frozen=True, slots=True, eq=False)
class _Changes:
    """What treatments change of a layer's weights: [treatments, O * D], and the mean of its columns [D]."""

    treatments: tuple[Treatment, ...]
    weights: Tensor
    mean: Tensor

    def effects(self, x: Tensor, gradient: Tensor) -> Tensor:
        """[N, treatments] what each does to each image's loss; x [N, D, places], gradient [N, O, places].

        The mean of the columns is made up for by a shift.
        """
        effects = []
        size = max(1, ENTRIES // (gradient.shape[1] * x.shape[1]))
        for inputs, rows in zip(x.split(size), gradient.split(size), strict=True):
            by_weight = rows @ inputs.transpose(1, 2) - rows.sum(2)[:, :, None] * self.mean
            effects.append(by_weight.flatten(1) @ self.weights.T)
        return torch.cat(effects)


def treatment_losses(
    graph: Graph, model: nn.Module, images: Sequence[Any], offered: Sequence[Treatment]
) -> dict[str, dict[str, float]]:
    """By layer and treatment, the loss' expected rise per image. The layers are those that may be treated.

    Half of the images, batches [N, ...], compensate, the others measure. Raises UntreatedError where there are less than
    two, or no layer that they pass can be treated.
    """
    model = single(model)
    x = like_model(joined(list(images)), model) if images else ()
    if not images or (count := count_of(x)) < 2:
        raise UntreatedError("Treatments are weighed on calibration images, two or more.", "Give --data (or images=).")
    layers = {layer.weight: layer for layer in treatable(graph, model)}
    with evaluating(model):
        inputs = _inputs_of(model, layers, images_of(x, 0, count // 2))
        weights = dict(model.named_parameters())
        tried = track(inputs.items(), "Trying treatments", total=len(inputs))
        every = {name: _changes(layers[name], weights[name].detach(), seen, offered) for name, seen in tried}
        changes = {name: each for name, each in every.items() if each.treatments}
        rises = _rises(model, changes, images_of(x, count // 2))
    if not rises:
        raise UntreatedError(
            "No layer of this network can be treated: those that could pad by name, do not run, or have no part in the "
            "outputs."
        )
    return {
        layers[name].name: {str(t): float(rise) for t, rise in zip(changes[name].treatments, rise, strict=True)}
        for name, rise in rises.items()
    }


@torch.no_grad()
def _inputs_of(model: nn.Module, layers: Mapping[str, Layer], x: Any) -> dict[str, _Inputs]:
    inputs: dict[str, _Inputs] = {}

    def watch(name: str, func: Any, given: Mapping[str, Any], call: Callable[..., Tensor]) -> Tensor:
        y = call()
        if name in layers and not isinstance(given.get("padding"), str):
            seen = inputs.setdefault(name, _Inputs(linear=func is F.linear))
            for _, rows, _ in columns(given["input"], y, given, seen.linear, given["weight"][0].numel()):
                seen.add(rows[0])
        return y

    with LayerCalls(model, watch), bar("Watching calibration images", count_of(x)) as shown:
        for part in parts_of(x, BATCH):
            run(model, part)
            shown.advance(count_of(part))
    return inputs


@torch.no_grad()
def _changes(layer: Layer, weight: Tensor, seen: _Inputs, offered: Sequence[Treatment]) -> _Changes:
    """Each of the treatments that fit on a layer, compensated."""
    order = neighbours(weight, folded_inputs(layer))
    upper = inverse_factor(seen.covariance()[order][:, order])
    filters = weight.float().flatten(1)
    chosen = tuple(t for t in offered if t != UNTREATED and not unfit(layer, t))
    changes = torch.empty(len(chosen), *filters.shape, device=weight.device)
    if chosen:
        changes[:, :, order] = compensated(filters[:, order], upper, chosen, shared=seen.linear) - filters[:, order]
    return _Changes(chosen, changes.flatten(1), seen.mean.float())


def _rises(model: nn.Module, changes: Mapping[str, _Changes], x: Any) -> dict[str, Tensor]:
    """[treatments] of each layer: half the mean square of what they do to the loss of an image."""
    squares: dict[str, Tensor] = {}
    size = 0  # images that run

    def watch(name: str, func: Any, given: Mapping[str, Any], call: Callable[..., Tensor]) -> Tensor:
        y = call()
        if name not in changes or not y.requires_grad:
            return y
        inputs, linear = given["input"].detach(), func is F.linear

        def gradient(g: Tensor) -> None:
            if linear:
                rows, wanted = (t.reshape(len(t), -1, t.shape[-1]).transpose(1, 2) for t in (inputs, g))
            else:
                rows, wanted = unfolded(inputs, given), g.flatten(2)
            effects = changes[name].effects(rows, wanted)
            if len(effects) % size == 0:  # frames or tokens of an image may lie on the first axis
                effects = effects.unflatten(0, (size, -1)).sum(1)
            squares[name] = squares.get(name, 0) + effects.double().square().sum(0)

        y.register_hook(gradient)
        return y

    generator = torch.Generator().manual_seed(0)
    with bar("Measuring what treatments cost", count_of(x)) as shown:
        for part in parts_of(x, BATCH):
            (given, leaves), size = differentiable(part, model, True), count_of(part)
            with torch.enable_grad(), LayerCalls(model, watch):
                torch.autograd.grad(loss_of(model(*given), generator), leaves, allow_unused=True)
            shown.advance(size)
    return {name: (0.5 * total / count_of(x)).cpu() for name, total in squares.items()}
