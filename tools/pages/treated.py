"""Write `treated.md` and the picture of `weights.md` from `benchmarks/results/`: `python -m tools.pages.treated`."""

import json
from statistics import mean, stdev
from typing import Any

from padless.files import write_atomically
from padless.report.markdown import markdown_table
from padless.report.picture import COLOURS, canvas, png
from tools.pages import DOCS, IMAGES, RESULTS

PAGE, PICTURE = DOCS / "treated.md", IMAGES / "treated.png"
DENSE, ROUNDED = "dense", "rounded"
METHODS = ("widths", "grid alone", "2:4 alone", "joint")
FIGURES = (("cycles_percent", 1), ("npu_percent", 1), ("float", 2), ("litert", 2))
DRAWN = {  # the name of a method, its marker and its colour
    "widths": ("fewer channels", "o", COLOURS["blue"]),
    "grid alone": ("few values alone", "s", COLOURS["orange"]),
    "2:4 alone": ("two of four alone", "^", COLOURS["green"]),
    "joint": ("both, in one program", "D", COLOURS["vermilion"]),
}

TEXT = """# What few values and whole branches are worth

Written by `python -m tools.pages.treated` from `benchmarks/results/`; a test fails when it is stale. CIFAR-10 in a JPEG
form: compare within a table. `vgg16_bn_x0_25` has a quarter of VGG-16's channels, `mobilenet_v2_x0_5` half of MobileNetV2's
and a stride of two in its second stage: two cores can train them. Networks are as trained once, cut, recovered and treated
on {calibration} unlabelled training images, which each seed draws anew. Nothing is trained but where a table says so: then
each network once it is recovered, on all training images with the dense one as its teacher, and treated last.

## Few values beside fewer channels

- `widths`: the best widths, recovered.
- `grid alone`: the finest grid of one number of levels for every inner layer that meets the budget, compensated. No channel
  goes.
- `2:4 alone`: two of four weights for every inner layer, where the compiler pays for it; where that is not enough, on the
  finest grid that meets the budget, compensated. No channel goes.
- `joint`: widths and a treatment for each layer in one program (`--treat`), recovered, then treated.
- `rounded`: 9 levels for every inner layer, without compensation.

Cycles and NPU cycles (those without waiting for memory) are Arm Vela {vela}'s for the written INT8 file, of the target's
default system and memory mode, in percent of the dense network's file. Where cycles fall and NPU cycles do not, the network
computes as much and fetches less: the energy of computing stays, and a board with faster flash gains less. Accuracy is top-1
in percent, in float and of that file in LiteRT, on the same test images for all; means over the seeds, their deviation
behind. The standard error of one accuracy is {error:.2f} at most. *Gap* is what the solver's proof leaves open at most;
*seconds* are those of the solver, of planning without the scores (which are made once for all budgets), of recovery and of
treating, on one thread of a machine that did other work, too.

{tables}

## What planning takes

{planned_network} with random weights, {planned_images} images of noise at its own size, {threads} cores of a quiet machine.
*Questions* are layers that the compiler was asked about; what it answered, and what the images told of channels and
treatments, is kept for the next plan.

{planning}

`python benchmarks/treat_planning.py`

## Whole branches

Networks of torchvision without training, whose costs are theirs though nothing can be said of accuracy: the cycles that are
left, in percent of dense, with every group at its narrowest whole units, and without the branches that may go; then whether
each budget is met by widths alone and with branches, and what of the importance (reconstruction, {noise} images of noise) is
kept, in percent. Every cut equals the masked original.

{reach}

ResNet-18 as it was trained, widths alone and with branches at the same budgets, in LiteRT:

{accuracy}

`python benchmarks/depth.py reach`, `python benchmarks/depth.py accuracy`
"""


def page() -> str:
    record, depth, planning = (
        json.loads((RESULTS / f"{name}.json").read_text()) for name in ("treat", "depth", "treat_planning")
    )
    rows = record["rows"]
    return TEXT.format(
        calibration=record["calibration"], vela=record["versions"]["ethos-u-vela"],
        error=max(50 / row["test"] ** 0.5 for row in rows), tables=_tables(rows), noise=depth["noise"],
        planned_network=planning["rows"][0]["network"], planned_images=planning["images"],
        threads=planning["machine"]["threads"], planning=_planning(planning["rows"]),
        reach=_reach(depth["rows"]), accuracy=_accuracy(depth["rows"]),
    )  # fmt: skip


def _tables(rows: list[dict[str, Any]]) -> str:
    parts = []
    kinds = dict.fromkeys((row["network"], row["target"], row["epochs"]) for row in rows)
    for network, target, epochs in sorted(kinds, key=lambda kind: kind[2]):
        here = [row for row in rows if (row["network"], row["target"], row["epochs"]) == (network, target, epochs)]
        trained = f", behind {epochs} epoch(s) of training" if epochs else ""
        parts.append(f"### {network} on {target}{trained}\n\n{_table(here)}\n\n`{_command(here)}`")
    return "\n\n".join(parts)


def _command(rows: list[dict[str, Any]]) -> str:
    """What measures them, and rows that are not there yet."""
    budgets = sorted({row["budget"] for row in rows if row["method"] in METHODS}, reverse=True)
    seeds = sorted({row["seed"] for row in rows})
    parts = ["python benchmarks/treat.py --networks", rows[0]["network"], "--targets", rows[0]["target"],
             "--budgets", *map(str, budgets), "--seeds", *map(str, seeds)]  # fmt: skip
    if epochs := rows[0]["epochs"]:
        parts += ["--epochs", str(epochs)]
    return " ".join(parts)


def _table(rows: list[dict[str, Any]]) -> str:
    head = [
        "budget",
        "what",
        "seeds",
        "test images",
        "cycles %",
        "NPU cycles %",
        "float",
        "LiteRT",
        "gap %",
        "seconds",
        "treatments",
    ]
    lines = []
    order = {name: i for i, name in enumerate((DENSE, ROUNDED, *METHODS))}
    kinds = dict.fromkeys((row["budget"], row["method"], row["test"]) for row in rows)
    for budget, method, test in sorted(kinds, key=lambda kind: (-kind[0], order[kind[1]], kind[2])):
        alike = [row for row in rows if (row["budget"], row["method"], row["test"]) == (budget, method, test)]
        reached = [row for row in alike if row.get("reached", True)]
        name = "" if method in (DENSE, ROUNDED) else f"{budget} %"
        if not reached:
            lines.append([name, method, str(len(alike)), f"{test:,}", "out of reach", *[""] * 6])
            continue
        lines.append([
            name, method, str(len(reached)), f"{test:,}",
            *(_spread(reached, field, digits) for field, digits in FIGURES),
            _gap(reached), _seconds(reached), _treatments(reached[0]),
        ])  # fmt: skip
    return markdown_table(head, lines)


def _spread(rows: list[dict[str, Any]], name: str, digits: int) -> str:
    found = [row[name] for row in rows]
    deviation = f" ± {stdev(found):.{digits}f}" if len(found) > 1 else ""
    return f"{mean(found):.{digits}f}{deviation}"


def _gap(rows: list[dict[str, Any]]) -> str:
    return f"{100 * max(row['gap'] for row in rows):.4f}" if "gap" in rows[0] else ""


def _seconds(rows: list[dict[str, Any]]) -> str:
    names = ("solver_seconds", "planning_seconds", "recovery_seconds", "treating_seconds", "seconds")
    known = [name for name in names if name in rows[0]]
    return " / ".join(f"{mean(row[name] for row in rows):.{1 if name == 'solver_seconds' else 0}f}" for name in known)


def _treatments(row: dict[str, Any]) -> str:
    found = row.get("treatments", "")
    return found if isinstance(found, str) else ", ".join(f"{count} x {name}" for name, count in found.items())


def _planning(rows: list[dict[str, Any]]) -> str:
    head = ["offered", "kept answers", "questions", "seconds", "of them scores", "gap %", "cycles %"]
    lines = [
        [", ".join(row["treat"]) or "widths alone", "none" if row["cache"] == "empty" else "of the same plan",
         f"{row['questions']:,}", f"{row['seconds']:.1f}", f"{row['scoring_seconds']:.1f}", f"{100 * row['gap']:.4f}",
         f"{row['cycles_percent']:.2f}"]
        for row in rows
    ]  # fmt: skip
    return markdown_table(head, lines)


def _reach(rows: list[dict[str, Any]]) -> str:
    rows = [row for row in rows if row["what"] == "reach"]
    budgets = sorted({row["budget"] for row in rows}, reverse=True)
    head = [
        "network",
        "target",
        "narrowest",
        "without branches",
        "branches",
        *(f"{budget} %: widths / with branches" for budget in budgets),
    ]
    lines = []
    for network, target in dict.fromkeys((row["network"], row["target"]) for row in rows):
        here = {
            (row["budget"], row["depth"]): row for row in rows if (row["network"], row["target"]) == (network, target)
        }
        one = next(iter(here.values()))
        cells = [" / ".join(_kept(here.get((budget, depth))) for depth in (False, True)) for budget in budgets]
        lines.append([network, target, f"{one['narrowest']:g}", f"{one['shallowest']:g}", str(one["branches"]), *cells])
    return markdown_table(head, lines)


def _kept(row: dict[str, Any] | None) -> str:
    if row is None:
        return "-"
    return f"{100 * row['importance_kept']:.1f}" if row["reached"] else "out of reach"


def _accuracy(rows: list[dict[str, Any]]) -> str:
    rows = [row for row in rows if row["what"] == "accuracy"]
    head = [
        "budget",
        "seeds",
        "test images",
        "widths: cycles %",
        "LiteRT",
        "with branches: cycles %",
        "LiteRT",
        "branches gone",
    ]
    lines = []
    for budget, test in dict.fromkeys((row["budget"], row["test"]) for row in rows):
        sides = [
            [r for r in rows if (r["budget"], r["test"], r["depth"]) == (budget, test, depth)]
            for depth in (False, True)
        ]
        if not all(sides):
            continue
        cells = []
        for side in sides:
            reached = [row for row in side if row["reached"]]
            cells += (
                [_spread(reached, "cycles_percent", 1), _spread(reached, "litert", 2)]
                if reached
                else ["out of reach", ""]
            )
        gone = sorted({id for row in sides[1] for id in row.get("gone", ())})
        lines.append([f"{budget} %", str(len(sides[1])), f"{test:,}", *cells, ", ".join(gone) or "none"])
    return markdown_table(head, lines)


def draw() -> None:
    """Cycles against accuracy: what fewer channels, few values, and both reach. A panel for each network and target."""
    rows = [
        row
        for row in json.loads((RESULTS / "treat.json").read_text())["rows"]
        if not row["epochs"] and row.get("reached", True)
    ]
    pairs = list(dict.fromkeys((row["network"], row["target"]) for row in rows))
    across = 3
    down = -(-len(pairs) // across)
    figure = canvas("Drawing what treatments are worth", figsize=(3.6 * across + 0.6, 3.6 * down + 0.2))
    panels = figure.subplots(down, across, squeeze=False)
    for axes, (network, target) in zip(panels.flat, pairs, strict=False):
        _panel(axes, [row for row in rows if (row["network"], row["target"]) == (network, target)])
        axes.set_title(f"{network}, {target}", fontsize=9)
    for axes in panels.flat[len(pairs) :]:
        axes.axis("off")
    for axes in panels[-1]:
        axes.set_xlabel("cycles of the file, % of dense")
    for axes in panels[:, 0]:
        axes.set_ylabel("top-1 in LiteRT, %")
    figure.axes[0].legend(fontsize=8, frameon=False, loc="lower right")
    figure.suptitle("Nothing trained", fontsize=9)
    write_atomically(PICTURE, png(figure))


def _panel(axes: Any, rows: list[dict[str, Any]]) -> None:
    dense = mean(row["litert"] for row in rows if row["method"] == DENSE)
    axes.axhline(dense, color=COLOURS["black"], linewidth=0.8, linestyle="--")
    axes.annotate("dense", (55, dense), xytext=(0, 3), textcoords="offset points", ha="right", fontsize=8)
    for method, (name, marker, colour) in DRAWN.items():
        budgets = sorted({row["budget"] for row in rows if row["method"] == method})
        groups = [[row for row in rows if (row["method"], row["budget"]) == (method, budget)] for budget in budgets]
        points = [(mean(r["cycles_percent"] for r in group), mean(r["litert"] for r in group)) for group in groups]
        axes.plot(
            [x for x, _ in points], [y for _, y in points], marker=marker, color=colour, markersize=5, linewidth=1.2,
            label=name,
        )  # fmt: skip
    axes.set_xlim(0, 55)  # the smallest saving that was asked for is half


def write() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    draw()


if __name__ == "__main__":
    write()
