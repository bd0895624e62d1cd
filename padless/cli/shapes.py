"""The command that lists what is to be measured."""

from typing import Annotated

import torch
import typer

from padless.choose import Choices
from padless.choose.asked import shapes_to_measure
from padless.cli.app import Align, Dequantise, Freeze, Model, Outputs, Repair, Shape, TargetOption, Until, app
from padless.cli.options import DEFAULTS
from padless.cost.oracles.table import UNITS
from padless.errors import UsageError, suggest
from padless.hardware import load_target
from padless.inputs import load_model, parse_inputs, shapes_of
from padless.onnx import Reading
from padless.report.shapes import shapes_csv


@app.command("shapes")
def shapes_command(
    model: Model,
    target: TargetOption,
    oracle: Annotated[
        str | None,
        typer.Option("--oracle", help="'csv FILE', a table that is half filled: its rows are left out of the list."),
    ] = None,
    unit: Annotated[
        str, typer.Option("--unit", help=f"Of what you measure, the last column's name: {', '.join(UNITS)}.")
    ] = "cycles",
    align: Align = DEFAULTS.align,
    repair: Repair = DEFAULTS.repair,
    freeze: Freeze = None,
    outputs: Outputs = None,
    input_shape: Shape = None,
    dequantise: Dequantise = False,
    until: Until = None,
) -> None:
    """List every layer shape that `padless prune` will ask an oracle about, as a CSV table to be measured and filled in.

    The last column is empty. Fill it in, and give the file as `--oracle "csv FILE"`. Layers come as they are first, then at
    all pairs of widths that fill the target's units.

    Example: `padless shapes cifar10/resnet18 --target unit:16 --unit us > todo.csv`
    """
    if unit not in UNITS:
        raise UsageError(f"--unit cannot be {unit!r}. {suggest(unit, UNITS)}")
    reading = Reading(dequantise=dequantise, until=tuple(until or ()))
    choices = Choices(align=align, repair=repair, freeze=tuple(freeze or ()), outputs=outputs)
    torch.manual_seed(choices.seed)
    loaded = load_model(model, input_shape=shapes_of(input_shape, model), reading=reading)
    example = parse_inputs(loaded.inputs(input_shape))
    shapes = shapes_to_measure(loaded.model, example, load_target(target), oracle=oracle, choices=choices)
    print(shapes_csv(shapes, unit), end="")
