"""Reconstruction error as importance: what the loss is expected to suffer when channels go and the rest makes up for them.

Which channels go first is decided by Optimal Brain Surgeon (Hassibi and Stork, NIPS 1992) on the covariance of the
consumers' inputs, with whole channels as units, a few at a time (compare OSSCAR, Meng et al., ICML 2024; ZipLM, Kurtic et
al., NeurIPS 2023): the output error that remains after the other weights have been adjusted in closed form, weighed by
half the squared gradient at each output (the diagonal of a Kronecker-factored Fisher: Martens and Grosse, ICML 2015). How
much the loss then suffers at each width is measured once more on every image (`losses`).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from padless.graph import ChannelGroup, Graph
from padless.importance.curves import Array, Curve, Importance
from padless.importance.losses import Removal, levels, losses, removal
from padless.importance.observed import Seen, observe
from padless.moments.gram import gram
from padless.progress import track

STEPS = 64  # rounds of elimination a group
DEAD = 1e-6  # of the loss that a whole group's removal costs


@dataclass(slots=True, eq=False)
class _Consumer:
    """A layer that reads the group: what its inputs say of one another, its weights' products in the loss' metric.

    Both are of the channels that are left.
    """

    inverse: Tensor  # [left, left] the group's part of the inverse covariance of the inputs that are left
    products: Tensor  # [left, left]: 1/2 sum over outputs o and taps k of F_o W[o, i, k] W[o, j, k]
    places: Tensor  # [width] where the group's channels lie

    def errors(self) -> Tensor:
        """[left] what the loss suffers when one of the channels goes."""
        return self.products.diagonal().clamp_min(0) / self.inverse.diagonal().clamp_min(1e-30)

    def eliminate(self, gone: Tensor, stay: Tensor) -> float:
        """Some of the channels go, the others make up for them; what that costs.

        What other groups' channels make up for is in the inverse; their own weights are not asked for.
        """
        block, across = _among(self.inverse, gone, gone), _among(self.inverse, stay, gone)
        lost, shared = _among(self.products, gone, gone), _among(self.products, stay, gone)
        error = float((torch.linalg.inv(block) * lost).sum())
        update = torch.linalg.solve(block, across.T)  # [gone, stay]: W[:, stay] -= W[:, gone] @ update
        half = update.T @ lost / 2 - shared
        twice = torch.cat([half, update.T], dim=1) @ torch.cat([update, half.T])  # half @ update and its transpose
        self.products = _among(self.products, stay, stay).add_(twice)
        self.inverse = _among(self.inverse, stay, stay).addmm_(across, update, alpha=-1)
        return max(0.0, error)


def _among(matrix: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Some rows and columns, copied."""
    return matrix.index_select(1, columns).index_select(0, rows)


def reconstruction(graph: Graph, model: nn.Module, images: Sequence[Any]) -> Importance:
    """Curves in the unit of the loss, per image: the loss' rise at width 0 less the rise at each width."""
    seen = observe(graph, model, images)
    weights = dict(model.named_parameters())
    curves: dict[str, Curve] = {}
    removals: dict[str, list[Removal]] = defaultdict(list)
    inverses = {  # in layers of several groups of filters a channel has several places
        name: torch.linalg.inv(layer_seen.covariance())
        for name, layer_seen in seen.items()
        if layer_seen.layer.groups == 1
    }
    for group in track(graph.groups, "Eliminating channels", total=len(graph.groups)):
        if group.pinned:
            curves[group.id] = Curve(order=np.arange(group.width), kept=np.zeros(group.width + 1))
            continue
        consumers = {
            name: c
            for name, inverse in inverses.items()
            if (c := _consumer(group, seen[name], weights, inverse)) is not None
        }
        curves[group.id] = _eliminated(group, list(consumers.values())) if consumers else _silenced(group, seen)
        for name, consumer in consumers.items():
            order, places = curves[group.id].order, consumer.places.numpy()
            removals[name].append(removal(group, order, places, inverses[name]))
    for id, measured in losses(model, images, seen, removals).items():
        curves[id] = _measured(curves[id], measured)
    return Importance(curves=curves, comparable=True)


def _measured(curve: Curve, rises: Array) -> Curve:
    """A curve brought to what was measured at some widths, and between them in proportion.

    Where all that goes is dead there is nothing to compare.
    """
    width = len(curve.order)
    estimated = curve.kept[-1] - curve.kept
    at = levels(width)
    sound = (rises > DEAD * rises.max()) & (estimated[at] > DEAD * estimated.max())
    if not sound.any():
        return curve
    ratios = np.log(rises[sound] / estimated[at][sound])
    errors = estimated * np.exp(np.interp(np.arange(width + 1), at[sound], ratios))
    errors = np.maximum.accumulate(errors[::-1])[::-1]  # fewer channels are never better
    return Curve(order=curve.order, kept=errors[0] - errors)


def _eliminated(group: ChannelGroup, consumers: list[_Consumer]) -> Curve:
    left = np.arange(group.width)
    errors, gone = np.zeros(group.width + 1), []
    total, chunk = 0.0, max(1, group.width // STEPS)
    while len(left):
        rises = np.sum([c.errors().cpu().numpy() for c in consumers], axis=0)
        worst = np.argsort(rises, kind="stable")[:chunk]
        stay = np.setdiff1d(np.arange(len(left)), worst)
        before = total
        total += sum(c.eliminate(torch.from_numpy(worst), torch.from_numpy(stay)) for c in consumers)
        for i, channel in enumerate(left[worst], start=1):
            gone.append(int(channel))
            errors[group.width - len(gone)] = before + (total - before) * i / len(worst)
        left = left[stay]
    return Curve(order=np.array(gone[::-1]), kept=errors[0] - errors)


def _silenced(group: ChannelGroup, seen: dict[str, Seen]) -> Curve:
    """Where no layer that was seen reads the group: what its own outputs weigh."""
    scores: Array = np.zeros(group.width)
    for layer_seen in seen.values():
        outputs = layer_seen.layer.outputs
        within = (outputs >= group.first) & (outputs < group.first + group.width)
        if within.any():
            weigh = (
                0.5 * layer_seen.gradient_squares * layer_seen.output_squares / layer_seen.outputs / layer_seen.images
            )
            np.add.at(scores, outputs[within] - group.first, weigh.cpu().numpy()[within])
    order = np.argsort(-scores, kind="stable")
    return Curve(order=order, kept=np.concatenate([[0.0], np.cumsum(scores[order])]))


def _consumer(group: ChannelGroup, seen: Seen, weights: Mapping[str, Tensor], inverse: Tensor) -> _Consumer | None:
    layer = seen.layer
    inputs = layer.inputs[:: seen.folded]
    places = np.flatnonzero((inputs >= group.first) & (inputs < group.first + group.width))
    if len(places) != group.width or layer.weight not in weights or not isinstance(seen.gradient_squares, Tensor):
        return None  # not there, or several places a channel
    at = torch.empty(group.width, dtype=torch.int64)
    at[torch.from_numpy(inputs[places] - group.first)] = torch.from_numpy(places)
    return _Consumer(inverse=inverse[at][:, at], products=_products(seen, weights[layer.weight], at), places=at)


def _products(seen: Seen, weight: Tensor, places: Tensor) -> Tensor:
    """[width, width] those of the weights that read some of a layer's inputs, in the loss' metric."""
    weigh = 0.5 * seen.gradient_squares / seen.images  # [O]
    filters = weight.detach().double()
    filters = filters.transpose(0, 1) if seen.layer.transposed else filters
    taps = filters.reshape(len(filters), seen.layer.c_in // seen.folded, -1)  # or the places of a flattened map
    flat = (taps[:, places].movedim(1, -1) * weigh.sqrt()[:, None, None]).flatten(0, 1)
    return gram(flat)
