"""Resolutions of the input side by side: what each costs at which widths, so that one can be picked and then tested."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from padless.choose.choices import Choices
from padless.choose.frontier import FrontierPoint, family_of
from padless.cost import OracleLike
from padless.errors import UsageError
from padless.hardware import Target

SHARES = (1.0, 0.75, 0.5, 0.35, 0.25)  # of what the dense network costs at the first resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """One resolution. `dense` is what the dense network costs there, `share` that of its cost at the first one.

    `points` has for each share of the latter the best widths within it; None where none are narrow enough. The importance
    kept is of what the dense network has at this resolution: what the resolution itself loses is not in it.
    """

    name: str
    dense: float
    share: float
    points: tuple[FrontierPoint | None, ...]


def resolutions(
    model: nn.Module,
    examples: Mapping[str, tuple[Any, ...]],
    *,
    target: Target | str | Path,
    quantity: str = "cycles",
    shares: Sequence[float] = SHARES,
    images: Mapping[str, Iterable[Any]] | None = None,
    oracle: str | OracleLike | None = None,
    choices: Choices | None = None,
) -> list[Resolution]:
    """What `model` costs on inputs of several sizes, and the importance that the best widths keep at equal budgets.

    `examples` are the forward's arguments by the name of each resolution, the first being what budgets are shares of;
    `images` calibration batches of that size. Other arguments, and what costs are, as for `padless.pareto`.

    Raises UsageError for fewer than two resolutions, TraceError where the network does not take one, and what `pareto` does.
    """
    if len(examples) < 2:
        raise UsageError(f"Resolutions are compared with one another: give two or more; got {len(examples)}.")
    found: list[Resolution] = []
    whole = 0.0
    for name, example in examples.items():
        family = family_of(model, example, target, quantity, (images or {}).get(name, ()), oracle, choices or Choices())
        whole = whole or family.total
        points = [family.best(share * whole / family.whole) for share in shares]
        found.append(
            Resolution(name=name, dense=family.total * family.unit, share=family.total / whole, points=tuple(points))
        )
    return found
