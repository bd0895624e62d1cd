"""What the rows say, as tables: Markdown for people, CSV for programs."""

from collections.abc import Callable, Iterable, Sequence
from statistics import mean, stdev
from typing import Any

from padless.report.markdown import csv_table, markdown_table
from padless.reproduction.measure import LAYER
from padless.reproduction.protocol import AWARE, EQUAL, GENERAL, PADLESS, Row

WASTE = {
    "computation": "wasted_macs_percent",
    "weight space": "wasted_weight_percent",
    "activation space": "wasted_activation_percent",
}
NONE = "-"


def of(rows: Iterable[Row], **fields: Any) -> list[Row]:
    """The rows that have these values."""
    return [row for row in rows if all(row[key] == value for key, value in fields.items())]


def distinct(rows: Iterable[Row], key: str) -> list[Any]:
    """Numbers ascending, names as they come."""
    members = list(dict.fromkeys(row[key] for row in rows))
    return members if any(isinstance(member, str) for member in members) else sorted(members)


def values(rows: Iterable[Row], key: str) -> list[float]:
    return [row[key] for row in rows if row.get(key) is not None]


def spread(rows: Iterable[Row], key: str) -> str:
    """Mean ± deviation over seeds, a mean where there is one, `-` where there is none."""
    numbers = values(rows, key)
    if not numbers:
        return NONE
    return f"{mean(numbers):.2f}" + (f" ± {stdev(numbers):.2f}" if len(numbers) > 1 else "")


def average(rows: Iterable[Row], key: str) -> str:
    """The mean over seeds alone."""
    return spread(rows, key).split(" ")[0]


def waste(rows: Sequence[Row]) -> str:
    """The paper's two measures: general pruning, NPU-aware pruning, and the points between them."""
    table = []
    by_ratio = of(rows, part="equal ratio")
    for network in distinct(by_ratio, "network"):
        for ratio in distinct(of(by_ratio, network=network), "size"):
            cell = of(by_ratio, network=network, size=ratio, method=AWARE)
            for unit in distinct(cell, "unit"):
                wastes = of(cell, unit=unit)[0]["waste"]
                both = wastes[GENERAL], wastes[AWARE]
                cells = [
                    f"{both[0][key]:.2f} → {both[1][key]:.2f} ({both[0][key] - both[1][key]:+.2f})"
                    for key in WASTE.values()
                ]
                table.append([network, f"{ratio:.0%}", str(unit), *cells, f"{both[1]['avoidable_macs_percent']:.2f}"])
    head = ["network", "ratio", "unit", *(f"{name}, %" for name in WASTE), "left that can be aligned, %"]
    return markdown_table(head, table)


def beside_the_paper(rows: Sequence[Row]) -> str:
    """What NPU-aware pruning saves, in points, least to most over networks and ratios, beside what the paper reports."""
    cells, sentences = of(rows, part="equal ratio", method=AWARE), []
    for unit in distinct(cells, "unit"):
        ranges = [f"{name} {saved(of(cells, unit=unit), key)}" for name, key in WASTE.items()]
        sentences.append(f"unit {unit}: {', '.join(ranges)}")
    return (
        "The paper reports 1.86 to 6.78 %; in points, or of what, is not public. Here, points, over all networks and "
        f"ratios above: {'; '.join(sentences)}."
    )


def saved(cells: Iterable[Row], key: str) -> str:
    """Points of a measure between general and NPU-aware pruning, least to most."""
    points = [row["waste"][GENERAL][key] - row["waste"][AWARE][key] for row in cells]
    return f"{min(points):.2f} to {max(points):.2f}"


def equal_ratio(rows: Sequence[Row]) -> str:
    """Accuracy after fine-tuning at a ratio, beside the dense network continued alike."""
    table, units = [], distinct(of(rows, part="equal ratio", method=AWARE), "unit")
    for network in distinct(of(rows, part="equal ratio"), "network"):
        of_network = of(rows, network=network)
        dense = of(of_network, part="dense")
        for ratio in distinct(of(of_network, part="equal ratio"), "size"):
            cell = of(of_network, part="equal ratio", size=ratio)
            same = [row for row in dense if row["seed"] in distinct(cell, "seed")]
            macs = " / ".join(average(of(cell, unit=unit), "macs_percent") for unit in (1, *units))
            table.append([
                network, f"{ratio:.0%}", str(len(distinct(cell, "seed"))), spread(same, "accuracy"),
                *(stages(of(cell, unit=unit)) for unit in (1, *units)), macs,
            ])  # fmt: skip
    aware = [f"{AWARE} {unit}" for unit in units]
    return markdown_table(["network", "ratio", "seeds", "dense, continued", GENERAL, *aware, "MACs left, %"], table)


def against_general(rows: Sequence[Row]) -> str:
    """NPU-aware pruning (mean of the units) less general pruning and less the dense network, in points after
    fine-tuning: mean ± deviation over the seeds that both have."""
    by_ratio = of(rows, part="equal ratio")
    ratios, table = distinct(by_ratio, "size"), []
    for network in distinct(by_ratio, "network"):
        dense, of_network = of(rows, part="dense", network=network), of(by_ratio, network=network)
        for name in (GENERAL, "dense, continued"):
            cells = []
            for ratio in ratios:
                aware = of(of_network, method=AWARE, size=ratio)
                cells.append(_less(aware, of(of_network, method=GENERAL, size=ratio) if name == GENERAL else dense))
            table.append([network, name, *cells])
    return markdown_table(
        ["network", f"{AWARE} (mean of units) less", *(f"{ratio:.0%} pruned" for ratio in ratios)], table
    )


def stages(cell: Sequence[Row]) -> str:
    """As cut / repaired / **fine-tuned**."""
    cut, recovered = (average(cell, key) for key in ("accuracy_cut", "accuracy_recovered"))
    tuned = spread(cell, "accuracy")
    return NONE if tuned == NONE else f"{cut} / {recovered} / **{tuned}**"


def equal_cycles(rows: Sequence[Row], network: str) -> str:
    """Accuracy at equal cycles: cut, repaired without labels, fine-tuned."""
    return _by_method(rows, network, stages)


def spent(rows: Sequence[Row], network: str) -> str:
    """What of the dense network's cycles and MACs each method's networks take, in percent: means over the seeds."""
    return _by_method(rows, network, lambda cell: " / ".join(
        average(cell, key) for key in ("cycles_percent", "macs_percent")
    ))  # fmt: skip


def _by_method(rows: Sequence[Row], network: str, cell_text: Callable[[Sequence[Row]], str]) -> str:
    """A line a method, a column a budget."""
    of_network = of(rows, part="equal cycles", network=network)
    sizes, table = distinct(of_network, "size")[::-1], []
    for method in sorted(distinct(of_network, "method"), key=EQUAL.index):
        of_method = of(of_network, method=method)
        seeds = str(len(distinct(of_method, "seed")))
        table.append([method, seeds, *(cell_text(of(of_method, size=size)) for size in sizes)])
    return markdown_table(["method", "seeds", *(f"{size:.0%} of the cycles" for size in sizes)], table)


def leads(rows: Sequence[Row], network: str) -> str:
    """Ours less each other method, and the paper's less general pruning, in points after fine-tuning: mean ± deviation
    over the seeds that both have."""
    of_network = of(rows, part="equal cycles", network=network)
    sizes, pairs = distinct(of_network, "size")[::-1], [*((PADLESS, rival) for rival in EQUAL[1:]), (AWARE, GENERAL)]
    table = [
        [
            f"{method} less {rival}",
            *(_less(of(of_network, method=method, size=s), of(of_network, method=rival, size=s)) for s in sizes),
        ]
        for method, rival in pairs
        if of(of_network, method=method) and of(of_network, method=rival)
    ]
    return markdown_table(["points", *(f"{size:.0%} of the cycles" for size in sizes)], table) if table else ""


def _less(rows: Iterable[Row], rivals: Iterable[Row]) -> str:
    """The difference in points on the seeds that both have; `-` where there are none."""
    accuracies, rival_accuracies = _by_seed(rows), _by_seed(rivals)
    points = [accuracies[seed] - rival_accuracies[seed] for seed in accuracies if seed in rival_accuracies]
    if not points:
        return NONE
    return f"{mean(points):+.2f}" + (f" ± {stdev(points):.2f}" if len(points) > 1 else "")


def _by_seed(rows: Iterable[Row]) -> dict[int, float]:
    """Accuracy after fine-tuning; the mean where a seed has several rows."""
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        if row["accuracy"] is not None:
            by_seed.setdefault(row["seed"], []).append(row["accuracy"])
    return {seed: mean(accuracies) for seed, accuracies in by_seed.items()}


def dense_line(rows: Sequence[Row], network: str) -> str:
    """The dense network, unchanged and continued for as long as the others."""
    of_network = of(rows, part="dense", network=network)
    return (
        f"{network}: dense {average(of_network, 'accuracy_before')} %, continued {spread(of_network, 'accuracy')} %; "
        f"{len(distinct(of_network, 'seed'))} seed(s)"
    )


def cells_csv(rows: Sequence[Row]) -> str:
    """A line a cell."""
    keys = (
        "part", "network", "method", "size", "unit", "seed", "accuracy_before", "accuracy_cut",
        "accuracy_recovered", "accuracy", "cycles_percent", "macs_percent", "wasted_macs_percent",
        "avoidable_macs_percent", "oracle", "loss", "on", "seconds",
    )  # fmt: skip
    return csv_table(keys, ([row.get(key, "") for key in keys] for row in rows))


def layers_csv(rows: Sequence[Row]) -> str:
    """A line for each layer of each cut at equal ratio, in each unit it was measured in."""
    lines = dict.fromkeys(  # every seed has the same widths
        (row["network"], method, row["size"], row["unit"], name, *numbers)
        for row in of(rows, part="equal ratio", method=AWARE)
        for method, layers in row["layers"].items()
        for name, numbers in layers.items()
    )
    return csv_table(["network", "method", "ratio", "unit", "layer", *LAYER], lines)
