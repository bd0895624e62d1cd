"""What the commands of a run have in common at its end: the closing lines, the folder's name, the command."""

import shlex
import sys
from itertools import chain, count
from pathlib import Path

from padless.choose import Choices
from padless.choose.budget import amount
from padless.cli.app import out
from padless.errors import UsageError
from padless.report.summary import Summary
from padless.report.tables import totals, who_counted, widths
from padless.report.words import verdict
from padless.runs.folder import ONNX


def finish(summary: Summary, folder: Path) -> None:
    """The closing lines of a run."""
    out.print(widths(summary.widths))
    out.print(totals(summary.sides, summary.align))
    for budget in summary.budgets:

        def told(value: float, of: str = budget.budget) -> str:
            return amount(of, value, summary.before)

        table = f" The tables' sum: {told(budget.table_total)}." if budget.table_total is not None else ""
        out.print(
            f"Asked {budget.budget} (at most {told(budget.asked)}), achieved {told(budget.achieved)} "
            f"({100 * budget.achieved / budget.asked:.1f} % of it).{table}"
        )
        if budget.next_milder:
            out.print(f"The next milder cut of this allocation costs {told(budget.next_milder)}.")
        if not budget.met:
            out.print(verdict(budget, summary), style="yellow")
    out.print(who_counted(summary.after))
    out.print(f"Importance kept ({summary.importance}): {100 * summary.importance_kept:.2f} %.")
    if recovery := summary.recovery:
        out.print(
            f"Recovered with {recovery.method} on {recovery.images} images in {recovery.seconds:.1f} s: "
            f"{recovery.before:.2f} to {recovery.after:.2f} %."
        )
    if treating := summary.treating:
        out.print(
            f"Weights treated: {treating}, on {treating.images} images in {treating.seconds:.1f} s: "
            f"{treating.before:.2f} to {treating.after:.2f} %."
        )
    if solver := summary.solver:
        out.print(
            f"Solver: {solver.status}, gap {round(100 * solver.gap, 4):g} % in {solver.seconds:.1f} s "
            f"({solver.name}; {solver.rounds} round{'s' if solver.rounds > 1 else ''} with the whole network)."
        )
    out.print(f"Sliced equals masked: largest relative difference {summary.equivalence_max_error:.1e} (float64).")
    for note in summary.notes:
        out.print(note, style="yellow")
    network = ", model.onnx" if (folder / ONNX).exists() else ""
    out.print(f"Written: {folder}/plan.json, model.safetensors{network}, summary.json, report.json, report.html")


def tell_budgets(summary: Summary) -> None:
    """Whether a run's network as it is now meets its budgets."""
    for budget in summary.budgets:
        out.print(verdict(budget, summary), style="" if budget.met else "yellow")


def default_folder(model: str, target: str, budget: str, choices: Choices, data: str | None) -> Path:
    """runs/MODEL-TARGET-BUDGET-… with characters that every file system takes.

    Where something else lies than a run of the same command, a number stands behind, from 2.
    """
    criterion = str(choices.criterion([data] if data else []))
    parts = (model.split("/")[-1], Path(target).stem, budget.replace("%", "percent"))
    asked = (choices.allocate, choices.align, criterion, *choices.treat, "depth" * choices.depth, f"seed{choices.seed}")
    name = "-".join(filter(None, (*parts, *asked)))
    folder = Path("runs") / "".join(c if c.isalnum() or c in "._=-" else "-" for c in name).strip("-")
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return next(place for place in chain([folder], numbered) if _replaceable(place))


def _replaceable(folder: Path) -> bool:
    """Whether nothing lies there but a run of the same command."""
    try:
        return not folder.exists() or Summary.read(folder).command == command_line()
    except UsageError:
        return False


def moved(summary: Summary, before: float, after: float) -> str:
    """What became of a run's accuracy, without labels of its agreement, beside the dense network's."""
    measured = "accuracy" if "accuracy" in summary.after else "agreement"
    dense = f" (dense {summary.before['accuracy']:.2f} %)" if "accuracy" in summary.before else ""
    return f"{measured} {before:.2f} to {after:.2f} %{dense}"


def command_line() -> str:
    return shlex.join(["padless", *sys.argv[1:]])
