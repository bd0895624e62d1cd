"""Random numbers in the forward: what the original draws, and of that the part which a cut has kept.

A variational decoder or a generator with noise draws in evaluation, too. The cut network cannot draw the same numbers
where their shape has channels, so it is given those of the original.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from padless.graph import Graph, Keep, kept_positions
from padless.graph.dispatch import Dispatch

# Draws that do not depend on their operands' values. Any other (dropout, a choice by probabilities) is only seeded.
FRESH = frozenset(
    ("randn", "rand", "randint", "randn_like", "rand_like", "randint_like", "normal", "normal_", "uniform_")
)


class Draws:
    """The random numbers of one check, in the order in which they are drawn."""

    def __init__(self, graph: Graph, keep: Keep) -> None:
        self.graph, self.keep = graph, keep
        self.values = [op.outputs[0] for op in graph.recording.ops if _is_fresh(op.function)]
        self.drawn: list[Tensor] = []

    @contextmanager
    def original(self, seed: int) -> Iterator[None]:
        """Inside, what is drawn is noted."""
        self.drawn.clear()
        with torch.random.fork_rng(devices=[]), _Drawing(self, given=False):
            torch.manual_seed(seed)
            yield

    @contextmanager
    def cut(self, seed: int) -> Iterator[None]:
        """Inside, what was noted is drawn once more, where it still fits."""
        with torch.random.fork_rng(devices=[]), _Drawing(self, given=True):
            torch.manual_seed(seed)
            yield

    def kept(self, number: int) -> Tensor | None:
        """What is left of a draw, by its number; None where there was none."""
        if number >= len(self.drawn):
            return None
        drawn = self.drawn[number]
        along = self.graph.values.get(self.values[number]) if number < len(self.values) else None
        if along is not None and along.axis < drawn.ndim and drawn.shape[along.axis] == len(along.channels):
            positions = kept_positions(along.channels, self.keep)
            if positions is not None:
                return drawn.index_select(along.axis, torch.from_numpy(positions).clamp(min=0))
        return drawn


def _is_fresh(function: Any) -> bool:
    return function.namespace == "aten" and function.overloadpacket.__name__ in FRESH


class _Drawing(Dispatch):
    def __init__(self, draws: Draws, *, given: bool) -> None:
        super().__init__()
        self.draws, self.given, self.number = draws, given, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if _is_fresh(func):
            if self.given:
                kept = self.draws.kept(self.number)
                if kept is not None and kept.shape == result.shape:
                    result.copy_(kept)
            else:
                self.draws.drawn.append(result.clone())
            self.number += 1
        return result
