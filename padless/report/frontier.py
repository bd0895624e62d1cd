"""Importance against cost for a family of budgets: in the terminal and as a picture."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from padless.choose.frontier import FrontierPoint
from padless.errors import missing_extra
from padless.files import write_atomically

BAR = 40  # characters
LINE, POINT = "#0072B2", "#D55E00"


def frontier(points: Sequence[FrontierPoint], quantity: str) -> Table:
    """A row a budget: its cost, what it keeps, and how far from optimal that can be."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in (quantity, "of dense", "importance kept", "gap"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for p in points:
        table.add_row(
            f"{p.cost:,.0f}", f"{100 * p.share:.1f} %", f"{100 * p.importance_kept:.3f} %", f"{round(100 * p.gap, 4):g} %",
            Text("█" * round(BAR * p.importance_kept), style="cyan"),
        )  # fmt: skip
    return table


def draw_frontier(points: Sequence[FrontierPoint], quantity: str, file: Path, title: str) -> None:
    """The same as PNG (or what the file's name says). Raises UsageError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise missing_extra("matplotlib", "plots", "Drawing a family of budgets") from error
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    shares, kept = [100 * p.share for p in points], [100 * p.importance_kept for p in points]
    axes.step(shares, kept, where="post", color=LINE, linewidth=1.4)
    axes.plot(shares, kept, "o", color=POINT, markersize=4)
    axes.set_xlabel(f"{quantity}, % of dense (sum over layers)")
    axes.set_ylabel("importance kept, %")
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    axes.set_title(title, fontsize=10)
    drawn = BytesIO()
    figure.savefig(drawn, dpi=110, format=file.suffix.lstrip(".") or "png")
    write_atomically(file, drawn.getvalue())
