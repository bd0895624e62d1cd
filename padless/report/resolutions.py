"""Resolutions side by side in the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from padless.choose.budget import LATENCY
from padless.choose.resolutions import SHARES, Resolution

LEGEND = (
    "Budgets are shares of the first resolution's dense cost; costs are sums over layers, brought to each dense network's "
    "total. A cell is the importance kept, of what the dense network has at that resolution; - is out of reach. What the "
    "lower resolution itself loses is in no cell: test the dense network at each (padless.evaluate) before you choose."
)


def resolution_table(found: Sequence[Resolution], quantity: str) -> Table:
    """A row a resolution: what the dense network costs there, and what the best widths keep at each budget."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    timed = quantity == LATENCY
    for heading in (
        "input",
        "latency, ms" if timed else quantity,
        "of the first",
        *(f"{share:.0%}" for share in SHARES),
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in found:
        kept = (f"{100 * point.importance_kept:.2f} %" if point else "-" for point in each.points)
        cost = format(each.dense, ",.3f" if timed else ",.0f")
        table.add_row(each.name, cost, f"{100 * each.share:.1f} %", *kept)
    return table
