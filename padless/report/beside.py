"""Another way to prune the same network, at the same cost, beside a run: in the terminal and on the page."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from padless.report.report import Report
from padless.report.summary import Summary
from padless.report.svg import table, text

HEADS = (
    "", "cycles", "MACs that are useful", "removable padding, % of MACs", "as cut %", "recovered without labels %",
)  # fmt: skip
TOLD = (
    "General pruning takes the same share of every layer's channels, whatever the units; its ratio was turned until it "
    "takes as many cycles. The channels that it saves the NPU multiplies as padding. Both were recovered alike; neither is "
    "fine-tuned here."
)


def _rows(summary: Summary, report: Report) -> list[tuple[str, ...]]:
    after = summary.after
    cut, recovered = after.get("accuracy_before_recovery"), after.get("accuracy_after_recovery")
    ours = ("this run", after["cycles"], after["macs"], after["avoidable_macs_percent"], cut, recovered)
    others = [
        (other.name, other.cycles, other.macs, other.avoidable_macs_percent, other.cut, other.recovered)
        for other in report.beside
    ]
    return [
        (name, f"{cycles or 0:,}", f"{macs:,}", *("" if value is None else f"{value:.2f}" for value in percentages))
        for name, cycles, macs, *percentages in [ours, *others]
    ]


def beside_section(summary: Summary, report: Report) -> str:
    """The page's part; empty where nothing else was run."""
    if not report.beside:
        return ""
    rows = [[text(cell) for cell in row] for row in _rows(summary, report)]
    shown = table("Beside other pruning", ("pruning", *HEADS[1:]), rows)
    return f'<h2>Beside general pruning, at equal cycles</h2><p class="caption">{text(TOLD)}</p>{shown}'


def beside_table(summary: Summary, report: Report) -> Table:
    """The same for the terminal."""
    shown = Table(box=SIMPLE_HEAD, caption=TOLD, caption_justify="left")
    for head in HEADS:
        shown.add_column(head, justify="right" if head else "left", overflow="fold")
    for row in _rows(summary, report):
        shown.add_row(*row)
    return shown
