"""The command that plans without cutting."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import typer

from padless.choose import PEAKS, Choices
from padless.choose.budget import QUANTITIES
from padless.choose.frontier import pareto
from padless.cli.app import (
    PATIENCE,
    Align,
    Data,
    Dequantise,
    Freeze,
    Memory,
    Model,
    Oracle,
    OracleTimeout,
    Outputs,
    PreprocessOption,
    Shape,
    System,
    TargetOption,
    Until,
    VelaConfig,
    Weights,
    app,
    out,
)
from padless.cli.options import DEFAULTS, Criterion, TimeLimit
from padless.errors import UsageError, suggest
from padless.files import check_output, write_json
from padless.hardware import load_target
from padless.inputs import parse_inputs
from padless.onnx import Reading
from padless.report.frontier import draw_frontier, legend
from padless.report.frontier import frontier as frontier_table
from padless.report.picture import check_picture
from padless.runs.dense import opened
from padless.runs.prune import CALIBRATION


@app.command("plan")
def plan_command(
    model: Model,
    target: TargetOption,
    points: Annotated[int, typer.Option("--pareto", min=2, max=1000, help="How many budgets.")] = 20,
    quantity: Annotated[
        str, typer.Option("--quantity", help=f"{', '.join(q for q in QUANTITIES if q not in PEAKS)}.")
    ] = "cycles",
    weights: Weights = None,
    data: Data = None,
    preprocess: PreprocessOption = None,
    importance: Criterion = None,
    align: Align = DEFAULTS.align,
    freeze: Freeze = None,
    time_limit: TimeLimit = DEFAULTS.time_limit,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31)] = DEFAULTS.seed,
    png: Annotated[Path | None, typer.Option("--png", help="Also draw it to this file.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write it, with all widths, here.")] = None,
    input_shape: Shape = None,
    outputs: Outputs = None,
    dequantise: Dequantise = False,
    until: Until = None,
    oracle: Oracle = None,
    oracle_timeout: OracleTimeout = PATIENCE,
    system: System = None,
    memory_mode: Memory = None,
    vela_config: VelaConfig = None,
) -> None:
    """Solve a family of budgets and show importance against cost, so that you can pick one for `padless prune`.

    Costs are sums over layers, brought to the dense network's total; the compiler is asked about each whole network when you
    prune.

    Example: `padless plan torchvision/mobilenet_v2 --target ethos-u55-256 --pareto 20 --png pareto.png`
    """
    if quantity not in QUANTITIES:
        raise UsageError(f"Unknown quantity {quantity!r}. {suggest(quantity, QUANTITIES)}")
    check_picture(png, "Drawing a family of budgets")
    check_output(json_file)
    hardware = load_target(target, system=system, memory_mode=memory_mode, vela_config=vela_config)
    torch.manual_seed(seed)
    reading = Reading(dequantise=dequantise, until=tuple(until or ()))
    loaded, images = opened(model, weights, data, input_shape, reading, preprocess, outputs)
    example = parse_inputs(loaded.inputs(input_shape))
    choices = Choices(
        importance=importance,
        align=align,
        freeze=tuple(freeze or ()),
        outputs=outputs,
        time_limit=time_limit,
        seed=seed,
    )
    frontier = pareto(
        loaded.model, *example, target=hardware, quantity=quantity, points=points,
        images=images.calibration(CALIBRATION, seed) if images else (), oracle=oracle,
        choices=choices,
    )  # fmt: skip
    title = f"{model} on {hardware.name}"
    if png:
        draw_frontier(frontier, quantity, png, title)
    if json_file:
        write_json(json_file, [asdict(point) for point in frontier])
    out.print(frontier_table(frontier, quantity))
    for line in legend(frontier, quantity, str(choices.criterion([images] if images else []))):
        out.print(line)
    for path in filter(None, (png, json_file)):
        out.print(f"Written: {path}")
