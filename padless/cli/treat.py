"""`padless treat`: a run's weights on a grid, or two of four."""

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
from padless.errors import UsageError
from padless.runs.job import CALIBRATION


@app.command("treat")
def treat_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that `padless prune --out` wrote.")],
    treatment: Annotated[
        str | None,
        typer.Argument(
            metavar="[TREATMENT]",
            help="For all inner layers that it fits: grid:17 (17 values a filter, an odd number), 2:4 (two of each four "
            "input channels are zero), 2:4+grid:17.",
        ),
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer", metavar="NAME=TREATMENT", help="For one layer; may be given several times, in its place."
        ),
    ] = None,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Folder for the results; DIR-treated by default.")
    ] = None,
    calibration: Annotated[
        int, typer.Option("--calibration", min=2, help="Training images, without labels, that layers are solved on.")
    ] = CALIBRATION,
    data: Data = None,
    preprocess: PreprocessOption = None,
    weights: Weights = None,
    model: ModelAgain = None,
    target: TargetAgain = None,
    oracle: OracleAgain = None,
    memory_oracle: MemoryOracleAgain = None,
    oracle_timeout: OracleTimeout = PATIENCE,
    trust: Trust = False,
) -> None:
    """Bring the weights of a pruned network to few values or to 2:4 zeros, without training, into a folder of its kind.

    An Ethos-U55 fetches few values in fewer bytes; an Ethos-U85 computes less with 2:4. The columns of a layer that are left
    make up for each that is rounded. Fine-tune first, treat last: training moves the weights again.

    Example: `padless treat runs/small grid:17`
    """
    from padless.runs.treating import Treatments, run_treating
    from padless.runs.trust import Repeated

    if (treatment is None) == (not layer):
        raise UsageError("Give a treatment for all layers, such as grid:17, or --layer NAME=TREATMENT; not both.")
    results = out_dir or folder.resolve().with_name(f"{folder.resolve().name}-treated")
    summary = run_treating(Treatments(
        folder=folder, out=results, treatments=_by_layer(layer or []) if treatment is None else treatment,
        preprocess=preprocess, weights=weights,
        repeated=Repeated(model=model, target=target, oracle=oracle, memory_oracle=memory_oracle, data=data, trust=trust),
        calibration=calibration, command=command_line(),
    ))  # fmt: skip
    done = summary.treating
    assert done is not None
    out.print(f"Treated on {done.images} images in {done.seconds:.0f} s: {moved(summary, done.before, done.after)}.")
    tell_budgets(summary)
    for note in summary.notes:
        out.print(note, style="yellow")
    out.print(f"Written: {results}/plan.json, model.safetensors, summary.json, report.json, report.html")


def _by_layer(texts: list[str]) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for text in texts:
        name, equals, treatment = text.rpartition("=")
        if not equals or not name:
            raise UsageError(f"--layer takes NAME=TREATMENT, such as layer1.0.conv1=grid:17; got {text!r}.")
        if name in chosen:
            raise UsageError(f"--layer names {name} twice.")
        chosen[name] = treatment
    return chosen
