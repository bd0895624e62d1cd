"""The command that plans without cutting."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import typer

from padless import report
from padless.choose import PEAKS
from padless.choose.budget import QUANTITIES
from padless.choose.frontier import pareto
from padless.cli.app import (
    Criterion,
    Data,
    Memory,
    Model,
    Oracle,
    Shape,
    System,
    TargetOption,
    TimeLimit,
    Weights,
    app,
    out,
)
from padless.cli.model import parse_shape
from padless.errors import UsageError, suggest
from padless.files import write_atomically
from padless.hardware import load_target
from padless.runs.prune import CALIBRATION, opened


@app.command("plan")
def plan_command(
    model: Model,
    target: TargetOption,
    points: Annotated[int, typer.Option("--pareto", min=2, help="How many budgets.")] = 20,
    quantity: Annotated[
        str, typer.Option("--quantity", help=f"{', '.join(q for q in QUANTITIES if q not in PEAKS)}.")
    ] = "cycles",
    weights: Weights = None,
    data: Data = None,
    importance: Criterion = None,
    time_limit: TimeLimit = 10.0,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31)] = 0,
    png: Annotated[Path | None, typer.Option("--png", help="Also draw it to this file.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write it, with all widths, here.")] = None,
    input_shape: Shape = None,
    oracle: Oracle = None,
    system: System = None,
    memory_mode: Memory = None,
) -> None:
    """Solve a family of budgets and show importance against cost, so that you can pick one for `padless prune`.

    Costs are sums over layers; the compiler is asked about the whole network when you prune.

    Example: `padless plan torchvision/mobilenet_v2 --target ethos-u55-256 --pareto 20 --png pareto.png`
    """
    if quantity not in QUANTITIES:
        raise UsageError(f"Unknown quantity {quantity!r}. {suggest(quantity, QUANTITIES)}")
    hardware = load_target(target)
    torch.manual_seed(seed)
    loaded, images = opened(model, weights, data, parse_shape(input_shape))
    made = pareto(
        loaded.model, torch.zeros(loaded.input_shape), target=hardware, quantity=quantity, points=points,
        importance_by=importance, images=list(images.calibration(CALIBRATION, seed)) if images else (),
        time_limit=time_limit, seed=seed, oracle=oracle, system_config=system, memory_mode=memory_mode,
    )  # fmt: skip
    title = f"{model} on {hardware.name}"
    if png:
        report.draw_frontier(made, quantity, png, title)
    if json_file:
        write_atomically(json_file, json.dumps([asdict(point) for point in made], indent=1) + "\n")
    out.print(report.frontier(made, quantity))
    for path in filter(None, (png, json_file)):
        out.print(f"Written: {path}")
