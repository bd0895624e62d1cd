"""The command that does many runs as one."""

import re
from pathlib import Path
from typing import Annotated

import typer

from padless.cli.app import app, out
from padless.errors import UsageError
from padless.progress import console
from padless.sweep import sweep
from padless.sweep.drive import status_of
from padless.sweep.table import counted, sweep_table


@app.command("sweep")
def sweep_command(
    grid: Annotated[
        Path | None, typer.Argument(metavar="GRID.toml", help="Options of `padless prune`; a list is a dimension.")
    ] = None,
    out_dir: Annotated[
        str | None, typer.Option("--out", help="A folder, or an object store by URI, such as s3://bucket/sweep.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", help="Processes of this machine; by default as many as it has CPUs for.")
    ] = None,
    ray: Annotated[bool, typer.Option("--ray", help="Work in a Ray of this machine (extra: sweep).")] = False,
    address: Annotated[
        str | None, typer.Option("--address", help="Work in a Ray cluster that runs: HOST:6379, or auto.")
    ] = None,
    cpus: Annotated[int, typer.Option("--cpus", help="Threads for each point.")] = 1,
    gpus: Annotated[int, typer.Option("--gpus", help="Graphics processors for each point.")] = 0,
    memory: Annotated[
        str | None, typer.Option("--memory", help="Memory for each point, such as 2GiB: so many fewer run at once.")
    ] = None,
    halve: Annotated[
        bool,
        typer.Option(
            "--halve",
            help="Of points that answer one question by fine-tuning, stop the worse half after a quarter and after half of "
            "the epochs, judged on a tenth of the training images, which is held out.",
        ),
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Also write results.csv.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Do points again that failed.")] = False,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="Use factories, commands, tables and targets' files that the grid names: it is yours."
        ),
    ] = False,
    status: Annotated[Path | None, typer.Option("--status", metavar="DIR", help="Only say how far it is.")] = None,
) -> None:
    """Do many runs as one: models, targets, budgets and seeds from a grid, on this machine or a Ray cluster.

    GRID.toml has the options of `padless prune` by their names, with _ for -; of a list every value is tried with every
    other. `work = "plan"` only plans; `finetune.epochs = 10` and the like fine-tune. Tables [[grid]] are grids of their own,
    which share what stands before them. The folder gets a row a point, results.parquet and sweep.html. Stop it whenever you
    like: the same command goes on. See docs/sweeps.md.

    Example: `padless sweep grid.toml --out sweeps/first --jobs 2`
    """
    if status is not None:
        counts, failed = status_of(status)
        out.print(counted(counts))
        for id, error in failed.items():
            out.print(f"  {id}: {error}", markup=False)
        return
    if grid is None or out_dir is None:
        raise UsageError("A sweep takes GRID.toml and --out DIR; `padless sweep --status DIR` says how far one is.")
    try:
        rows = sweep(
            grid, out=out_dir, jobs=jobs, ray=ray, address=address, cpus=cpus, gpus=gpus, memory=_bytes(memory),
            retry_failed=retry_failed, halve=halve, csv=csv, trust=trust,
        )  # fmt: skip
    except KeyboardInterrupt:
        console.print(f"Stopped. What is done is in {out_dir}; the same command goes on.", markup=False)
        raise typer.Exit(130) from None
    out.print(sweep_table(rows))
    out.print(counted(rows))
    out.print(f"Written: {out_dir}/points/, results.parquet, sweep.html", markup=False)
    if any(row["status"] == "failed" for row in rows):
        raise typer.Exit(1)


def _bytes(text: str | None) -> int:
    """2GiB, 500MB or a number of bytes."""
    if text is None:
        return 0
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]i?)?B?", text.strip())
    if not found:
        raise UsageError(f"--memory is a number of bytes, such as 2GiB; got {text!r}.")
    unit = found[2] or ""
    size = float(found[1]) * (1024 if unit.endswith("i") else 1000) ** " kMGT".index(unit[:1] or " ")
    if size >= 1 << 60:
        raise UsageError(f"--memory {text} is more than any machine has. Give a number of bytes, such as 2GiB.")
    return int(size)
