"""Treatments of a layer's weights by name: a grid of few levels a filter, two of four inputs, or both."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from padless.errors import UsageError

FINEST = 255  # levels; INT8 has no more that are symmetric
QUAD, KEPT = 4, 2  # neighbouring input channels, and how many of them keep their weights
LADDER = (5, 7, 9, 13, 17, 33)  # levels that `grid` stands for
OF_FEW = (9, 17)  # those of 2:4 on a grid
AUTO = "auto"  # stands for all that the target pays for


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What a layer's weights are brought to.

    `levels`, an odd number, are the values that a filter's weights may have: evenly spaced, zero among them, the outermost
    at the filter's largest weight. Compilers that store weights entropy-coded (Arm's Vela) fetch few values in few bytes.
    With `sparse` two of each four neighbouring input channels have no weight, at each place of the kernel: Ethos-U85
    multiplies by the others alone.
    """

    levels: int | None = None
    sparse: bool = False

    @classmethod
    def parse(cls, text: str) -> "Treatment":
        """Of `int8` (nothing), `grid:17`, `2:4`, `2:4+grid:17`. Raises UsageError for others."""
        levels, sparse = None, False
        for part in text.split("+") if text != "int8" else ():
            kind, _, number = part.partition(":")
            if part == "2:4" and not sparse:
                sparse = True
            elif kind == "grid" and levels is None and number.isdecimal() and number.isascii() and len(number) < 4:
                levels = int(number)
            else:
                raise UsageError(f"Unknown treatment {text!r}. Such are int8, grid:17, 2:4 and 2:4+grid:17.")
        if levels is not None and not (3 <= levels <= FINEST and levels % 2):
            raise UsageError(f"A grid has an odd number of levels from 3 to {FINEST}; got {text!r}.")
        return cls(levels=levels, sparse=sparse)

    def __str__(self) -> str:
        parts = ["2:4"] * self.sparse + [f"grid:{self.levels}"] * (self.levels is not None)
        return "+".join(parts) or "int8"

    def step(self, weights: Tensor, *, shared: bool = False) -> Tensor | None:
        """[filters, 1] the distance of two levels, for weights [filters, columns]; None without a grid.

        `shared` filters all have the widest one's, as those of a linear layer, which a file gives one scale.
        """
        if self.levels is None:
            return None
        largest = weights.abs().amax(1, keepdim=True)
        largest = largest.amax().expand_as(largest) if shared else largest
        return largest.clamp_min(torch.finfo(weights.dtype).tiny) / (self.levels // 2)

    def nearest(self, weight: Tensor) -> Tensor:
        """A layer's weights [filters, channels, ...] at the nearest allowed, the larger two of each four channels.

        Columns of a flattened map come place by place (`treat.layers.neighbours`).
        """
        if self.sparse:
            quads = weight.unflatten(1, (-1, QUAD))
            kept = torch.zeros_like(quads).scatter(2, quads.abs().topk(KEPT, dim=2).indices, 1.0)
            weight = (quads * kept).flatten(1, 2)
        rows = weight.flatten(1)
        return self.on_grid(rows, self.step(rows, shared=weight.ndim == 2)).reshape(weight.shape)

    def on_grid(self, weights: Tensor, step: Tensor | None) -> Tensor:
        """The nearest level of each weight."""
        if step is None or self.levels is None:
            return weights
        return nearest_level(weights, step, step.new_tensor(self.levels // 2))


def nearest_level(weights: Tensor, step: Tensor, half: Tensor) -> Tensor:
    """Weights at the nearest multiple of their `step`, `half` of them on either side of zero."""
    return (weights / step).round_().clamp_(-half, half).mul_(step)


UNTREATED = Treatment()


def listed(text: str) -> tuple[str, ...]:
    """The names in a text such as `grid,2:4`."""
    return tuple(filter(None, text.split(",")))


def offers(names: Sequence[str]) -> tuple[Treatment, ...]:
    """The treatments that are offered to a layer, the strongest first, and last none.

    `grid` stands for a ladder of grids, with `2:4` for 2:4 on grids, too, `auto` for all of these; others are treatments by
    name. Raises UsageError for what is unknown.
    """
    names = [part for name in names for part in (("grid", "2:4") if name == AUTO else (name,))]
    chosen = {UNTREATED}
    for name in names:
        if name == "grid":
            chosen |= {Treatment(levels=levels) for levels in LADDER}
        else:
            chosen.add(Treatment.parse(name))
    if {"grid", "2:4"} <= set(names):
        chosen |= {Treatment(levels=levels, sparse=True) for levels in OF_FEW}
    return tuple(sorted(chosen, key=lambda each: (not each.sparse, each.levels or FINEST + 1)))
