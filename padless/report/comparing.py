"""Several runs of one network on one page: totals, what each keeps, widths and times of each layer side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from padless.errors import UsageError
from padless.report.charts import Run, accuracies, family
from padless.report.html import document
from padless.report.report import LayerReport, Report, StageScore
from padless.report.summary import Measures, Summary
from padless.report.svg import folded, human, memory, percent, table, text
from padless.report.words import interval, quantity_name

DASH = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A run by the name that it has on the page."""

    name: str
    summary: Summary
    report: Report

    @property
    def final(self) -> StageScore | None:
        return next((score for score in self.report.stages if score.stage == "final"), None)


def check_alike(runs: Sequence[Compared]) -> None:
    """Raises UsageError where the runs are not of one network, or have one name."""
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise UsageError(f"The runs need names of their own; got {', '.join(names)}. Give each folder once.")
    first = runs[0]
    for other in runs[1:]:
        if _dense(first) != _dense(other):
            raise UsageError(
                f"{first.name} is a run of {first.summary.model}, {other.name} one of {other.summary.model}: their dense "
                "layers differ, so there is nothing to lay side by side. Give runs of one network."
            )


def _dense(run: Compared) -> list[tuple[str, int, int]]:
    return [(layer.name, layer.dense.c_in, layer.dense.c_out) for layer in run.report.layers]


def comparison(runs: Sequence[Compared]) -> str:
    """The page. Raises UsageError where the runs cannot be compared."""
    check_alike(runs)
    title = f"{len(runs)} runs of {runs[0].summary.model}"
    parts = [
        f"<h1>{text(title)}</h1>",
        *(f'<p class="note">{text(note)}</p>' for note in _notes(runs)),
        table("Totals of the runs", ("quantity", "dense", *(run.name for run in runs)), _html(_rows(runs))),
        _accuracy(runs),
        _families(runs),
        _layers(runs),
        "<h2>The runs</h2>",
        table("Commands", ("run", "command"), [(text(run.name), text(run.summary.command)) for run in runs], left=(1,)),
    ]
    return document(title, "\n".join(filter(None, parts)), scripted=True)


def terminal(runs: Sequence[Compared]) -> Table:
    """The totals for the terminal."""
    shown = Table(box=SIMPLE_HEAD)
    shown.add_column("")
    for name in ("dense", *(run.name for run in runs)):
        shown.add_column(name, justify="right", overflow="fold")
    for row in _rows(runs):
        shown.add_row(*row)
    return shown


def _html(rows: list[list[str]]) -> list[list[str]]:
    return [[text(cell) for cell in row] for row in rows]


def _notes(runs: Sequence[Compared]) -> list[str]:
    """What keeps numbers of the runs from being compared."""
    notes = []
    for what, values in (
        ("targets", [f"{run.summary.target} {' '.join(run.summary.variant.values())}".strip() for run in runs]),
        ("oracles", [run.summary.after["oracle"] or "none" for run in runs]),
        ("test sets", [f"{run.summary.data} ({run.report.test_images})" for run in runs]),
    ):
        if len(set(values)) > 1:
            told = "; ".join(f"{run.name}: {value}" for run, value in zip(runs, values, strict=True))
            notes.append(f"The runs have different {what}: {told}.")
    return notes


def _rows(runs: Sequence[Compared]) -> list[list[str]]:
    """A row a quantity: the first run's dense network, then each run."""
    measured = runs[0].report.measured
    dense = next((score for score in runs[0].report.stages if score.stage == "dense"), None)
    rows = [
        ["budget", "", *(", ".join(budget.budget for budget in run.summary.budgets) for run in runs)],
        ["met", "", *("yes" if all(budget.met for budget in run.summary.budgets) else "no" for run in runs)],
        [measured, _scored(dense), *(_scored(run.final) for run in runs)],
        [
            "importance kept",
            "",
            *(f"{100 * run.summary.importance_kept:.2f} % ({run.summary.importance})" for run in runs),
        ],
    ]
    shown: tuple[tuple[str, str, Callable[[float], str]], ...] = (
        ("cycles", "cycles", human), ("milliseconds", "milliseconds", lambda value: f"{value:,.4g}"),
        ("weights", "weight_bytes", memory), ("peak SRAM", "peak_sram_bytes", memory),
        ("peak activations", "peak_activation_bytes", memory), ("MACs", "macs", human),
        ("removable padding, % of MACs", "avoidable_macs_percent", lambda value: f"{value:.2f}"),
    )  # fmt: skip
    for label, key, show in shown:
        sides: list[Measures] = [runs[0].summary.before, *(run.summary.after for run in runs)]
        values: list[Any] = [side.get(key) for side in sides]
        if any(value is not None for value in values):
            rows.append([label, *(DASH if value is None else show(value) for value in values)])
    return rows


def _scored(score: StageScore | None) -> str:
    if score is None:
        return DASH
    return f"{score.percent:.2f} %{f' ({interval(score)})' if interval(score) else ''}"


def _accuracy(runs: Sequence[Compared]) -> str:
    """Accuracy against what the networks take."""
    points = []
    for run in runs:
        before, after = (side["cycles"] or side["nanoseconds"] or side["macs"] for side in run.summary.sides.values())
        if run.final is not None and before:
            points.append((run.name, after / before, run.final))
    if len(points) < 2:
        return ""
    unit = "cycles" if runs[0].summary.before["cycles"] else "time" if runs[0].summary.before["nanoseconds"] else "MACs"
    return (
        f"<h2>{runs[0].report.measured.capitalize()} against {unit}</h2>"
        '<p class="caption">Lines are 95 % intervals of the test set: runs whose lines overlap may not differ.</p>'
        f"<figure>{accuracies(points, unit, runs[0].report.measured)}</figure>"
    )


def _families(runs: Sequence[Compared]) -> str:
    """What each run keeps, on the best plans of the first one's family, where both count alike."""
    curves = runs[0].report.curves
    if curves is None or curves.kept is None or not curves.dense:
        return ""
    alike = [point for run in runs if _basis(run) == _basis(runs[0]) for point in _kept(run)]
    if len(alike) < 2:
        return (
            '<h2>Importance kept</h2><p class="dim">The runs have different weights, targets, importance or quantities: '
            "what they keep cannot be compared.</p>"
        )
    name = quantity_name(runs[0].report)
    return (
        "<h2>Importance kept</h2>"
        f'<p class="caption">Marks are the best choices of {text(runs[0].name)} for other budgets on {text(name)} alone, by '
        f"tables; importance is by {text(runs[0].summary.importance)}.</p>"
        f"<figure>{family(curves.family, alike, None, name)}</figure>"
    )


def _basis(run: Compared) -> tuple[object, ...]:
    """What two runs must have in common for their importance to be compared."""
    summary, curves = run.summary, run.report.curves
    quantity = curves.quantity if curves else None
    return quantity, run.report.unit, summary.importance, summary.weights_digest, summary.target, summary.variant


def _kept(run: Compared) -> list[Run]:
    curves = run.report.curves
    if curves is None or curves.kept is None or not curves.dense:
        return []
    share = curves.spent / curves.dense
    tip = f"{run.name}: {percent(share)} of the {quantity_name(run.report)} keep {percent(curves.kept)}"
    return [Run(name=run.name, share=share, kept=curves.kept, tip=tip)]


def _layers(runs: Sequence[Compared]) -> str:
    """Widths and times of every layer; layers that are alike in all runs are folded."""
    unit = "cycles" if runs[0].report.unit == "cycles" else "µs"
    timed = any(layer.pruned.time is not None for run in runs for layer in run.report.layers)
    heads = ["layer", "dense", *(run.name for run in runs)]
    heads += [*(f"{run.name}, {unit}" for run in runs), "difference"] if timed else []
    by_layer = list(zip(*(run.report.layers for run in runs), strict=True))
    apart = [layers for layers in by_layer if _differ(layers)]
    alike = [layers for layers in by_layer if not _differ(layers)]
    scale = 1.0 if unit == "cycles" else 1e-3
    parts = ["<h2>Layers</h2>", '<p class="caption">Channels of each layer, input→output, then what it takes.</p>']
    if apart:
        apart.sort(key=lambda layers: -_spread(layers))
        parts.append(table("Layers that differ", heads, [_layer(layers, timed, scale) for layers in apart], left=()))
    else:
        parts.append("<p>All layers have the same widths in all runs.</p>")
    if alike:
        content = table("Layers of the same widths", heads, [_layer(layers, timed, scale) for layers in alike])
        parts.append(folded(f"{len(alike)} layer{'s' if len(alike) > 1 else ''} of the same widths", content))
    return "\n".join(parts)


def _differ(layers: Sequence[LayerReport]) -> bool:
    return len({(row.pruned.c_in, row.pruned.c_out) for row in layers}) > 1


def _layer(layers: Sequence[LayerReport], timed: bool, scale: float) -> list[str]:
    dense = layers[0].dense.widths
    cells = [text(layers[0].name), dense]
    cells += [dense if (now := row.pruned.widths) == dense else f"<b>{now}</b>" for row in layers]
    if timed:
        times = [row.pruned.time for row in layers]
        cells += [DASH if time is None else f"{scale * time:,.0f}" for time in times]
        cells.append(f"{scale * _spread(layers):,.0f}")
    return cells


def _spread(layers: Sequence[LayerReport]) -> int:
    """The most that a layer takes in one of the runs less the least."""
    times = [row.pruned.time for row in layers if row.pruned.time is not None]
    return max(times) - min(times) if times else 0
