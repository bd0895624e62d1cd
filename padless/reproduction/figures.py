"""The pictures: waste, accuracy at equal ratio, accuracy at equal cycles, and the staircase with every tool's widths."""

from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from statistics import mean
from typing import Any

from padless.files import write_atomically
from padless.hardware.rounding import ceil_div
from padless.report.picture import COLOURS, GREY, canvas, png
from padless.reproduction.protocol import AWARE, EQUAL, GENERAL, Row
from padless.reproduction.staircase import Steps
from padless.reproduction.tables import WASTE, distinct, of, values

# Marks differ, too, for those who cannot tell the colours apart.
LOOK = {
    EQUAL[0]: (COLOURS["blue"], "o"), EQUAL[1]: (COLOURS["green"], "s"), EQUAL[2]: (COLOURS["vermilion"], "^"),
    EQUAL[3]: (COLOURS["purple"], "D"), EQUAL[4]: (COLOURS["sky blue"], "P"), EQUAL[5]: (COLOURS["orange"], "v"),
    EQUAL[6]: (COLOURS["black"], "*"), EQUAL[7]: (COLOURS["yellow"], "X"),
}  # fmt: skip
UNITS = {  # 1: general pruning
    1: LOOK[GENERAL], 8: (COLOURS["sky blue"], "s"), 16: (COLOURS["green"], "D"), 32: ("#004D40", "v"),
}  # fmt: skip
OTHER_UNITS = (COLOURS["black"], "*"), (COLOURS["purple"], "X"), (COLOURS["orange"], "P"), (COLOURS["blue"], "o")
BLACK = COLOURS["black"]
WIDTH = 9.0  # inches


def draw_all(folder: Path, rows: Sequence[Row], steps: Sequence[Steps], conditions: str) -> list[Path]:
    """Every picture that the rows allow, as PNG. `conditions` stands under each whose networks
    were trained. Raises UsageError without matplotlib."""
    pictures: dict[str, Callable[[Any], None]] = {}
    aware = of(rows, part="equal ratio", method=AWARE)
    if aware:
        pictures["waste"] = lambda figure: _waste(figure, aware)
    if of(rows, part="equal ratio"):
        pictures["equal-ratio"] = lambda figure: _equal_ratio(figure, rows)
    if of(rows, part="equal cycles"):
        pictures["equal-cycles"] = lambda figure: _equal_cycles(figure, rows)
    if steps:
        pictures["staircase"] = lambda figure: _staircases(figure, steps)
    if len(distinct(rows, "seed")) > 1:
        conditions += "; lines: means; dots: single seeds"
    files = []
    for name, draw in pictures.items():
        file = folder / f"{name}.png"
        write_atomically(file, _drawn(draw, "" if name == "waste" else conditions))
        files.append(file)
    return files


def empty_figure() -> Any:
    """Raises UsageError without matplotlib."""
    return canvas("Drawing the reproduction")


def _drawn(draw: Callable[[Any], None], conditions: str) -> bytes:
    figure = empty_figure()
    draw(figure)
    figure.supxlabel(conditions, fontsize=8, color=GREY)
    return png(figure)


def _grid(figure: Any, rows: int, columns: int, height: float = 2.7, **shared: bool | str) -> Any:
    figure.set_size_inches(min(WIDTH, WIDTH / 2 * columns + 1), 0.5 + height * rows)
    return figure.subplots(rows, columns, squeeze=False, **shared)


def _beside(figure: Any, count: int, height: float) -> list[Any]:
    """Axes for `count` networks, two beside each other."""
    axes = list(_grid(figure, ceil_div(count, 2), min(2, count), height).flat)
    for empty in axes[count:]:
        empty.remove()
    return axes[:count]


def _waste(figure: Any, rows: Sequence[Row]) -> None:
    """Bars, from rows of NPU-aware pruning: what general pruning wastes in each unit at each ratio; NPU-aware beside it."""
    places = {network: _places(of(rows, network=network)) for network in distinct(rows, "network")}
    grid = _grid(figure, len(places), len(WASTE), sharey="row")
    margin = max(max(at.values()) for at in places.values()) / 2 + 1
    for line, (network, at) in zip(grid, places.items(), strict=True):
        middle = max(at.values()) / 2
        for axes, (measure, key) in zip(line, WASTE.items(), strict=True):
            for (ratio, unit), place in at.items():
                for row in of(rows, network=network, size=ratio, unit=unit)[:1]:
                    for shift, name in ((-0.2, GENERAL), (0.2, AWARE)):
                        axes.bar(place + shift, row["waste"][name][key], 0.4, color=LOOK[name][0], label=name)
            axes.set_xticks(list(at.values()), [str(unit) for _, unit in at])
            axes.set_xlim(middle - margin, middle + margin)  # bars as wide in every network
            for ratio in dict.fromkeys(ratio for ratio, _ in at):
                axes.text(
                    mean(place for (r, _), place in at.items() if r == ratio), -0.12, f"{ratio:.0%} pruned",
                    ha="center", va="top", fontsize=8, transform=axes.get_xaxis_transform(),
                )  # fmt: skip
            axes.set_title(f"{network}: {measure}")
            axes.set_xlabel("unit, channels", labelpad=20)
        line[0].set_ylabel("padding, % of all")
    _legend(figure)


def _places(rows: Sequence[Row]) -> dict[tuple[float, int], int]:
    """Where the bars of each ratio and unit stand: a gap between ratios."""
    ratios, units = distinct(rows, "size"), distinct(rows, "unit")
    return {(ratio, unit): r * (len(units) + 1) + u for r, ratio in enumerate(ratios) for u, unit in enumerate(units)}


def _equal_ratio(figure: Any, rows: Sequence[Row]) -> None:
    """Accuracy after fine-tuning against the ratio, seeds as small marks, beside the dense network continued."""
    by_ratio = of(rows, part="equal ratio")
    networks, rare = distinct(by_ratio, "network"), [unit for unit in distinct(by_ratio, "unit") if unit not in UNITS]
    looks = UNITS | dict(zip(rare, cycle(OTHER_UNITS), strict=False))
    for axes, network in zip(_beside(figure, len(networks), 3.4), networks, strict=True):
        cells = of(by_ratio, network=network)
        ratios = distinct(cells, "size")
        units = distinct(cells, "unit")
        for n, unit in enumerate(units):
            colour, mark = looks[unit]
            x = [100 * ratio + 0.8 * (n - (len(units) - 1) / 2) for ratio in ratios]  # side by side
            y = [_mean(of(cells, size=ratio, unit=unit)) for ratio in ratios]
            name = GENERAL if unit == 1 else f"{AWARE}, unit {unit}"
            axes.plot(x, y, color=colour, marker=mark, linewidth=1.2, markersize=6, label=name)
            for at, ratio in zip(x, ratios, strict=True):
                accuracies = values(of(cells, size=ratio, unit=unit), "accuracy")
                if len(accuracies) > 1:
                    axes.plot([at] * len(accuracies), accuracies, ".", color=colour, markersize=3)
        _dense(axes, of(rows, part="dense", network=network))
        axes.set_xticks([100 * ratio for ratio in ratios])
        axes.set_xlim(100 * min(ratios) - 8, 100 * max(ratios) + 8)
        axes.set_xlabel("channels pruned, % (marks side by side)")
        axes.set_ylabel("top-1 after fine-tuning, %")
        axes.set_title(network)
    _legend(figure)


def _equal_cycles(figure: Any, rows: Sequence[Row]) -> None:
    """Accuracy against cycles for every method: repaired without labels, and after fine-tuning."""
    networks = distinct(of(rows, part="equal cycles"), "network")
    stages = {"accuracy_recovered": "repaired without labels", "accuracy": "after fine-tuning"}
    sizes = distinct(of(rows, part="equal cycles"), "size")
    grid = _grid(figure, len(networks), len(stages), 3.0, sharex=True, sharey="row")
    for line, network in zip(grid, networks, strict=True):
        cells = of(rows, network=network, part="equal cycles")
        for axes, (key, stage) in zip(line, stages.items(), strict=True):
            for method in sorted(distinct(cells, "method"), key=EQUAL.index):
                points = []
                for size in distinct(cells, "size"):
                    met = [row for row in of(cells, method=method, size=size) if row.get(key) is not None]
                    if met:
                        points.append((mean(values(met, "cycles_percent")), mean(values(met, key))))
                if points:
                    colour, mark = LOOK[method]
                    seeds = of(cells, method=method)
                    axes.plot(values(seeds, "cycles_percent"), values(seeds, key), ".", color=colour, markersize=3)
                    axes.plot(
                        *zip(*sorted(points), strict=True), color=colour, marker=mark, linewidth=1.2, label=method
                    )
            _dense(axes, of(rows, part="dense", network=network), key == "accuracy")
            axes.set_xlim(100 * min(sizes) - 5, 100 * max(sizes) + 5)
            axes.set_title(f"{network}, {stage}")
        line[0].set_ylabel("top-1, %")
    for axes in grid[-1]:
        axes.set_xlabel("cycles, % of dense")
    _legend(figure)


def _staircases(figure: Any, steps: Sequence[Steps]) -> None:
    """What a layer costs at each width; the widths that each tool chose, at what the layer costs with them."""
    for axes, stair in zip(_beside(figure, len(steps), 4.0), steps, strict=True):
        costs = [cost / 1e3 for cost in stair.costs]
        axes.stairs(costs, [0.5, *(w + 0.5 for w in stair.widths)], color=GREY, linewidth=1.4, baseline=None)
        for n, (method, (c_in, width, cost)) in enumerate(stair.chosen.items()):
            colour, mark = LOOK[method]
            axes.plot(
                width, cost / 1e3, mark, color=colour, markersize=8, label=f"{method}: {c_in} → {width}", zorder=3 + n
            )
        axes.set_xlabel("output channels")
        axes.set_ylabel("thousand cycles")
        axes.set_ylim(bottom=0)
        title = f"{stair.network} {stair.layer}, at {stair.size:.0%} of all cycles\n"
        title += f"Stairs: {stair.c_in} inputs; marks: each with its own"
        axes.set_title(title)
        axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, frameon=False)


def _legend(figure: Any) -> None:
    """One for all axes, above them, where it covers nothing."""
    handles: dict[str, object] = {}
    for axes in figure.axes:
        handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=4, fontsize=8, frameon=False)


def _dense(axes: Any, rows: Sequence[Row], continued: bool = True) -> None:
    if not rows:
        return
    lines = {"unchanged": ("accuracy_before", BLACK, ":")}
    if continued:
        lines = {"continued": ("accuracy", GREY, "--")} | lines  # the dots above the dashes, which may be at one height
    for name, (key, colour, style) in lines.items():
        axes.axhline(mean(values(rows, key)), color=colour, linewidth=1.2, linestyle=style, label=f"dense, {name}")
    axes.margins(y=0.08)


def _mean(rows: Sequence[Row]) -> float:
    accuracies = values(rows, "accuracy")
    return mean(accuracies) if accuracies else float("nan")
