"""Another way to prune the same network, at the same cost, beside a run: in the terminal and on the page."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from padless.report.report import Report
from padless.report.summary import Summary
from padless.report.svg import table, text

HEADS = (
    "", "as cut %", "recovered without labels %", "removable padding, % of MACs", "cycles", "MACs that are useful",
)  # fmt: skip
TOLD = (
    "General pruning takes the same share of every layer's channels, whatever the units; its ratio was turned until it "
    "takes as many cycles. What it cuts below a whole unit the NPU computes all the same, as padding. Both were recovered "
    "alike; neither is fine-tuned here."
)


def _rows(summary: Summary, report: Report) -> list[tuple[str, ...]]:
    after = summary.after
    cut, recovered = after.get("accuracy_before_recovery"), after.get("accuracy_after_recovery")
    ours = ("this run", cut, recovered, after["avoidable_macs_percent"], after["cycles"], after["macs"])
    others = [
        (other.name, other.cut, other.recovered, other.avoidable_macs_percent, other.cycles, other.macs)
        for other in report.beside
    ]
    return [
        (name, *("" if value is None else f"{value:.2f}" for value in percentages), f"{cycles or 0:,}", f"{macs:,}")
        for name, *percentages, cycles, macs in [ours, *others]
    ]


def _told(summary: Summary, report: Report) -> str:
    """What the rows come to, in a sentence."""
    stages = (("as cut", "accuracy_before_recovery"), ("after recovery", "accuracy_after_recovery"))
    rival, points = report.beside[0], []
    for (name, key), other in zip(stages, (rival.cut, rival.recovered), strict=True):
        ours = summary.after.get(key)
        if isinstance(ours, float):
            lead = ours - other
            ahead = f"this run is {abs(lead):.2f} points {'ahead' if lead > 0 else 'behind'}"
            points.append(f"{name} {'both are equal' if abs(lead) < 0.005 else ahead}")
    return f" {', '.join(points).capitalize()}." if points else ""


def beside_section(summary: Summary, report: Report) -> str:
    """The page's part; empty where nothing else was run."""
    if not report.beside:
        return ""
    rows = [[text(cell) for cell in row] for row in _rows(summary, report)]
    shown = table("Beside other pruning", ("pruning", *HEADS[1:]), rows)
    told = text(f"{TOLD}{_told(summary, report)}")
    return f'<h2>Beside general pruning, at equal cycles</h2><p class="caption">{told}</p>{shown}'


def beside_table(summary: Summary, report: Report) -> Table:
    """The same for the terminal."""
    shown = Table(box=SIMPLE_HEAD, caption=TOLD, caption_justify="left")
    for head in HEADS:
        shown.add_column(head, justify="right" if head else "left", overflow="fold")
    for row in _rows(summary, report):
        shown.add_row(*row)
    return shown
