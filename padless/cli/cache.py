"""The commands that carry the answers of oracles between machines."""

from pathlib import Path
from typing import Annotated

import typer

from padless.cli.app import app, out
from padless.cost.cache import Cache
from padless.cost.carrying import export_answers, import_answers

cache = typer.Typer(
    name="cache", no_args_is_help=True, rich_markup_mode="markdown",
    help="Carry the answers of compilers to another machine, or bring them from one.",
)  # fmt: skip
File = Annotated[Path, typer.Argument(metavar="FILE.parquet")]


@cache.command("export")
def export_command(file: File) -> None:
    """Write every answer that this machine keeps into a file.

    Example: `padless cache export costs.parquet`
    """
    store = Cache()
    out.print(f"{export_answers(store, file):,} answers of {store.file} written to {file}.", markup=False)


@cache.command("import")
def import_command(file: File) -> None:
    """Take up answers from a file that `padless cache export` wrote.

    Example: `padless cache import costs.parquet`
    """
    store = Cache()
    out.print(f"{import_answers(store, file):,} answers of {file} taken up in {store.file}.", markup=False)


app.add_typer(cache, name="cache")
