"""The commands that work on a model."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from padless.choose import Choices
from padless.choose.paying import FEW, with_few_values
from padless.cli.app import (
    PATIENCE,
    Align,
    Data,
    Dequantise,
    Freeze,
    Limit,
    Memory,
    MemoryOracle,
    Model,
    Oracle,
    OracleTimeout,
    Outputs,
    PreprocessOption,
    Repair,
    Shape,
    System,
    TargetOption,
    Until,
    VelaConfig,
    Weights,
    app,
    out,
)
from padless.cli.closing import command_line, default_folder, finish
from padless.cli.export import FORMATS_HELP, show
from padless.cli.options import DEFAULTS, Criterion, TimeLimit
from padless.cost import NetworkCost
from padless.cost.pricing import Pricing
from padless.errors import UsageError
from padless.files import check_output, write_atomically, write_json
from padless.hardware import load_target
from padless.inputs import load_model, load_weights, parse_inputs, shapes_of
from padless.onnx import Reading
from padless.progress import console
from padless.report.beside import beside_table
from padless.report.inspection import inspection
from padless.report.report import Report
from padless.report.roofline import roofline_page
from padless.report.tables import layers
from padless.runs.export import Handover, export_folder
from padless.runs.job import CALIBRATION, Job
from padless.runs.prune import run
from padless.runs.trust import TRUSTED
from padless.treat.treatment import listed


@app.command("inspect")
def inspect_command(
    model: Model,
    target: TargetOption,
    input_shape: Shape = None,
    weights: Weights = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write layers and totals to this file.")] = None,
    page: Annotated[
        Path | None,
        typer.Option("--roofline", help="Also write the roofline, utilisation per layer, to this HTML file."),
    ] = None,
    outputs: Outputs = None,
    dequantise: Dequantise = False,
    until: Until = None,
    oracle: Oracle = None,
    memory_oracle: MemoryOracle = None,
    oracle_timeout: OracleTimeout = PATIENCE,
    system: System = None,
    memory_mode: Memory = None,
    vela_config: VelaConfig = None,
) -> None:
    """Show what a network computes, stores and wastes on an NPU, layer by layer; what can be cut, what stays, and why.

    Example: `padless inspect torchvision/mobilenet_v2 --target ethos-u55-256`
    """
    check_output(json_file)
    check_output(page)
    hardware = load_target(target, system=system, memory_mode=memory_mode, vela_config=vela_config)
    torch.manual_seed(0)
    reading = Reading(dequantise=dequantise, until=tuple(until or ()))
    loaded = load_model(model, input_shape=shapes_of(input_shape, model), reading=reading)
    example = parse_inputs(loaded.inputs(input_shape))
    if weights:
        load_weights(loaded.model, weights)
    with Pricing(
        loaded.model, example, hardware, oracle=oracle, memory_oracle=memory_oracle, outputs=outputs
    ) as pricing:  # fmt: skip
        cost = pricing.dense()
        few = with_few_values(pricing, cost)
    if page:
        write_atomically(page, roofline_page(cost, hardware, f"{model} on {hardware.name}"))
    if json_file:
        write_json(json_file, inspection(cost))
    out.print(layers(cost, f"{model} on {hardware.name}"))
    if few:
        out.print(of_weights(cost, few))
    for path in filter(None, (page, json_file)):
        out.print(f"Written: {path}")


@app.command("prune")
def prune_command(
    model: Model,
    target: TargetOption,
    budget: Annotated[
        list[str],
        typer.Option(
            "--budget",
            help="QUANTITY=SHARE or =NUMBER: cycles=50%, macs=0.5, weight_bytes=300k, sram=100KiB, latency=5ms; may be "
            "given several times. Quantities: cycles (total), npu_cycles (without waiting for outer memory), latency (the "
            "oracle's time, or its cycles at the system's clock), macs, padded_macs, weight_bytes, padded_weight_bytes, "
            "peak_sram_bytes or sram and flash_bytes or flash (the compiler's), peak_activation_bytes (by live ranges).",
        ),
    ],
    weights: Weights = None,
    data: Data = None,
    preprocess: PreprocessOption = None,
    importance: Criterion = None,
    allocate: Annotated[
        str,
        typer.Option(
            "--allocate",
            help="optimal: the most importance within the budgets, with a proof. Baselines: greedy (importance per cost), "
            "frozen (a knapsack over outputs alone), uniform (one ratio), global (one threshold).",
        ),
    ] = DEFAULTS.allocate,
    time_limit: TimeLimit = DEFAULTS.time_limit,
    align: Align = DEFAULTS.align,
    repair: Repair = DEFAULTS.repair,
    freeze: Freeze = None,
    outputs: Outputs = None,
    floor: Annotated[
        float,
        typer.Option("--floor", min=0, max=1, help="The share of its importance that every group keeps at least."),
    ] = DEFAULTS.floor,
    treat: Annotated[
        str,
        typer.Option(
            "--treat",
            help="Treatments of weights that layers are offered beside widths, with commas: grid (33 to 5 values a filter, "
            "which Ethos-U stores in fewer bytes), 2:4 (two of four inputs are zero), single ones such as grid:17; or auto: "
            "all that pay on the target. Needs --data. See docs/weights.md.",
        ),
    ] = "",
    depth: Annotated[
        bool,
        typer.Option(
            "--depth",
            help="Whole branches may go, too, where the network goes on beside them: budgets come within reach that no "
            "widths meet. Needs --data. See docs/choosing.md.",
        ),
    ] = DEFAULTS.depth,
    steps: Annotated[
        int,
        typer.Option("--steps", min=1, max=64, help="Prune in so many stages, each scored on the recovered network."),
    ] = 1,
    recover: Annotated[
        str,
        typer.Option(
            "--recover",
            help="What gives accuracy back without labels: bn (batch norm statistics), mix (missing inputs from the "
            "others), least-squares (all weights solved for), none, or auto: the one that agrees best with the dense "
            "network on held-out calibration images.",
        ),
    ] = "auto",
    calibration: Annotated[
        int,
        typer.Option("--calibration", min=2, help="Training images for importance and recovery; no labels are used."),
    ] = CALIBRATION,
    epochs: Annotated[
        int,
        typer.Option("--epochs", min=0, help="Fine-tuning epochs; needs --data. For long ones see `padless finetune`."),
    ] = 0,
    regularize: Annotated[
        int,
        typer.Option(
            "--regularize",
            min=0,
            help="Epochs of training the dense network towards empty channels before the cut; needs --data. Off: on the "
            "demo's digits it made no difference.",
        ),
    ] = 0,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also test both networks as INT8 arithmetic rounds them; needs --data.")
    ] = False,
    export: Annotated[
        list[str] | None,
        typer.Option("--export", help=f"Also write {FORMATS_HELP}; may be given several times. See `padless export`."),
    ] = None,
    out_dir: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the results; by default one in runs/ that no other command has."),
    ] = None,
    limit: Limit = "",
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**31, help="Seeds weights, calibration, augmentation and the check.")
    ] = DEFAULTS.seed,
    input_shape: Shape = None,
    dequantise: Dequantise = False,
    until: Until = None,
    oracle: Oracle = None,
    memory_oracle: MemoryOracle = None,
    oracle_timeout: OracleTimeout = PATIENCE,
    system: System = None,
    memory_mode: Memory = None,
    vela_config: VelaConfig = None,
) -> None:
    """Prune a network to a budget on an NPU, recover it, and write the smaller network with a summary.

    The folder gets plan.json, model.safetensors, summary.json, report.json and report.html, and model.onnx where MODEL is an
    ONNX file: its graph, smaller. Without --data nothing is recovered or tested.

    Example: `padless prune cifar10/vgg16_bn --weights vgg16_bn.safetensors --data uoft-cs/cifar10 --target ethos-u55-256
    --budget cycles=50% --epochs 1`
    """
    handover = Handover(formats=tuple(export or ()))
    if handover.needs_images and not data:
        raise UsageError("INT8 files need images to see ranges on. Give --data, or --export onnx.")
    if not data and (idle := _idle(recover=recover, calibration=calibration)):
        console.print(f"{idle} no effect without --data: nothing is recovered.", style="yellow")
    choices = Choices(
        importance=importance, allocate=allocate, align=align, repair=repair, freeze=tuple(freeze or ()), floor=floor,
        outputs=outputs, treat=listed(treat), depth=depth, time_limit=time_limit, seed=seed,
    )  # fmt: skip
    hardware = load_target(target, system=system, memory_mode=memory_mode, vela_config=vela_config)
    job = Job(
        model=model, target=hardware, budgets=tuple(budget),
        weights=weights, data=data, preprocess=preprocess, choices=choices, steps=steps, recover=recover,
        calibration=calibration, regularize=regularize, epochs=epochs, int8=int8, inputs=tuple(input_shape or ()),
        oracle=oracle, memory_oracle=memory_oracle, reading=Reading(dequantise=dequantise, until=tuple(until or ())),
        limit=limit, out=out_dir or default_folder(model, target, "-".join(budget), choices, data), command=command_line(),
    )  # fmt: skip
    finish(run(job), job.out)
    if export:
        show(export_folder(job.out, handover, TRUSTED))


def of_weights(cost: NetworkCost, few: NetworkCost) -> str:
    """What a network that waits for its weights would take, were they of few values."""
    assert cost.cycles
    assert few.cycles
    total, now, waits = cost.cycles.total, few.cycles.total, cost.cycles.total - cost.cycles.npu
    return (
        f"{100 * waits / total:.0f} % of the {cost.unit} wait for memory. With {FEW.levels} values a filter in its inner "
        f"layers it would take {now:,}, {100 * now / total:.1f} %: see padless treat, and --treat of padless prune."
    )


def _idle(*, recover: str, calibration: int) -> str:
    """The options that were given and are for images: the beginning of a sentence, empty where there are none."""
    given = ["--recover"] * (recover not in ("auto", "none")) + ["--calibration"] * (calibration != CALIBRATION)
    return f"{' and '.join(given)} {'have' if len(given) > 1 else 'has'}" if given else ""


@app.command("demo")
def demo_command(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("padless-demo"),
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31)] = 0,
) -> None:
    """The embedded default, in some minutes: train a small ResNet on handwritten digits, halve its cycles.

    The network is pruned to half its cycles on an Arm Ethos-U55-256, recovered, fine-tuned, reported and written as INT8
    TFLite, whose accuracy is measured in LiteRT. General pruning to the same cycles stands beside it. No network access.
    """
    from padless.demo import demo

    summary = demo(out_dir, seed, command_line())
    finish(summary, out_dir)
    out.print(beside_table(summary, Report.read(out_dir)))
    show(export_folder(out_dir, Handover(), TRUSTED))
    out.print(f"Compile it for the NPU, with a C array: padless export {out_dir} --compile")
