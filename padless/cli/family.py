"""The command that plans without cutting."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from padless.choose import PEAKS, Choices
from padless.choose.budget import QUANTITIES
from padless.choose.frontier import pareto
from padless.choose.resolutions import resolutions
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
from padless.inputs import LoadedModel, Preprocess, load_images, parse_inputs
from padless.onnx import Reading
from padless.report.frontier import draw_frontier, legend
from padless.report.frontier import frontier as frontier_table
from padless.report.picture import check_picture
from padless.report.resolutions import LEGEND, resolution_table
from padless.runs.dense import opened
from padless.runs.job import CALIBRATION


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
    sizes: Annotated[
        str,
        typer.Option(
            "--resolutions",
            help="Sizes of the picture that goes in, with commas, such as 224,192,160: each is priced, and budgets that are "
            "shares of the first one's cost are solved at each, side by side, in place of the family.",
        ),
    ] = "",
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
    Example: `padless plan torchvision/mobilenet_v2 --target ethos-u55-256 --resolutions 224,192,160`
    """
    if sizes and png:
        raise UsageError("--png draws a family of budgets. Leave it or --resolutions out.")
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
    if sizes:
        examples, pictures = _at(sizes, loaded, input_shape, data, preprocess, seed)
        found = resolutions(
            loaded.model, examples, target=hardware, quantity=quantity, images=pictures, oracle=oracle, choices=choices
        )
        if json_file:
            write_json(json_file, [asdict(each) for each in found])
        out.print(resolution_table(found, quantity))
        out.print(LEGEND)
        if json_file:
            out.print(f"Written: {json_file}")
        return
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


def _at(
    sizes: str,
    loaded: LoadedModel,
    input_shape: list[str] | None,
    data: str | None,
    preprocess: str | None,
    seed: int,
) -> tuple[dict[str, tuple[Any, ...]], dict[str, list[Any]]]:
    """The network's input, and calibration images, at each size."""
    example = parse_inputs(loaded.inputs(input_shape))
    shape = tuple(example[0].shape) if len(example) == 1 and isinstance(example[0], torch.Tensor) else ()
    if len(shape) != 4:
        raise UsageError("--resolutions is for networks that take one batch of pictures [N, C, rows, columns].")
    wanted = [part.strip() for part in sizes.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) > 0 for part in wanted):
        raise UsageError(f"Cannot read the resolutions {sizes!r}. Write sizes of squares with commas: 224,192,160.")
    how = Preprocess.parse(preprocess) if preprocess else loaded.preprocess
    examples, images = {}, {}
    for size in dict.fromkeys(map(int, wanted)):
        name = f"{size}x{size}"
        examples[name] = (torch.zeros(*shape[:2], size, size),)
        if data:
            pictures = load_images(data, shape=(shape[1], size, size), preprocess=how)
            images[name] = list(pictures.calibration(CALIBRATION, seed))
    return examples, images
