"""What a probe saw: staircases in the terminal and as a picture."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from padless.cost.probe import Setting, Staircase
from padless.files import write_atomically
from padless.report.picture import COLOURS, canvas, png

FLAT = 0.02  # costs that differ by less, of the largest, stand in one row
BAR = 40  # characters
COST, EDGE, STRANGE = COLOURS["blue"], "#BBBBBB", COLOURS["vermilion"]


def staircases(stairs: Sequence[Staircase], setting: Setting) -> Group:
    """One table a side: plateaus of cost with a bar, then the unit, its evidence, and what it does not explain."""
    unit = stairs[0].source.unit
    parts: list[Any] = [Text(
        f"{stairs[0].source}\n{setting.kernel}x{setting.kernel} kernel, {setting.hw}x{setting.hw} map, {setting.other} "
        f"channels on the other side; {'NPU cycles' if unit == 'cycles' else 'nanoseconds'}"
    )]  # fmt: skip
    for stair in stairs:
        parts += [Text(f"\n{stair.side} channels", style="bold"), _plateaus(stair), Text(_verdict(stair), style="bold")]
        parts += [Text(line) for line in _strange(stair)]
    return Group(*parts)


def _verdict(stair: Staircase) -> str:
    return f"{stair.side} unit {stair.unit if stair.unit else 'not seen'}: {stair.evidence}"


def _strange(stair: Staircase) -> list[str]:
    lines = [
        f"  dip: {_range(d.first, d.last)} cost more than {d.wider} (a plain ceil cannot say so)" for d in stair.dips
    ]
    if stair.rises:
        lines.append(f"  rises off the edges, at {', '.join(map(str, stair.rises))}")
    return lines


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _plateaus(stair: Staircase) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_header=False)
    for justify in ("right", "right", "left"):
        table.add_column(justify=justify, no_wrap=True)
    most = max(stair.costs) or 1
    undercut = [(d.first, d.last) for d in stair.dips]
    start = 0
    for i in range(1, len(stair.costs) + 1):
        if i < len(stair.costs) and abs(stair.costs[i] - stair.costs[start]) <= FLAT * most:
            continue
        first, last, cost = stair.widths[start], stair.widths[i - 1], stair.costs[i - 1]
        dipped = any(a <= last and first <= b for a, b in undercut)
        table.add_row(
            _range(first, last).replace(" to ", "–"), f"{cost:,}",
            Text("█" * max(1, round(BAR * cost / most)), style="yellow" if dipped else "cyan"),
        )  # fmt: skip
        start = i
    return table


def draw(stairs: Sequence[Staircase], setting: Setting, file: Path, title: str) -> None:
    """The staircases side by side as PNG (or what the file's name says): edges of the unit, and widths not to use.

    Raises UsageError without matplotlib.
    """
    figure = canvas("Drawing staircases", figsize=(4.6 * len(stairs), 3.8))
    for axes, stair in zip(figure.subplots(1, len(stairs), squeeze=False)[0], stairs, strict=True):
        scale, unit = (1e3, "thousand NPU cycles") if stair.source.unit == "cycles" else (1e3, "microseconds")
        widths, costs = [0.5, *(w + 0.5 for w in stair.widths)], [c / scale for c in stair.costs]
        if stair.unit:
            for edge in range(stair.unit, stair.widths[-1] + 1, stair.unit):
                axes.axvline(edge + 0.5, color=EDGE, linewidth=0.7, zorder=0)
        if all(b - a == 1 for a, b in pairwise(stair.widths)):
            axes.stairs(costs, widths, color=COST, linewidth=1.8, baseline=None)
        else:
            axes.plot(stair.widths, costs, "o-", color=COST, markersize=3, linewidth=1)
        for n, dip in enumerate(stair.dips):
            label = "a wider layer costs less" if n == 0 else None
            axes.axvspan(dip.first - 0.5, dip.last + 0.5, color=STRANGE, alpha=0.25, linewidth=0, label=label)
        axes.set_xlabel(f"{stair.side} channels")
        axes.set_ylabel(unit)
        axes.set_ylim(bottom=0)
        axes.set_title(f"{stair.side}: unit {stair.unit}" if stair.unit else f"{stair.side}: no unit seen")
        if stair.dips:
            axes.legend(loc="upper left", fontsize=8)
    figure.suptitle(
        f"{title}: {setting.kernel}x{setting.kernel} kernel, {setting.hw}x{setting.hw} map, {setting.other} channels on the "
        f"other side\n{stairs[0].source}",
        fontsize=9,
        parse_math=False,
    )
    write_atomically(file, png(figure, file.suffix.lstrip(".") or "png"))
