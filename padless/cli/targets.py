"""`padless targets`: the catalogue, and files of one's own. It imports no torch."""

import json
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from padless.cli.app import TARGET_HELP, app, out
from padless.errors import UsageError
from padless.files import write_atomically
from padless.hardware import Target, load_target, read_target, targets
from padless.hardware.template import template
from padless.report.catalogue import boards, target_sheet
from padless.report.catalogue import catalogue as table


class _IdsToo(TyperGroup):
    """`padless targets ID`: what is no subcommand is a target."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["show", *args]
        return super().resolve_command(ctx, args)


catalogue = typer.Typer(cls=_IdsToo, invoke_without_command=True, subcommand_metavar="[ID | COMMAND]")
app.add_typer(catalogue, name="targets")


@catalogue.callback()
def list_targets(context: typer.Context) -> None:
    """List the NPUs that padless knows; `padless targets ID` shows one with the source of every number.

    Files of your own join the list from the folders that the environment variable PADLESS_TARGETS names.
    """
    if context.invoked_subcommand is None:
        with warnings.catch_warnings(record=True, action="always") as left_out:
            known = targets()
        out.print(table(known))
        out.print(boards(known))
        for warning in left_out:
            out.print(str(warning.message), style="yellow", markup=False)


@catalogue.command("show")
def show(target: Annotated[str, typer.Argument(metavar="TARGET", help=TARGET_HELP)]) -> None:
    """Show one target: every number with its source. `padless targets ID` is short for it."""
    out.print(target_sheet(load_target(target)))


@catalogue.command("new")
def new(file: Annotated[Path, typer.Argument(metavar="FILE", help="A .toml file that does not exist yet.")]) -> None:
    """Write a commented template for a target of your own."""
    if file.suffix != ".toml":
        raise UsageError(f"A target file ends in .toml; {file} does not.")
    if file.exists():
        raise UsageError(f"{file} exists already. Give another name, or remove it.")
    write_atomically(file, template(str(file), file.stem))
    out.print(f"Written: {file}. Fill it in, name the source of each number, then: padless targets check {file}")


@catalogue.command("check")
def check(file: Annotated[Path, typer.Argument(metavar="FILE", help="A target as TOML.")]) -> None:
    """Check a target file: every mistake with its line."""
    target = read_target(file)
    out.print(f"{file} describes {target.id} with {len(target.facts)} facts.")
    out.print(table((target,)))


@catalogue.command("schema")
def schema() -> None:
    """Print the JSON Schema of target files, by which editors complete them."""
    print(json.dumps(Target.model_json_schema(by_alias=True), indent=1))
