"""Draw the README's staircase: `python -m tools.pages.readme`. Needs the extras vela and plots.

The costs are those that `padless probe` reads off Arm's compiler; no number is typed.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from padless.cli.app import app
from padless.report.picture import canvas, png
from padless.report.staircase import COST, EDGE, STRANGE

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "readme-staircase.png"
UNIT, PRUNED, FULL = 8, 41, 48  # a width that fills no unit, and the next that does
FIRST, LAST = 24, 72  # the widths that are shown


def costs() -> tuple[dict[int, int], str]:
    """NPU cycles of a 3x3 layer with 64 inputs on a 16x16 map, by its number of output channels; and who says so."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "probe.json"
        asked = ["--target", "ethos-u55-256", "--memory-mode", "Sram_Only", "--side", "output", "--max", str(LAST)]
        app(["probe", *asked, "--json", str(file)], standalone_mode=False)
        (stair,) = json.loads(file.read_text())["staircases"]
    source = stair["source"]
    return dict(zip(stair["widths"], stair["costs"], strict=True)), f"{source['oracle']} {source['version']}"


def draw(cycles: dict[int, int], compiler: str) -> None:
    """One staircase, the units' edges, and what three widths cost."""
    figure = canvas("Drawing", figsize=(7.6, 3.9))
    axes = figure.subplots()
    widths = range(FIRST, LAST + 1)
    for edge in range(FIRST, LAST + 1, UNIT):
        axes.axvline(edge + 0.5, color=EDGE, linewidth=0.8, zorder=0)
    edges = [FIRST - 0.5, *(width + 0.5 for width in widths)]
    axes.stairs([cycles[w] / 1e3 for w in widths], edges, color=COST, linewidth=2.2, baseline=None)
    saved = 1 - cycles[PRUNED - 1] / cycles[PRUNED]
    labels = {
        FULL: (f"{FULL} channels:\n{cycles[FULL]:,} cycles", (7, -24), "left", COST),
        PRUNED: (f"{PRUNED} channels: {cycles[PRUNED]:,} cycles,\nno fewer than {FULL}", (-8, 22), "right", STRANGE),
        PRUNED - 1: (f"{PRUNED - 1} channels: {saved:.0%} fewer", (8, -24), "left", COST),
    }
    for width, (text, offset, side, colour) in labels.items():
        point = (width, cycles[width] / 1e3)
        axes.plot(*point, "o", color=colour, markersize=8, zorder=3)
        arrow = {"arrowstyle": "-", "color": colour}
        axes.annotate(
            text, point, xytext=offset, textcoords="offset points", ha=side, color=colour, fontsize=10, arrowprops=arrow
        )
    axes.set_xlim(FIRST - 0.5, LAST + 0.5)
    axes.set_ylim(bottom=0)
    axes.set_xticks(range(FIRST, LAST + 1, UNIT))
    axes.set_xlabel("output channels of the layer; grey: multiples of 8")
    axes.set_ylabel("thousand NPU cycles")
    axes.set_title(f"One 3x3 convolution on an Arm Ethos-U55-256 ({compiler})")
    PICTURE.write_bytes(png(figure))


if __name__ == "__main__":
    draw(*costs())
