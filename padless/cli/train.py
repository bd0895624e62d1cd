"""The command that trains."""

from pathlib import Path
from typing import Annotated

import typer

from padless.cli.app import (
    PATIENCE,
    Data,
    MemoryOracleAgain,
    ModelAgain,
    OracleAgain,
    OracleTimeout,
    PreprocessOption,
    TargetAgain,
    Trust,
    Weights,
    app,
    out,
)
from padless.cli.closing import command_line, moved, tell_budgets
from padless.report.summary import Summary
from padless.train import Recipe, peak_lr
from padless.train.recipe import FIXED_NORMS_LR

_DEFAULT = Recipe()


@app.command("finetune")
def finetune_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that `padless prune --out` wrote.")],
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Folder for the results; DIR-finetuned by default.")
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs")] = _DEFAULT.epochs,
    batch: Annotated[int, typer.Option("--batch", help="Images a step, on all devices together.")] = _DEFAULT.batch,
    lr: Annotated[
        float | None,
        typer.Option(
            "--lr",
            help=f"The highest learning rate: {_DEFAULT.peak_lr}, for ONNX files (fixed norms) {FIXED_NORMS_LR}.",
        ),
    ] = None,
    schedule: Annotated[
        str, typer.Option("--schedule", help="one-cycle (up for a quarter of the steps, then down) or cosine.")
    ] = _DEFAULT.schedule,
    weight_decay: Annotated[float, typer.Option("--weight-decay")] = _DEFAULT.weight_decay,
    label_smoothing: Annotated[float, typer.Option("--label-smoothing")] = _DEFAULT.label_smoothing,
    distill: Annotated[
        float, typer.Option("--distill", help="The dense network's share of the loss; 0: labels alone.")
    ] = _DEFAULT.distill,
    temperature: Annotated[
        float, typer.Option("--temperature", help="At which its class scores are compared.")
    ] = _DEFAULT.temperature,
    features: Annotated[
        float, typer.Option("--features", help="Weight of the distance to its maps, such as 1; 0: none.")
    ] = _DEFAULT.features,
    mixup: Annotated[float, typer.Option("--mixup", help="Mixing of images, such as 0.2; 0: none.")] = _DEFAULT.mixup,
    ema: Annotated[
        float,
        typer.Option("--ema", help="Decay of an average of the weights, kept in their place, such as 0.999; 0: none."),
    ] = _DEFAULT.ema,
    augment: Annotated[
        str,
        typer.Option(
            "--augment",
            help="auto (images are cropped, and mirrored where that keeps the label; arrays stay), none, flip, crop, or "
            "package.module:function (samples, generator -> samples).",
        ),
    ] = _DEFAULT.augment,
    clip: Annotated[float, typer.Option("--clip", help="The gradients' largest norm; 0: any.")] = _DEFAULT.clip,
    precision: Annotated[
        str, typer.Option("--precision", help="float32, bfloat16, or auto: what is faster on the device.")
    ] = _DEFAULT.precision,
    channels_last: Annotated[bool, typer.Option("--channels-last", help="Lay maps out with channels last.")] = False,
    compile: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31)] = 0,
    data: Data = None,
    preprocess: PreprocessOption = None,
    weights: Weights = None,
    accelerator: Annotated[str, typer.Option("--accelerator", help="cpu, cuda, mps, or auto.")] = "auto",
    devices: Annotated[int, typer.Option("--devices", min=1, help="How many of this machine; one process each.")] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in OUT.training, if there is one.")
    ] = False,
    checkpoint_seconds: Annotated[
        float, typer.Option("--checkpoint-every", min=0, help="Seconds between checkpoints; also after each epoch.")
    ] = 60.0,
    model: ModelAgain = None,
    target: TargetAgain = None,
    oracle: OracleAgain = None,
    memory_oracle: MemoryOracleAgain = None,
    oracle_timeout: OracleTimeout = PATIENCE,
    trust: Trust = False,
) -> None:
    """Fine-tune a pruned network, with the dense one as its teacher, into a folder of the same kind.

    Data, their preprocessing and weights are those that the run was made with, unless given. Stop it whenever you like:
    --resume continues to the same result. Several machines: `torchrun … -m padless finetune DIR`, with DIR on
    a disk that all see.

    Example: `padless finetune runs/small --epochs 10 --resume`
    """
    from padless.runs.exchange import mended
    from padless.runs.finetune import Finetuning, run_finetuning
    from padless.runs.trust import Repeated

    rate = peak_lr(Summary.read(mended(folder)).model.endswith(".onnx"))
    recipe = Recipe(
        epochs=epochs, batch=batch, peak_lr=lr or rate, schedule=schedule, weight_decay=weight_decay,  # type: ignore[arg-type]
        label_smoothing=label_smoothing, distill=distill, temperature=temperature, features=features, mixup=mixup, ema=ema,
        augment=augment, clip=clip, precision=precision, channels_last=channels_last, compile=compile, seed=seed,  # type: ignore[arg-type]
    )  # fmt: skip
    repeated = Repeated(model=model, target=target, oracle=oracle, memory_oracle=memory_oracle, data=data, trust=trust)
    results = out_dir or folder.resolve().with_name(f"{folder.resolve().name}-finetuned")
    summary = run_finetuning(Finetuning(
        folder=folder, out=results, recipe=recipe, repeated=repeated, preprocess=preprocess, weights=weights,
        accelerator=accelerator, devices=devices, resume=resume, checkpoint_seconds=checkpoint_seconds,
        command=command_line(),
    ))  # fmt: skip
    if summary is None:
        return
    finetuned = summary.finetuning
    assert finetuned is not None
    out.print(
        f"Fine-tuned {summary.epochs} epoch(s) in {finetuned.seconds:.0f} s ({finetuned.images_per_second:.0f} images/s on "
        f"{finetuned.devices} x {finetuned.accelerator}): {moved(summary, finetuned.before, finetuned.after)}."
    )
    tell_budgets(summary)
    for note in summary.notes:
        out.print(note, style="yellow")
    out.print(f"Written: {results}/plan.json, model.safetensors, summary.json, report.json, report.html, log.csv")
