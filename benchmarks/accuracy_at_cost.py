"""Accuracy at equal Vela cycles, without training: ours, our baselines, and other tools, on CIFAR-10 networks.

    python benchmarks/accuracy_at_cost.py [--networks vgg16_bn resnet18] [--methods NAME ...] [--seeds 0 1 2]

Every method gets the same trained network, is brought to the same budget of the same compiler's total for the whole
network (70, 50, 35, 25 % of dense on ethos-u55-256), and gets the same two repairs on the same 512 training images, no
labels: batch norm re-estimated, and our closed form (`mix`). Seeds draw the calibration images, and each is tested on
another fifth of the 10,000 test images, for the time that it takes. Rows that are in the results are not repeated. MCT is
measured where it is installed (`pip install model-compression-toolkit==2.6.1`). The images are JPEGs: compare only within
this data.
"""

import argparse
import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from statistics import mean

from common import SHARED, need_shared, rows_of, write

from padless import Images
from padless.recover import recover, reestimate_batchnorm
from padless.reproduction.peers import APPROXIMATIONS
from padless.reproduction.protocol import AWARE, MCT, PADLESS
from padless.reproduction.subject import CALIBRATION, THEIRS, Subject
from padless.runs.dense import opened
from padless.train import evaluate

TARGET, SHARES = "ethos-u55-256", (0.7, 0.5, 0.35, 0.25)
METHODS = (
    PADLESS, AWARE, "optimal, L1", "one threshold, reconstruction", "frozen-input knapsack", "uniform, L1", *THEIRS, MCT,
)  # fmt: skip
COLUMNS = ("network", "method", "share", "seed")


class Network(Subject):
    """A trained network, tested on a fifth of the test set."""

    def __init__(self, name: str) -> None:
        source, images = opened(
            f"cifar10/{name}", SHARED / "weights" / f"{name}.safetensors", str(SHARED / "data" / "cifar10-jpeg"), None
        )
        super().__init__(source, images, TARGET)

    @cache  # noqa: B019 (a network lives as long as its row)
    def accuracy(self, seed: int) -> float:
        return evaluate(self.model, self.fifth(seed))

    def fifth(self, seed: int) -> Images:
        """Of the test set."""
        part = slice(seed % 5, None, 5)
        return replace(self.images, test=self.images.test[part], test_labels=self.images.test_labels[part])


def read_arguments(description: str | None, shares: Sequence[float]) -> argparse.Namespace:
    """Networks, shares of their cycles and seeds. Ends with the reason where the weights and images are not at hand."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["vgg16_bn", "resnet18"])
    parser.add_argument("--shares", nargs="+", type=float, default=list(shares))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    given = parser.parse_args()
    need_shared()
    return given


def unmeasured(
    rows: Sequence[dict], methods: Sequence[str], given: argparse.Namespace
) -> Iterator[tuple[Network, dict, list[str]]]:
    """Each network with the cells, by share and seed, that lack methods among the rows, and those methods."""
    for name in given.networks:
        with Network(name) as network:
            for seed, share in product(given.seeds, given.shares):
                here = {"network": name, "share": share, "seed": seed}
                done = {row["method"] for row in rows if here.items() <= row.items()}
                if missing := [method for method in methods if method not in done]:
                    yield network, here, missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["vgg16_bn", "resnet18"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--name", default="accuracy_at_cost", help="of the results")
    given = parser.parse_args()
    need_shared()
    rows = rows_of(given.name)
    for name in given.networks:
        with Network(name) as network:
            cells = product([name], given.methods, SHARES, given.seeds)
            for cell in sorted(cells, key=lambda cell: cell[-1]):  # whole seeds first
                named = dict(zip(COLUMNS, cell, strict=True))
                if any(all(row[k] == v for k, v in named.items()) for row in rows):
                    continue
                rows.append(named | measured(network, *cell[1:]))
                print(rows[-1], flush=True)
                keep(given.name, rows)
    table(rows)


def keep(name: str, rows: list[dict]) -> None:
    write(
        name, rows, target=TARGET, images=CALIBRATION, accuracy="another fifth of the test set for each seed",
        mct_approximations=APPROXIMATIONS,
    )  # fmt: skip


def measured(network: Network, method: str, share: float, seed: int) -> dict:
    """One cell; no accuracy where the method cannot reach the cost."""
    fifth = network.fifth(seed)
    made = network.at_cycles(method, share, seed)
    if made is None:
        return {"accuracy": None, "accuracy_bn": None, "dense_accuracy": network.accuracy(seed)}
    small, plan = made.model, made.plan
    cost = network.cost(small)
    totals = cost.totals()
    other = copy.deepcopy(small)
    reestimate_batchnorm(other, network.calibration(seed))
    row = {
        "accuracy_bn": evaluate(other, fifth),
        "dense_accuracy": network.accuracy(seed),
        "cycles_percent": 100 * cost.cycles.total / network.dense.cycles.total,
        "macs_percent": 100 * totals["macs"] / network.dense.totals()["macs"],
        "wasted_macs_percent": totals["wasted_macs_percent"],
        "avoidable_macs_percent": totals["avoidable_macs_percent"],
        "oracle": totals["oracle"],
    }
    found = recover(small, network.model, plan, network.calibration(seed), method="mix")
    return row | {"accuracy": evaluate(small, fifth), "recovery_seconds": round(found.seconds, 2)}


def table(rows: list[dict]) -> None:
    """Closed form / batch norm alone: the mean over seeds."""
    for name in dict.fromkeys(row["network"] for row in rows):
        mine = [row for row in rows if row["network"] == name]
        dense = mean({row["seed"]: row["dense_accuracy"] for row in mine}.values())
        print(f"\n{name}, dense {dense:.2f}".ljust(31) + "".join(f"{share:>16.0%}" for share in SHARES))
        for method in dict.fromkeys(row["method"] for row in mine):
            cells = ""
            for share in SHARES:
                found = [row for row in mine if (row["method"], row["share"]) == (method, share)]
                cells += f"{' / '.join(said([r[key] for r in found]) for key in ('accuracy', 'accuracy_bn')):>16}"
            print(f"{method:30}{cells}")


def said(accuracies: list[float | None]) -> str:
    sound = [a for a in accuracies if a is not None]
    return f"{mean(sound):.2f}" if sound else "-"


if __name__ == "__main__":
    main()
