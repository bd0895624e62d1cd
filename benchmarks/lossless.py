"""The largest cut without loss of accuracy, the claim of Lee et al. (ICEIC 2023), judged by images held out of training.

    python benchmarks/dense.py      # first: the dense network
    python benchmarks/lossless.py [--methods general "NPU-aware 8" "padless at cycles"]

A tenth of the training images (5,000) is held out: by it sizes are chosen and hopeless cells stopped, and all accuracies
are on it but `test`. Everything is trained on the other 45,000, cut networks and the dense one (`continued`) alike: the
same epochs, rates and seed, no teacher. The test images are looked at once a cell, after its last epoch, and decide
nothing.

Sizes go in steps of 5 points. For the paper's methods a size is the share of the channels that goes; for the others, at
equal cycles, the share of the compiler's total that is saved. A cut is without loss where its accuracy is at least that
of `continued` less 0.1 points. The first seed finds the largest by bisection; there the other seeds are trained, and
where the means of both over all seeds say otherwise, the next smaller size is taken, until one holds. A cell that is more
than 3 points behind `continued` after 3 epochs is stopped and counts as a loss.

Stop it whenever you like: rows that `results/lossless.json` has are kept, and a training goes on from its checkpoint (in
`build/`). VGG-16 with a quarter of its channels is what two cores can train; `vgg16_bn` and `resnet18` are the paper's.
"""

import argparse
import copy
import time
from statistics import mean

import torch
from common import HELD_OUT, RESULTS, WEIGHTS, images_place, rows_of, write

from padless import evaluate, finetune, load_images, load_model, load_weights
from padless.inputs import weights_digest
from padless.reproduction.measure import repaired, treatment_of, weights_treated
from padless.reproduction.protocol import AWARE, DENSE, EQUAL, GENERAL, Cell
from padless.reproduction.subject import Small, Subject
from padless.train import Checkpoints, Recipe, make_fabric
from padless.train.fabric import precision_of

SCRATCH = RESULTS.parents[1] / "build" / "lossless"
SIZES = range(5, 100, 5)  # points
TOLERANCE = 0.1  # points
EARLY, HOPELESS = 3, 3.0  # epochs, points
BY_RATIO = {GENERAL: 1, f"{AWARE} 8": 8, f"{AWARE} 16": 16, f"{AWARE} 32": 32}  # the paper's comparison: channel unit
BY_CYCLES = {f"{method} at cycles": method for method in EQUAL}
METHODS = [GENERAL, f"{AWARE} 8", f"{AWARE} 16", *BY_CYCLES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="vgg16_bn_x0_25")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=[*BY_RATIO, *BY_CYCLES])
    parser.add_argument("--target", default="ethos-u55-256", help="whose cycles")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--data", default="", help="instead of the images beside the repository")
    given = parser.parse_args()
    with Study(given) as study:
        for method in given.methods:
            print(f"{given.network}, {method}: without loss at {study.largest(method)} %", flush=True)


class Study:
    """One dense network, its cells and their rows."""

    def __init__(self, given: argparse.Namespace) -> None:
        data = images_place(given.data)  # before anything is loaded
        self.given, self.rows = given, rows_of("lossless")
        torch.manual_seed(0)
        loaded = load_model(f"cifar10/{given.network}")
        load_weights(loaded.model, WEIGHTS / f"{given.network}.safetensors")
        self.whole = load_images(data, shape=loaded.input_shape[1:], preprocess=loaded.preprocess)
        self.subject = Subject(loaded, self.whole.held_out(HELD_OUT), given.target)

    def __enter__(self) -> "Study":
        return self

    def __exit__(self, *error: object) -> None:
        self.subject.__exit__()

    def largest(self, method: str) -> int:
        """The largest size without loss, in percent; 0 where there is none."""
        first, *others = self.given.seeds
        low, high = 0, len(SIZES) + 1  # in steps: without loss, and not
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.holds(method, SIZES[middle - 1], [first]) else (low, middle)
        while low and not self.holds(method, SIZES[low - 1], [first, *others]):
            low -= 1
        return SIZES[low - 1] if low else 0

    def holds(self, method: str, size: int, seeds: list[int]) -> bool:
        """Whether the mean over these seeds is not below the continued network's, on the images held out."""
        behind = []
        for seed in seeds:
            row, dense = self.row(method, size, seed), self.row(DENSE, 0, seed)
            if row.get("held_out") is None:  # out of reach, or stopped
                return False
            behind.append(dense["held_out"] - row["held_out"])
        return mean(behind) <= TOLERANCE

    def row(self, method: str, size: int, seed: int) -> dict:
        """A cell's row, measured where it is not known."""
        key = {"network": self.given.network, "target": self.given.target, "method": method, "size": size, "seed": seed,
               "epochs": self.given.epochs}  # fmt: skip
        for row in self.rows:
            if all(row[name] == value for name, value in key.items()):
                return row
        row = key | self.measured(method, size, seed)
        self.rows.append(row)
        print(row, flush=True)
        write("lossless", self.rows, held_out=HELD_OUT, tolerance=TOLERANCE, hopeless=[EARLY, HOPELESS])
        return row

    def measured(self, method: str, size: int, seed: int) -> dict:
        """What a row says beside its key."""
        bar = 0.0 if method == DENSE else self.row(DENSE, 0, seed)["held_out_early"] - HOPELESS
        subject, started = self.subject, time.monotonic()
        row: dict = {"images": len(subject.images.train), "on": f"cpu, {precision_of()}"}
        if method == DENSE:
            small = Small(model=copy.deepcopy(subject.model), plan=None)
        else:
            cell = cell_of(self.given.network, method, size, seed)
            small = subject.cut(cell)
            if small is None:
                return row | {"held_out": None, "why": "out of its reach"}
            row |= repaired(subject, cell, small)
        model = subject.to_train(small)
        recipe = Recipe(epochs=self.given.epochs, seed=seed, channels_last=True)
        checkpoints, fabric = Checkpoints(SCRATCH / f"{weights_digest(model)}-{seed}"), make_fabric()
        early = copy.deepcopy(model)  # a checkpoint belongs to its start
        finetune(early, subject.images, recipe, checkpoints=checkpoints, fabric=fabric, until=EARLY)
        row["held_out_early"] = evaluate(early, subject.images)
        if row["held_out_early"] < bar:
            why = f"{HOPELESS:g} points behind after {EARLY} epochs"
            return row | {"held_out": None, "why": why, "seconds": round(time.monotonic() - started)}
        history = finetune(model, subject.images, recipe, checkpoints=checkpoints, fabric=fabric)
        if method != DENSE and weights_treated(small):
            small = subject.treated(small, model, cell)
            if small is None:
                return row | {"held_out": None, "why": "out of its reach once it is trained"}
            model, row = small.model, row | treatment_of(subject, small)
        return row | {
            "held_out": evaluate(model, subject.images), "test": evaluate(model, self.whole), "loss": history.losses[-1],
            "seconds": round(time.monotonic() - started),
        }  # fmt: skip


def cell_of(network: str, method: str, size: int, seed: int) -> Cell:
    """As the reproduction names it: by the share of channels that goes, or of cycles that stays."""
    if method in BY_RATIO:
        unit = BY_RATIO[method]
        kind = AWARE if unit > 1 else GENERAL
        return Cell(network=network, part="equal ratio", method=kind, size=size / 100, unit=unit, seed=seed)
    stays = round(1 - size / 100, 2)
    return Cell(network=network, part="equal cycles", method=BY_CYCLES[method], size=stays, unit=0, seed=seed)


if __name__ == "__main__":
    main()
