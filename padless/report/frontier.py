"""Importance against cost for a family of budgets: in the terminal and as a picture."""

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from padless.choose.budget import LATENCY
from padless.choose.frontier import FrontierPoint
from padless.files import write_atomically
from padless.report.picture import COLOURS, canvas, png

BAR, LISTED = 20, 24  # characters; groups whose widths a row lists
LINE, POINT = COLOURS["black"], COLOURS["blue"]


def frontier(points: Sequence[FrontierPoint], quantity: str) -> Table:
    """A row a budget: its cost, what it keeps, how far from optimal that can be, and the widths of its groups."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    timed = quantity == LATENCY
    for heading in ("latency, ms" if timed else quantity, "of dense", "importance kept", "gap"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("channels of each group", overflow="fold", min_width=20)
    for p in points:
        widths = list(map(str, p.widths.values()))
        more = [f"… and {len(widths) - LISTED} more"] * (len(widths) > LISTED)
        table.add_row(
            format(p.cost, ",.3f" if timed else ",.0f"), f"{100 * p.share:.1f} %", f"{100 * p.importance_kept:.3f} %",
            f"{round(100 * p.gap, 4):g} %",
            Text("█" * round(BAR * p.importance_kept), style="cyan"), " ".join([*widths[:LISTED], *more]),
        )  # fmt: skip
    return table


def legend(points: Sequence[FrontierPoint], quantity: str, criterion: str) -> list[str]:
    """What a reader of the family must know: what dense is, in which order the widths stand, and what compares with what."""
    last = points[-1]
    dense = format(last.cost / last.share, ",.3f" if quantity == LATENCY else ",.0f")
    return [
        f"The dense network: {dense} {'ms' if quantity == LATENCY else quantity}. Costs are sums over layers, brought to "
        "that total.",
        f"Groups in order: {', '.join([*list(last.widths)[:LISTED], *['…'] * (len(last.widths) > LISTED)])}. --json has all "
        "widths.",
        f"Importance is by {criterion}: percentages by another criterion, or on other images, cannot be compared with "
        "these.",
    ]


def draw_frontier(points: Sequence[FrontierPoint], quantity: str, file: Path, title: str) -> None:
    """The same as PNG (or what the file's name says). Raises UsageError without matplotlib."""
    figure = canvas("Drawing a family of budgets", figsize=(6.4, 4.2))
    axes = figure.subplots()
    shares, kept = [100 * p.share for p in points], [100 * p.importance_kept for p in points]
    axes.plot(shares, kept, "o", color=POINT, markersize=4)
    axes.plot([100], [100], "o", color="white", markeredgecolor=LINE, markersize=6)
    axes.annotate("dense", (100, 100), xytext=(-8, -12), textcoords="offset points", ha="right", fontsize=8)
    axes.set_xlabel(f"{quantity}, % of dense")
    axes.set_ylabel("importance kept, %")
    axes.set_title(title, parse_math=False)
    write_atomically(file, png(figure, file.suffix.lstrip(".") or "png"))
