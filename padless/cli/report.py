"""`padless report`: a run's page again, or several runs side by side."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from padless.cli.app import Limit, app, out
from padless.errors import UsageError
from padless.files import check_output, write_atomically
from padless.report.comparing import Compared, comparison, terminal
from padless.report.limits import parse_limits
from padless.report.page import page
from padless.report.report import FILE, Report
from padless.report.summary import Summary
from padless.report.words import bound, verdict
from padless.runs.folder import PAGE

SEVERAL = Path("comparison.html")


@app.command("report")
def report_command(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR…", help="Folders that `padless prune --out` wrote.")],
    limit: Limit = "",
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out", help=f"The page; by default DIR/{PAGE}, of several runs {SEVERAL} in the current folder."
        ),
    ] = None,
) -> None:
    """Write a run's page again from its folder, against your limits; of several runs, one page that compares them.

    --limit stays in the folder's report.json. Runs that are compared are of one network: widths side by side, what each
    keeps, and every layer's difference.

    Example: `padless report runs/half runs/third --out half-and-third.html`
    """
    check_output(out_file)
    if len(folders) == 1:
        _again(folders[0], limit, out_file or folders[0] / PAGE)
        return
    if limit:
        raise UsageError("--limit is for one run. Give one folder, or leave it out.")
    runs = [
        Compared(name=name, summary=Summary.read(folder), report=Report.read(folder))
        for name, folder in zip(_names(folders), folders, strict=True)
    ]
    content = comparison(runs)
    file = out_file or SEVERAL
    write_atomically(file, content)
    out.print(terminal(runs))
    out.print(f"Written: {file}", markup=False)


def _names(folders: list[Path]) -> list[str]:
    """The folders' own names where these tell them apart, else their paths."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _again(folder: Path, limit: str, file: Path) -> None:
    limits = {each.of: each for each in parse_limits(limit)}
    summary, report = Summary.read(folder), Report.read(folder)
    if limits:
        kept = {each.of: each for each in report.limits} | limits
        report = replace(report, limits=tuple(kept.values()))
    content = page(summary, report)
    if limits:
        write_atomically(folder / FILE, report.to_json())
    write_atomically(file, content)
    for budget in summary.budgets:
        out.print(verdict(budget, summary), style=None if budget.met else "yellow", markup=False)
    for sentence in filter(None, bound(report)):
        out.print(sentence, markup=False)
    out.print(f"Written: {file}", markup=False)
