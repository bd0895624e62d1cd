"""Write `choices.md` from `benchmarks/results/`: `python -m tools.pages.choices`. No figure is typed."""

import json
from statistics import mean

from padless.report.markdown import markdown_table
from tools.pages import DOCS, RESULTS

PAGE = DOCS / "choices.md"

TEXT = """# How good the widths are

Written by `python -m tools.pages.choices` from `benchmarks/results/`; a test fails when it is stale. Cycles are those of
Arm Vela 5.2.0 with each target's own system configuration and memory mode (`padless targets ID` names them): a
compiler's estimate, not silicon.

## How far from optimal

Random weights, L1, the tables' cycles at 70, 50, 35 and 25 % of dense. *Gap*: what the proof leaves open within
{limit:g} seconds, in percent of the objective (a sum of logarithms of shares kept, below zero). HiGHS and CP-SAT have
the same tables and {alone:g} seconds each. *Out of reach*: the narrowest network of whole units costs more.
`{allocation_command}`

{gaps}

The objective (larger is better) of ours / greedy / a knapsack with frozen inputs (HALP's idea; its limit raised until
the true cost meets the budget) on the same tables and budgets; `-` found none:

{kept}

## Budgets are met and used

`padless.plan` from start to end, each in a process of its own; the compiler's total for the whole network in percent of
what was asked (least and most over the four budgets), the MACs that aligned widths would still save, seconds with an
empty cache (50 %) and with a filled one (the others: median; what remains is the compiler's work on each new network),
peak memory beside the compiler's workers. `{budgets_command}`

{budgets}

## Whole units, or what the compiler charges for

Importance kept in percent (`-` where no widths are within the budget), and behind a slash the avoidable MACs: those that
whole units would save, with `cost` those that the compiler would charge no cycle more for. `unit`
fills whole units of every layer, `cost` strikes out what a larger width undercuts in the compiler's tables, `none` is
general pruning. `ds_cnn` is a keyword-spotting network, 64 wide, with random weights and importance L1; its 1x1 layers
read inputs in units of 32, on Ethos-U85 of 16 or 64.
Trained networks: importance by reconstruction, and in brackets top-1 on 2,000 test images after the closed-form recovery
(CIFAR-10 as JPEGs; standard error 0.8 points). One seed. `{alignment_command}`

{alignment}

`cost` reaches budgets that units rule out, and tries whole units as well, so it keeps no less. Where wide 3x3 layers bind,
as in ResNet-18, both choose the same widths; tables of finer widths take up to three times as many questions, once, and
more of what the array computes is padding that costs nothing here but may elsewhere. So whole units are the default, and
costs where those do not reach the budget. The other sections were measured with `unit`.

## Accuracy at equal cycles

CIFAR-10 (in a JPEG form: compare within the table), ethos-u55-256, no training, no labels: top-1 accuracy in percent
after our closed-form recovery (`mix`, 512 images) / after batch norm re-estimation alone. Every method is turned until
the compiler's total is within the budget, and gets the same repairs. Means over the seeds. Each seed draws other
calibration images and is tested on another 2,000 of the 10,000 test images, whose standard error is 0.8 points; methods
share the images. `{accuracy_command}`

{accuracy}

NPU-aware is the paper's method: one L1 threshold over the network, moved until the cycles fit. `optimal, L1` has our
choice of widths with its importance, `one threshold, reconstruction` our importance with its allocation: either of them
wins nearly all of what ours is ahead of it once the closed form repairs, for both leave the early layers, which have
few weights to fetch, nearly whole; with batch norm alone one sees that they add up.

The frozen-input knapsack and `uniform` are baselines in our tool: the same units, and for the knapsack the same
importance and tables, so that its only difference is that it prices layers by their outputs alone. It keeps less of the
importance at every budget (the table above), yet after the closed form the two are within each other's noise: what that
leaves of the loss is so little that there is nothing left to win. With batch norm alone the difference shows.
Torch-Pruning ranks by group L2 norms. MCT scores on 64 of the images, since its scores take minutes, and the channels
that it keeps are cut from the network itself, since its own networks leave batch norms out. The closed form heals its
choice, too: at 70 and 50 % the two lie within each other's noise, either way; below that, and with batch norm alone at
every budget, ours is ahead.
"""


def page() -> str:
    allocation, budgets, accuracy = (_read(name) for name in ("allocation", "budgets", "accuracy_at_cost"))
    alignment = _read("alignment")
    return TEXT.format(
        limit=allocation["limit_seconds"],
        alone=allocation["alone_seconds"],
        gaps=markdown_table(
            ["network", "target", "gap, ours", "seconds, ours", "gap, HiGHS", "gap, CP-SAT"], _gaps(allocation["rows"])
        ),
        kept=markdown_table(["network", "target", "70 %", "50 %", "35 %", "25 %"], _kept(allocation["rows"])),
        budgets=markdown_table(
            ["network", "target", "used %", "avoidable MACs %", "rounds", "seconds cold", "seconds warm", "GiB"],
            _budgets(budgets["rows"]),
        ),
        accuracy=_accuracy(accuracy["rows"]),
        allocation_command=allocation["command"],
        budgets_command=budgets["command"],
        accuracy_command=accuracy["command"],
        alignment=_alignment(alignment["rows"]),
        alignment_command=alignment["command"],
    )


def _alignment(rows: list[dict]) -> str:
    """Network, target and budget against the three alignments."""
    table = []
    for network, target, mine in _pairs(rows):
        dense = mine[0].get("dense_accuracy")
        network += f", dense {dense:.2f}" if dense else ""
        for share in dict.fromkeys(row["share"] for row in mine):
            cells = {row["align"]: row for row in mine if row["share"] == share}
            table.append([network, target, f"{share:.0%}", *(_kept_by(cells.get(a)) for a in ("unit", "cost", "none"))])
    return markdown_table(["network", "target", "budget", "`unit`", "`cost`", "`none`"], table)


def _kept_by(row: dict | None) -> str:
    if row is None:
        return ""
    if "infeasible" in row:
        return "-"
    accuracy = f" ({row['accuracy']:.2f})" if "accuracy" in row else ""
    return f"{100 * row['importance_kept']:.1f} / {row['avoidable_macs_percent']:.1f}{accuracy}"


def _read(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text())


def _names(rows: list[dict]) -> list[str]:
    return list(dict.fromkeys(row["network"] for row in rows))


def _pairs(rows: list[dict]) -> list[tuple[str, str, list[dict]]]:
    """Network, target, their rows."""
    keys = dict.fromkeys((row["network"], row["target"]) for row in rows)
    return [(*key, [row for row in rows if (row["network"], row["target"]) == key]) for key in keys]


def _gaps(rows: list[dict]) -> list[list[str]]:
    table = []
    for network, target, mine in _pairs(rows):
        solved = [row for row in mine if "gap_percent" in row]
        out = f" ({len(mine) - len(solved)} budgets out of reach)" if len(solved) < len(mine) else ""

        seconds = f"{min(r['seconds'] for r in solved):.2f} to {max(r['seconds'] for r in solved):.2f}"
        gaps = [_worst(solved, f"{solver}gap_percent") for solver in ("", "highs_", "cp_sat_")]
        table.append([network + out, target, gaps[0], seconds, *gaps[1:]])
    return table


def _kept(rows: list[dict]) -> list[list[str]]:
    """Ours, greedy's and the frozen knapsack's."""
    table = []
    for network, target, mine in _pairs(rows):
        cells = []
        for share in (0.7, 0.5, 0.35, 0.25):
            (row,) = [r for r in mine if r["share"] == share]
            if "objective" not in row:
                cells.append("out of reach")
                continue
            others = [row[f"{name}_objective"] for name in ("greedy", "frozen")]
            cells.append(" / ".join(["-" if o is None else f"{o:.2f}" for o in (row["objective"], *others)]))
        table.append([network, target, *cells])
    return table


def _budgets(rows: list[dict]) -> list[list[str]]:
    table = []
    for network, target, mine in _pairs(rows):
        met = [row for row in mine if "used_percent" in row]
        out = f" ({len(mine) - len(met)} out of reach)" if len(met) < len(mine) else ""
        warm = sorted(row["seconds"] for row in met if row["cache"] == "warm")
        table.append([
            network + out, target, _range(met, "used_percent", "{:.1f}"), _range(met, "avoidable_macs_percent", "{:.2f}"),
            _range(met, "rounds", "{}"), "".join(f"{r['seconds']:.0f}" for r in mine if r["cache"] == "cold"),
            f"{warm[len(warm) // 2]:.1f}" if warm else "-", f"{max(r['peak_bytes'] for r in met) / 2**30:.2f}",
        ])  # fmt: skip
    return table


def _worst(rows: list[dict], key: str) -> str:
    gaps = [row[key] for row in rows if row.get(key) is not None]
    if len(gaps) < len(rows):
        return f"no answer {len(rows) - len(gaps)}x"
    return f"{max(round(gap, 4) for gap in gaps):g}"


def _range(rows: list[dict], key: str, form: str) -> str:
    values = [row[key] for row in rows]
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"


def _accuracy(rows: list[dict]) -> str:
    parts = []
    for network in _names(rows):
        mine = [row for row in rows if row["network"] == network]
        dense = {row["seed"]: row["dense_accuracy"] for row in mine}
        table = [_line(mine, method) for method in dict.fromkeys(row["method"] for row in mine)]
        head = f"{network}, dense {mean(dense.values()):.2f} %, {len(dense)} seeds"
        parts.append(f"{head}:\n\n" + markdown_table(["method", "70 %", "50 %", "35 %", "25 %"], table))
    return "\n\n".join(parts)


def _line(rows: list[dict], method: str) -> list[str]:
    cells = []
    for share in (0.7, 0.5, 0.35, 0.25):
        found = [r for r in rows if (r["method"], r["share"]) == (method, share)]
        cells.append(" / ".join(_mean([row.get(key) for row in found]) for key in ("accuracy", "accuracy_bn")))
    few, seeds = len({row["seed"] for row in rows if row["method"] == method}), len({row["seed"] for row in rows})
    return [method + (f" ({few} seed(s))" if few < seeds else ""), *cells]


def _mean(values: list[float | None]) -> str:
    sound = [value for value in values if value is not None]
    return f"{mean(sound):.2f}" if sound and len(sound) == len(values) else "-"


def write() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
