"""What the loss suffers when channels go and the others make up for them, measured on every image.

Half the square of what a change of a layer's input does to the loss, to first order: the Fisher information along that
change (Theis et al., arXiv:1801.05787, take it for single feature maps). A change is summed over the positions of an
image before it is squared, since errors at neighbouring positions agree: adding their squares instead, as the diagonal of
the Fisher information does, makes large maps look up to a hundred times too cheap (measured on ResNet-18).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from padless.batches import count_of, parts_of
from padless.calls import LayerCalls, channel_rows, evaluating
from padless.graph import ChannelGroup
from padless.importance.observed import BATCH, Seen, differentiable, loss_of
from padless.progress import bar

LEVELS = 8  # widths of a group at which it is measured
ENTRIES = 1 << 24  # of products of inputs and gradients that are held at once

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Removal:
    """One group's channels in the input of one layer, and how those that are left make up for them at each level."""

    group: str
    front: Tensor  # [C] the inputs: those that never go, then the group's, the most important first
    gone: tuple[Tensor, ...]  # a level each: [gone, left] x[gone] ~ gone @ x[left], where left come first in `front`

    def effects(self, gradients: Tensor, inputs: Tensor) -> Tensor:
        """[N, levels] what each level does to each image's loss; gradients by its inputs, and these, [N, places, C]."""
        never, changes = self.gone[0].shape[1], self._changes()
        size = max(1, ENTRIES // changes[0].numel())
        effects = []
        for rows, columns in zip(gradients.split(size), inputs.split(size), strict=True):
            own = rows[:, :, self.front[never:]] if never else rows
            products = own.transpose(1, 2) @ columns  # [n, group, C]
            effects.append(products.flatten(1) @ changes.flatten(1).T)
        return torch.cat(effects)

    def _changes(self) -> Tensor:
        """[levels, group, C] what each level takes from the group's channels, as sums of the inputs.

        The channels lie in the order of `front`, or in the inputs' own where they are all of them: then nothing is sorted.
        """
        never, front = self.gone[0].shape[1], self.front
        places = torch.arange(len(front) - never, device=front.device) if never else front
        changes = torch.zeros(len(self.gone), len(places), len(front), device=front.device)
        for change, update in zip(changes, self.gone, strict=True):
            left = update.shape[1]
            change[places[left - never :, None], front[:left]] = -update
            change[places[left - never :], front[left:]] = 1.0
        return changes


def levels(width: int) -> Places:
    """Widths, from 0, at which a group is measured."""
    widths: Places = np.unique(np.linspace(0, width, LEVELS + 1).round().astype(np.int64))[:-1]
    return widths


def removal(group: ChannelGroup, order: Places, places: Places, inverse: Tensor) -> Removal:
    """`places` [width] are the group's channels in a layer's input, the inverse of whose covariance is [C, C]."""
    never = np.setdiff1d(np.arange(len(inverse)), places)
    front = torch.from_numpy(np.concatenate([never, places[order]])).to(inverse.device)
    rows = inverse[front[len(never) :]][:, front]  # [width, C]
    gone = []
    for width in levels(group.width):
        left, last = len(never) + int(width), rows[int(width) :]
        gone.append(-torch.linalg.solve(last[:, left:], last[:, :left]).float())
    return Removal(group=group.id, front=front, gone=tuple(gone))


def losses(
    model: nn.Module, images: Sequence[Any], seen: Mapping[str, Seen], removals: Mapping[str, Sequence[Removal]]
) -> dict[str, npt.NDArray[np.float64]]:
    """For each group [levels] the loss' expected rise per image; `removals` by the weight of the layer that reads it."""
    means = {name: (seen[name].total / seen[name].rows).float() for name in removals}
    squares: dict[str, Tensor] = {}
    effects: dict[str, Tensor] = {}
    size = 0  # images that run

    def watch(name: str, func: Any, given: Mapping[str, Any], call: Callable[..., Tensor]) -> Tensor:
        if name not in removals:
            return call()
        x, linear = given["input"], func is F.linear
        alias = x.view_as(x)  # its gradient is this layer's alone

        def gradient(g: Tensor) -> None:
            if linear:
                rows, inputs = (channel_rows(t, True, seen[name].folded)[:, None] for t in (g, x.detach()))
            else:
                rows, inputs = (t.flatten(2).transpose(1, 2) for t in (g, x.detach()))  # not copied
            runs = size if rows[:, :, 0].numel() % size == 0 else len(g)  # frames or tokens may lie on the first axis
            rows, inputs = (t.reshape(runs, -1, t.shape[2]) for t in (rows, inputs - means[name]))
            for part in removals[name]:
                effects[part.group] = effects.get(part.group, 0) + part.effects(rows, inputs)

        alias.register_hook(gradient)
        return call(alias)

    generator, count = torch.Generator().manual_seed(0), 0
    with evaluating(model), bar("Measuring what the loss suffers", sum(map(count_of, images))) as shown:
        for batch in images:
            for part in parts_of(batch, BATCH):
                (x, leaves), size = differentiable(part, model, True), count_of(part)
                effects.clear()
                with torch.enable_grad(), LayerCalls(model, watch):
                    torch.autograd.grad(loss_of(model(*x), generator), leaves, allow_unused=True)
                for group, effect in effects.items():
                    squares[group] = squares.get(group, 0) + effect.double().square().sum(0)
                count += size
                shown.advance(size)
    return {group: (0.5 * total / count).cpu().numpy() for group, total in squares.items()}
