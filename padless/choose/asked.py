"""What an oracle will be asked when a network is pruned: the rows of a table that is still to be measured."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from padless.choose.choices import Choices
from padless.choose.offering import levels_of
from padless.choose.restrict import check_prunable, restricted
from padless.choose.tables import asked_shapes
from padless.cost import OracleLike
from padless.cost.oracles import open_oracle
from padless.graph import LayerShape, trace
from padless.hardware import Target
from padless.hardware.target import as_target
from padless.importance import importance


def shapes_to_measure(
    model: nn.Module,
    example: Sequence[Any],
    target: Target | str | Path,
    *,
    oracle: str | OracleLike | None = None,
    choices: Choices | None = None,
) -> dict[LayerShape, str]:
    """Every layer shape that `plan` with these choices may ask an oracle about, with the name of a layer that it is of.

    The layers as they are come first. Those that `oracle`, such as a table that is half filled, already has are left out.
    Of several `--steps` only the first is foreseen. Raises UsageError where nothing can be cut.
    """
    choices, hardware = choices or Choices(), as_target(target)
    graph = trace(model, *example, outputs=choices.outputs)
    check_prunable(graph)
    curves = importance(graph, model, "l1", ())  # which only a floor would look at
    shapes: dict[LayerShape, str] = {}
    for align in (choices.align, "unit") if choices.align == "cost" else (choices.align,):  # `cost` plans in both ways
        levels = levels_of(graph, hardware, replace(choices, align=align))
        for shape, layer in asked_shapes(graph, restricted(levels, graph, curves, choices)).items():
            shapes.setdefault(shape, layer)
    if oracle is None:
        return shapes
    with open_oracle(oracle, hardware) as opened:
        return {shape: layer for shape, layer in shapes.items() if not opened.has(shape)}
