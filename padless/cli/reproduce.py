"""The command that reproduces the paper and goes past it."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from padless.cli.app import app, out
from padless.cli.closing import command_line
from padless.errors import UsageError
from padless.reproduction.protocol import EQUAL, FULL, QUICK


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(word.strip() for word in text.split(",") if word.strip())


def _methods(text: str | None) -> tuple[str, ...] | None:
    """Names of methods, some of which have a comma themselves."""
    words = _words(text)
    if words is None:
        return None
    names: list[str] = []
    for word in words:
        if names and f"{names[-1]}, {word}" in EQUAL:
            names[-1] = f"{names[-1]}, {word}"
        else:
            names.append(word)
    return tuple(names)


def _numbers(text: str | None, option: str) -> tuple[int, ...] | None:
    try:
        return None if text is None else tuple(int(word) for word in _words(text) or ())
    except ValueError as error:
        raise UsageError(f"{option} takes whole numbers with commas between, such as 8,16; got {text!r}.") from error


def _shares(text: str | None, option: str) -> tuple[float, ...] | None:
    """30,50 or 30%,50% or 0.3,0.5."""
    try:
        return None if text is None else tuple(_share(word) for word in _words(text) or ())
    except ValueError as error:
        raise UsageError(f"{option} takes shares with commas between, such as 30,50; got {text!r}.") from error


def _share(word: str) -> float:
    """50, 50% or 0.5; a number from 1 up is in percent."""
    number = float(word.rstrip("%"))
    return number / 100 if word.endswith("%") or number >= 1 else number


@app.command("reproduce")
def reproduce_command(
    data: Annotated[
        str,
        typer.Option(
            "--data", help="CIFAR-10: a folder (Hugging Face parquet, train/CLASS/*.png), or a Hugging Face id."
        ),
    ] = "uoft-cs/cifar10",
    weights: Annotated[
        Path | None,
        typer.Option("--weights", help="A folder with NETWORK.safetensors; what is not there is trained first."),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help=f"One seed, ratio, budget and epoch, on {QUICK.images:,} images; {QUICK.test_images:,} test images.",
        ),
    ] = False,
    networks: Annotated[str | None, typer.Option("--networks", help=f"Of {','.join(FULL.networks)}.")] = None,
    ratios: Annotated[str | None, typer.Option("--ratios", help="Percent of the channels to prune: 30,50,70.")] = None,
    units: Annotated[str | None, typer.Option("--units", help="Channel units: 8,16,32.")] = None,
    budgets: Annotated[str | None, typer.Option("--budgets", help="Percent of the cycles to keep: 50,35,25.")] = None,
    methods: Annotated[str | None, typer.Option("--methods", help=f"At equal cycles: {', '.join(EQUAL)}.")] = None,
    seeds: Annotated[str | None, typer.Option("--seeds", help="0,1,2.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help=f"Of fine-tuning: {FULL.epochs}.")] = None,
    dense_epochs: Annotated[
        int | None, typer.Option("--dense-epochs", help=f"Where a network is trained first: {FULL.dense_epochs}.")
    ] = None,
    images: Annotated[int | None, typer.Option("--images", help="For fine-tuning, at most; 0: all.")] = None,
    test_images: Annotated[int | None, typer.Option("--test-images", help="At most; 0: all.")] = None,
    target: Annotated[str, typer.Option("--target", help="An id (see `padless targets`).")] = FULL.target,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, help="Processes that share the cells and this machine's cores.")
    ] = 1,
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for the results.")] = Path("reproduction"),
) -> None:
    """Reproduce NPU-aware against general pruning (Lee et al., ICEIC 2023), and compare all methods at equal cycles.

    Networks in their CIFAR form are cut both ways at equal ratios and fine-tuned alike; then our widths, the paper's method,
    general pruning, Torch-Pruning and MCT (those that are installed) are brought to the same cycles. Stop it whenever you
    like: the same command goes on. More networks, sizes, methods or seeds add to what is there.

    Example: `padless reproduce --quick --data uoft-cs/cifar10 --weights weights/`
    """
    from padless.reproduction.run import reproduce

    asked: dict[str, Any] = {
        "networks": _words(networks), "ratios": _shares(ratios, "--ratios"), "units": _numbers(units, "--units"),
        "budgets": _shares(budgets, "--budgets"), "methods": _methods(methods), "seeds": _numbers(seeds, "--seeds"),
        "epochs": epochs, "dense_epochs": dense_epochs, "images": images, "test_images": test_images, "target": target,
    }  # fmt: skip
    protocol = replace(QUICK if quick else FULL, **{key: value for key, value in asked.items() if value is not None})
    reproduce(protocol, data=data, weights=weights, out=out_dir, command=command_line(), jobs=jobs)
    out.print(f"Written: {out_dir}/results.json, tables.md, cells.csv, layers.csv, figures/, report.html")
