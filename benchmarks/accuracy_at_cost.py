"""Accuracy at equal Vela cycles, without training: ours, our baselines, and other tools, on CIFAR-10 networks.

    python benchmarks/accuracy_at_cost.py [--networks vgg16_bn resnet18] [--methods NAME ...] [--seeds 0 1 2]

Every method gets the same trained network, is brought to the same budget of the same compiler's total for the whole
network (70, 50, 35, 25 % of dense on ethos-u55-256), and gets the same two repairs on the same 512 training images, no
labels: batch norm re-estimated, and our closed form (`mix`; not for MCT, whose networks do not say which channels they
kept). Seeds draw the calibration images, and each is tested on another fifth of the 10,000 test images, for the time that
it takes. Rows that are in the results are not repeated. MCT is measured where it is installed (`pip install
model-compression-toolkit==2.6.1`). The images are JPEGs: compare only within this data.
"""

import argparse
import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache, cached_property
from statistics import mean

import torch
from common import SHARED, need_shared, rows_of, write
from rivals import Knob, plan_of, sony_mct, torch_pruning
from torch import nn

from padless import Images, Plan, load_target, prune, trace
from padless.api import make_plan
from padless.choose import Importance, importance
from padless.errors import InfeasibleError
from padless.pricing import Pricing
from padless.recover import recover, reestimate_batchnorm
from padless.run import opened
from padless.train import evaluate

TARGET, SHARES, IMAGES = "ethos-u55-256", (0.7, 0.5, 0.35, 0.25), 512
OURS = {  # allocation, importance
    "padless": ("optimal", "reconstruction"),
    "frozen-input knapsack": ("frozen", "reconstruction"),
    "greedy": ("greedy", "reconstruction"),
    "padless, L1": ("optimal", "l1"),
    "uniform, L1": ("uniform", "l1"),
    "one threshold, L1": ("global", "l1"),
}
TORCH_PRUNING = {  # one threshold everywhere, counts rounded to
    "Torch-Pruning local": (False, None),
    "Torch-Pruning global": (True, None),
    "Torch-Pruning local, rounded": (False, 32),
    "Torch-Pruning global, rounded": (True, 32),
}
METHODS = ("padless", "frozen-input knapsack", "uniform, L1", *TORCH_PRUNING, "MCT")  # of all that are known
APPROXIMATIONS = 32  # of MCT's scores: its default
COLUMNS = ("network", "method", "share", "seed")


class Network:
    """A trained network, its images, its price."""

    def __init__(self, name: str) -> None:
        source, self.images = opened(
            f"cifar10/{name}", SHARED / "weights" / f"{name}.safetensors", str(SHARED / "data" / "cifar10-jpeg"), None
        )
        self.model, self.x = source.model.eval(), torch.zeros(source.input_shape)
        self.head = [m for m in self.model.modules() if isinstance(m, nn.Linear)][-1]
        self.found: dict[tuple[str, int], Importance] = {}

    @cached_property
    def pricing(self) -> Pricing:
        return Pricing(self.model, (self.x,), load_target(TARGET))

    @cached_property
    def dense(self):
        return self.pricing.dense()

    @cache  # noqa: B019 (a network lives as long as its row)
    def accuracy(self, seed: int) -> float:
        return evaluate(self.model, self.fifth(seed))

    def calibration(self, seed: int) -> list[torch.Tensor]:
        return list(self.images.calibration(IMAGES, seed))

    def cost(self, model: nn.Module):
        return self.pricing.whole(model, trace(model, self.x))

    def fifth(self, seed: int) -> Images:
        """Of the test set."""
        part = slice(seed % 5, None, 5)
        return replace(self.images, test=self.images.test[part], test_labels=self.images.test_labels[part])

    def ours(self, method: str, share: float, seed: int) -> tuple[nn.Module, Plan | None] | None:
        allocate, criterion = OURS[method]
        key = (criterion, seed if criterion == "reconstruction" else 0)
        if key not in self.found:
            self.found[key] = importance(self.pricing.graph, self.model, criterion, self.calibration(seed))
        try:
            plan = make_plan(
                self.pricing, f"cycles={100 * share:g}%", criterion=self.found[key], allocate=allocate, align="unit",
                repair="down", seed=seed, dense=self.dense,
            )  # fmt: skip
        except InfeasibleError:
            return None
        return prune(self.model, plan), plan

    @cache  # noqa: B019 (a network lives as long as its row)
    def knob(self, method: str, seed: int) -> Knob:
        if method == "MCT":
            batches = list(self.images.calibration(64, seed, 32))
            make: Callable[[float], nn.Module] = sony_mct(self.model, batches, APPROXIMATIONS)
        else:
            everywhere, rounded = TORCH_PRUNING[method]
            make = torch_pruning(self.model, self.x, self.head, everywhere=everywhere, round_to=rounded)
        return Knob(make, lambda model: self.cost(model).cycles.total, 0.0, 0.97)

    def theirs(self, method: str, share: float, seed: int) -> tuple[nn.Module, Plan | None] | None:
        made = self.knob(method, seed if method == "MCT" else 0).at_most(share * self.dense.cycles.total)[0]
        if made is None:
            return None
        return made, None if method == "MCT" else plan_of(self.pricing.graph, self.model, made)


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
        network = Network(name)
        for seed in given.seeds:
            for method in given.methods:
                for share in SHARES:
                    cell = dict(zip(COLUMNS, (name, method, share, seed), strict=True))
                    if any(all(row[k] == v for k, v in cell.items()) for row in rows):
                        continue
                    rows.append(cell | measured(network, method, share, seed))
                    print(rows[-1], flush=True)
                    keep(given.name, rows)
        network.pricing.__exit__(None, None, None)
    table(rows)


def keep(name: str, rows: list[dict]) -> None:
    write(
        name, rows, target=TARGET, images=IMAGES, accuracy="another fifth of the test set for each seed",
        mct_approximations=APPROXIMATIONS,
    )  # fmt: skip


def measured(network: Network, method: str, share: float, seed: int) -> dict:
    """One cell; no accuracy where the method cannot reach the cost."""
    fifth = network.fifth(seed)
    made = (network.ours if method in OURS else network.theirs)(method, share, seed)
    if made is None:
        return {"accuracy": None, "accuracy_bn": None, "dense_accuracy": network.accuracy(seed)}
    small, plan = made
    cost = network.cost(small)
    totals = cost.totals()
    other = copy.deepcopy(small)
    reestimate_batchnorm(other, network.calibration(seed))
    row = {
        "accuracy": None,
        "accuracy_bn": evaluate(other, fifth),
        "dense_accuracy": network.accuracy(seed),
        "cycles_percent": 100 * cost.cycles.total / network.dense.cycles.total,
        "macs_percent": 100 * totals["macs"] / network.dense.totals()["macs"],
        "wasted_macs_percent": totals["wasted_macs_percent"],
        "avoidable_macs_percent": totals["avoidable_macs_percent"],
        "oracle": totals["oracle"],
    }
    if plan is not None:
        found = recover(small, network.model, plan, network.calibration(seed), method="mix")
        row |= {"accuracy": evaluate(small, fifth), "recovery_seconds": round(found.seconds, 2)}
    return row


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
