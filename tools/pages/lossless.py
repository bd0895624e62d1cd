"""Write `lossless.md` and its picture from `benchmarks/results/`: `python -m tools.pages.lossless`."""

import json
from statistics import mean, stdev
from typing import Any

from padless.files import write_atomically
from padless.report.markdown import markdown_table
from padless.report.picture import COLOURS, canvas, png
from padless.reproduction.protocol import AWARE, DENSE, GENERAL
from tools.pages import DOCS, IMAGES, RESULTS

PAGE, PICTURE = DOCS / "lossless.md", IMAGES / "lossless.png"
FEW = 3  # cells that make a picture
SEEDS = 3  # that make an answer
BY_CYCLES = " at cycles"  # ends the names of methods whose size is a share of the compiler's total
MARKS = ("o", "s", "D", "^", "v", "P", "X", "*")
Row = dict[str, Any]
SHOWN = f"![How far behind the dense network, by what went](images/{PICTURE.name})\n\n"

TEXT = """# The largest cut without loss

Written by `python -m tools.pages.lossless` from `benchmarks/results/`; a test fails when it is stale.

How much can go before accuracy does, once the cut network is trained on in full? Here stands what two cores could say
so far: {networks}. The data is CIFAR-10 in a JPEG form; compare within the page.

{answer}{dense}

**The protocol.** A tenth of the training images (5,000) is held out; everything is trained on the others, cut networks
and the dense one (`{continued}`) alike: {epochs} epochs of {images:,} images, the same rates and seeds, no teacher. Cut
networks are repaired in closed form first. Sizes go in steps of 5 points and are looked for by bisection with the first
seed; the other seeds are trained at what it finds. *Behind* is how much lower than `{continued}` a network is on the
images held out, with the same seed: a cut is without loss where that is at most {tolerance:g} points. A cell more than
{far:g} points behind after {early} epochs is stopped. The test images decide nothing; on 10,000 of them the standard
error of one accuracy is 0.4 points at most. With more than one seed, means have their standard error behind them.

**The cheapest rival** cuts nothing: in `grid alone` every inner layer's weights have few values, as many as the budget
allows, once they are trained. On this system the flash that weights come from binds, and Arm's compiler stores such weights
in fewer bytes. Where that loses less than channels at the same cycles, a lead of one way to cut channels over another says
little for cutting them; `padless on grids` chooses both in one program.

{picture}{tables}

`python benchmarks/dense.py`, `python benchmarks/lossless.py`
"""


def page() -> str:
    record, dense = (json.loads((RESULTS / f"{name}.json").read_text()) for name in ("lossless", "dense"))
    rows = record["rows"]
    early, far = record["hopeless"]
    networks = list(dict.fromkeys(row["network"] for row in rows))
    lines = [
        [row["network"], f"{row['images']:,}", str(row["epochs"]), f"{row['test']:.2f}", f"{row['seconds'] / 3600:.1f}",
         ", ".join(f"{accuracy:.1f}" for accuracy in row["curve"].values())]
        for row in dense["rows"]
    ]  # fmt: skip
    head = ["dense network", "images", "epochs", "test %", "hours", "held out, every fifth epoch"]
    return TEXT.format(
        networks=", ".join(f"`{network}`" for network in networks),
        answer="".join(answer(rows, network, record["tolerance"]) for network in networks),
        dense=markdown_table(head, lines), continued=DENSE, epochs=rows[0]["epochs"], images=rows[0]["images"],
        tolerance=record["tolerance"], far=far, early=early,
        picture=SHOWN if sum(row["held_out"] is not None for row in rows if row["method"] != DENSE) >= FEW else "",
        tables="\n\n".join(_table(rows, network) for network in networks),
    )  # fmt: skip


def answer(rows: list[Row], network: str, tolerance: float) -> str:
    """The largest size of each method that is without loss on enough seeds; nothing where none is known."""
    largest: dict[str, str] = {}
    for (method, size), cells in groups(rows, network).items():
        known = len(cells) >= SEEDS and all(cell["held_out"] is not None for cell in cells)
        if known and mean(behind(rows, cell, "held_out") for cell in cells) <= tolerance:
            cycles = method.endswith(BY_CYCLES)
            left = f" ({mean(cell['cycles_percent'] for cell in cells):.1f} % are left)" if cycles else ""
            of = "the cycles" if cycles else "the channels"
            largest[method] = f"{size} % of {of} by `{method.removesuffix(BY_CYCLES)}`{left}"
    if not largest:
        return ""
    return f"**The answer so far**, {network} with {SEEDS} seeds. Without loss go {', '.join(largest.values())}.\n\n"


def behind(rows: list[Row], row: Row, on: str) -> float:
    """Points below the network that was continued with the same seed."""
    other = next(r for r in rows if r["method"] == DENSE and all(r[k] == row[k] for k in ("network", "seed", "epochs")))
    return float(other[on] - row[on])


def groups(rows: list[Row], network: str) -> dict[tuple[str, int], list[Row]]:
    """The seeds of each method and size, in the order of sizes."""
    found: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        if row["network"] == network and row["method"] != DENSE:
            found.setdefault((row["method"], row["size"]), []).append(row)
    methods = list(dict.fromkeys(method for method, _ in found))
    return dict(sorted(found.items(), key=lambda item: (methods.index(item[0][0]), item[0][1])))


def _table(rows: list[Row], network: str) -> str:
    head = ["what", "gone %", "MACs %", "cycles %", "padding saved", "seeds", "held out", "behind", "test", "behind"]
    lines = []
    dense = [row for row in rows if row["network"] == network and row["method"] == DENSE]
    lines.append([DENSE, "", "100", "100", "", str(len(dense)), _said([r["held_out"] for r in dense]), "",
                  _said([r["test"] for r in dense]), ""])  # fmt: skip
    for (method, size), cells in groups(rows, network).items():
        first = cells[0]
        cost = [f"{first[key]:.1f}" if key in first else "" for key in ("macs_percent", "cycles_percent")]
        start = [method.removesuffix(BY_CYCLES), str(size), *cost, _saved(first), str(len(cells))]
        if why := next((cell["why"] for cell in cells if cell["held_out"] is None), None):
            lines.append([*start, why, "", "", ""])
            continue
        figures = [
            text for on in ("held_out", "test")
            for text in (_said([c[on] for c in cells]), _said([behind(rows, c, on) for c in cells]))
        ]  # fmt: skip
        lines.append([*start, *figures])
    return f"### {network}\n\n{markdown_table(head, lines)}"


def _saved(row: Row) -> str:
    """Points of padded MACs that NPU-aware pruning saves against general pruning at the same ratio."""
    if "waste" not in row or AWARE not in row["waste"]:
        return ""
    return f"{row['waste'][GENERAL]['wasted_macs_percent'] - row['waste'][AWARE]['wasted_macs_percent']:.1f}"


def _said(numbers: list[float]) -> str:
    error = f" ± {stdev(numbers) / len(numbers) ** 0.5:.2f}" if len(numbers) > 1 else ""
    return f"{mean(numbers):.2f}{error}" if numbers else ""


def draw() -> None:
    """What went against how far behind the network is, on the images held out, for the first network."""
    record = json.loads((RESULTS / "lossless.json").read_text())
    rows = record["rows"]
    network = rows[0]["network"]
    figure = canvas("Drawing the largest cuts", figsize=(6.4, 3.8))
    axes = figure.subplots()
    axes.axhline(0, color=COLOURS["black"], linewidth=0.8, linestyle="--")
    found = groups(rows, network)
    colours = [colour for name, colour in COLOURS.items() if name != "black"]
    for i, method in enumerate(dict.fromkeys(method for method, _ in found)):
        points = [
            (size, mean(behind(rows, cell, "held_out") for cell in cells))
            for (name, size), cells in found.items()
            if name == method and all(cell["held_out"] is not None for cell in cells)
        ]
        if points:
            axes.plot(*zip(*points, strict=True), marker=MARKS[i % len(MARKS)], color=colours[i % len(colours)],
                      markersize=5, linewidth=1.2, label=method)  # fmt: skip
    axes.set_xlabel("channels gone, or cycles saved, %")
    axes.set_ylabel(f"points behind {DENSE}, held out")
    axes.invert_yaxis()
    axes.set_title(f"{network}, {rows[0]['epochs']} epochs after the cut", fontsize=9)
    axes.legend(fontsize=8, frameon=False)
    write_atomically(PICTURE, png(figure))


def write() -> None:
    text = page()
    PAGE.write_text(text, encoding="utf-8")
    if SHOWN in text:
        draw()


if __name__ == "__main__":
    write()
