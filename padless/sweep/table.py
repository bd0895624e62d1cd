"""A sweep's rows in a terminal."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from rich.table import Table
from rich.text import Text

from padless.choose import Budget
from padless.sweep.point import UNSAID
from padless.sweep.rows import Status

SHOWN = 40  # rows
STATUSES = get_args(Status)


def counted(rows: Iterable[Mapping[str, Any]] | Mapping[str, int]) -> str:
    """How many points there are of each status."""
    counts = rows if isinstance(rows, Mapping) else Counter(str(row["status"]) for row in rows)
    told = sorted(counts, key=lambda status: (*STATUSES, status).index(status))
    return f"{sum(counts.values()):,} points: " + ", ".join(f"{counts[status]:,} {status}" for status in told) + "."


def sweep_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One line a point: what differs between them, and what came of it. Of many the first."""
    varying = varying_options(rows)
    measured = next((name for name in ("accuracy", "agreement") if any(name in r.get("after", {}) for r in rows)), None)
    table = Table(box=None, header_style="bold")
    for name in (*varying, "status"):
        table.add_column(name)
    for name in ("cost, % of dense", "importance kept, %", *([f"{measured}, %"] if measured else [])):
        table.add_column(name, justify="right")
    for row in rows[:SHOWN]:
        texts = [Text(text_of(option(row, name))) for name in varying]
        table.add_row(*texts, Text(row["status"]), *_measures(row, measured))
    if len(rows) > SHOWN:
        table.caption = f"and {len(rows) - SHOWN:,} more, in sweep.html and results.parquet"
    return table


def varying_options(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The options that differ between points; of one point its model."""
    names = dict.fromkeys(name for row in rows for name in options(row))
    return [name for name in names if len({str(option(row, name)) for row in rows}) > 1] or ["model"]


def options(row: Mapping[str, Any]) -> dict[str, Any]:
    """A point's options without nesting."""
    point = dict(row["point"])
    tuned = point.pop("finetune", None) or {}
    return {**point, **{f"finetune.{name}": value for name, value in tuned.items()}}


def option(row: Mapping[str, Any], name: str) -> Any:
    """What a point says, or what holds where it says nothing."""
    return options(row).get(name, UNSAID.get(name))


def text_of(value: Any) -> str:
    return "" if value is None else " ".join(map(str, value)) if isinstance(value, list) else str(value)


def share(row: Mapping[str, Any]) -> float | None:
    """What the first budget's quantity came to, in percent of the dense network's."""
    quantity = Budget.parse(row["point"]["budget"][0]).counted
    before, after = (row.get(side, {}).get(quantity) for side in ("before", "after"))
    return 100 * after / before if before and after is not None else None


def _measures(row: Mapping[str, Any], measured: str | None) -> list[str]:
    shared, kept = share(row), row.get("importance_kept")
    texts = ["" if shared is None else f"{shared:.1f}", "" if kept is None else f"{100 * kept:.2f}"]
    if measured:
        before, after = (row.get(side, {}).get(measured) for side in ("before", "after"))
        texts.append("" if after is None else f"{after:.2f}" + ("" if before is None else f" (dense {before:.2f})"))
    return texts
