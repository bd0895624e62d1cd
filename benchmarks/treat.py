"""Three levers under one budget on a compiler's cycles: fewer channels, weights of fewer values, and both chosen together.

    python benchmarks/treat.py [--networks resnet18 vgg16_bn] [--budgets 50 25 15 10] [--seeds 0 1 2] [--epochs 1]

Trained networks on CIFAR-10 (the weights beside the repository, those of smaller siblings in it); 512 training images
without labels score, recover and compensate, drawn by the seed. Nothing is trained, or with `--epochs` each network once it
is cut and recovered, on all training images with the dense one as its teacher, and treated after that. The rivals, each at
the same budget:

- `widths`: the best widths, recovered;
- `grid alone`: the finest grid of one number of levels for every inner layer, compensated, no channel removed;
- `2:4 alone`: two of four weights for every inner layer, where the target's compiler pays for it, and where that is not
  enough the finest grid beside it, compensated, no channel removed;
- `joint`: widths and a treatment a layer in one program (`plan(treat=…)`), recovered and treated.

Each network is written as INT8 TFLite and run in LiteRT on the test images; cycles are Vela's for that very file (the
target's default system and memory mode), in percent of the dense network's file. `rounded` is one row beside them: 9 levels
for every inner layer without compensation. Rows that `results/treat.json` has already are kept.
"""

import argparse
import copy
import dataclasses
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import torch
from common import SHARED, WEIGHTS, need_shared, rows_of, write
from torch import nn

from padless import (
    Choices,
    Images,
    Plan,
    export,
    finetune,
    load_images,
    load_model,
    load_target,
    load_weights,
    prune,
    recover,
    treat,
)
from padless.choose import Budget
from padless.choose.planning import make_plan, scored
from padless.cost import Cycles
from padless.cost.pricing import Pricing
from padless.errors import InfeasibleError
from padless.graph import trace
from padless.importance import Importance
from padless.reproduction.grid import GRIDS, SPARSE, finest, rounded
from padless.runs.prune import AGAIN, spare_for
from padless.train import Recipe, peak_lr
from padless.treat import Treatment

CALIBRATION = 512
OFFERED = {"ethos-u55-256": ("grid",), "ethos-u85-512": ("grid", "2:4")}
ALONE = {"grid alone": ("grid", GRIDS), "2:4 alone": ("2:4", SPARSE)}  # what has to pay, and what is tried
METHODS = ("widths", *ALONE, "joint")
ROUNDED = "grid:9"
KEY = ("network", "target", "method", "budget", "seed", "test", "epochs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["resnet18", "vgg16_bn"])
    parser.add_argument("--targets", nargs="+", default=["ethos-u55-256"])
    parser.add_argument(
        "--budgets", nargs="+", type=int, default=[50, 25, 15, 10], help="percent of the dense network's cycles"
    )
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--test", type=int, default=10_000, help="test images, the first of a shuffle of all")
    parser.add_argument("--epochs", type=int, default=0, help="of training behind the cut")
    given = parser.parse_args()
    need_shared()
    rows = rows_of("treat")
    known = {tuple(row[key] for key in KEY) for row in rows}
    for name in given.networks:
        for target in given.targets:
            for seed in given.seeds:
                for row in Subject(name, target, seed, given.test, given.epochs).rows(
                    given.budgets, given.methods, known
                ):
                    rows.append(row)
                    print(row, flush=True)
                    write("treat", rows, calibration=CALIBRATION)


class Subject:
    """A trained network on one target, its images, and what is found out about it once."""

    def __init__(self, name: str, target: str, seed: int, test: int, epochs: int) -> None:
        self.name, self.target, self.seed, self.test, self.epochs = name, target, seed, test, epochs
        loaded = load_model(f"cifar10/{name}")
        own = WEIGHTS / f"{name}.safetensors"
        load_weights(loaded.model, own if own.exists() else SHARED / "weights" / own.name)
        self.model = loaded.model.eval()
        images = load_images(str(SHARED / "data" / "cifar10-jpeg"), shape=(3, 32, 32), preprocess=loaded.preprocess)
        drawn = torch.randperm(len(images.test), generator=torch.Generator().manual_seed(0))[:test]
        self.images: Images = dataclasses.replace(
            images, test=images.test[drawn], test_labels=images.test_labels[drawn]
        )
        self.calibration = list(images.calibration(CALIBRATION, seed, 64))
        self.example = torch.zeros(1, 3, 32, 32)
        self.pricing = Pricing(self.model, (self.example,), load_target(target))
        self.choices = Choices(treat=OFFERED[target], seed=seed)

    def rows(self, budgets: list[int], methods: list[str], known: set[tuple]) -> Iterator[dict]:
        """One after the other: those that are not known."""

        def new(method: str, budget: int) -> bool:
            return tuple(self.key(method, budget)[key] for key in KEY) not in known

        if new("dense", 100):
            yield self.row(self.continued, "dense", 100, {})
        if not self.epochs and new("rounded", 100):
            small = rounded(self.model, trace(self.model, self.example), Treatment.parse(ROUNDED))
            yield self.row(small, "rounded", 100, {"treatments": ROUNDED})
        for budget in budgets:
            for method in methods:
                if new(method, budget) and (method not in ALONE or ALONE[method][0] in OFFERED[self.target]):
                    yield self.alone(method, budget) if method in ALONE else self.planned(method, budget)

    @cached_property
    def curves(self) -> Importance:
        """What channels and treatments are worth, with the seconds that this took."""
        started = time.monotonic()
        curves = scored(self.pricing, self.choices, self.calibration, [Budget.parse("cycles=50%")])
        print(f"scored in {time.monotonic() - started:.0f} s", flush=True)
        return curves

    @cached_property
    def continued(self) -> nn.Module:
        """The dense network, trained on where networks are."""
        return self.trained(self.model)

    @cached_property
    def dense(self) -> Cycles:
        return self.file(self.model).cycles

    def alone(self, method: str, budget: int) -> dict:
        model, graph, started = self.continued, trace(self.model, self.example), time.monotonic()
        most = budget / 100 * self.pricing.dense().cycles.total

        def cycles(small: nn.Module) -> float:
            return self.pricing.whole(small, trace(small, self.example)).cycles.total

        found = finest(model, graph, self.calibration, cycles, most, ALONE[method][1])
        if found is None:
            return self.key(method, budget) | {"reached": False}
        facts = {"treatments": str(found[1]), "seconds": round(time.monotonic() - started, 1)}
        return self.row(found[0], method, budget, facts)

    def planned(self, method: str, budget: int) -> dict:
        """As `padless prune` does it: again with more to spare where the treated weights compress worse than planned."""
        choices = self.choices if method == "joint" else dataclasses.replace(self.choices, treat=())
        choices = dataclasses.replace(choices, importance=self.curves)
        before: tuple[nn.Module, dict] | None = None
        for _ in range(1 + AGAIN):
            small, facts, over = self.made(budget, choices)
            if small is None and before is None:
                return self.key(method, budget) | facts
            if small is None:
                small, facts = before
                break
            if over <= 1 or not facts["treatments"] or self.epochs:
                break
            before = small, facts
            choices = dataclasses.replace(choices, spare=spare_for(facts["cycles_whole"] / facts["planned_cycles"]))
        return self.row(small, method, budget, facts)

    def made(self, budget: int, choices: Choices) -> tuple[nn.Module | None, dict, float]:
        """The network, planned, cut, recovered and treated; what was measured of it; its cycles by the budget's."""
        started = time.monotonic()
        try:
            made = make_plan(self.pricing, f"cycles={budget}%", choices, self.calibration)
        except InfeasibleError as error:
            return None, {"reached": False, "why": str(error)}, 0.0
        facts = {"planning_seconds": round(time.monotonic() - started, 1), **self.proof(made)}
        small, started = prune(self.model, made), time.monotonic()
        recovered = recover(small, self.model, made, self.calibration)
        facts |= {
            "recovery_seconds": round(time.monotonic() - started, 1),
            "divergence_cut": min(recovered.held_out.values()),
        }
        small = self.trained(small)
        if made.treatments:
            dense = None if self.epochs else self.model
            done = treat(small, self.calibration, made.treatments, model=dense, plan=made)
            facts |= {"treating_seconds": round(done.seconds, 1), "divergence_treated": done.held_out[1]}
        cycles = self.pricing.whole(small, trace(small, self.example), made.treatments).cycles.total
        facts |= {"spare": round(choices.spare, 4), "cycles_whole": cycles}
        return small, facts, cycles / made.outcomes[0].asked

    @staticmethod
    def proof(made: Plan) -> dict:
        kinds = Counter(made.treatments.values())
        return {
            "objective": made.solver.objective, "gap": made.solver.gap, "solver_seconds": made.solver.seconds,
            "rounds": made.solver.rounds, "treatments": dict(sorted(kinds.items())), "planned_cycles": made.after["cycles"],
            "channels": sum(map(len, made.keep.values())),
        }  # fmt: skip

    def key(self, method: str, budget: int) -> dict:
        return {
            "network": self.name, "target": self.target, "method": method, "budget": budget, "seed": self.seed,
            "test": self.test, "epochs": self.epochs,
        }  # fmt: skip

    def trained(self, model: nn.Module) -> nn.Module:
        """A network behind the epochs that were asked for; the same where none were."""
        if not self.epochs:
            return model
        started, small = time.monotonic(), copy.deepcopy(model)
        recipe = Recipe(epochs=self.epochs, seed=self.seed, peak_lr=peak_lr(False), channels_last=True)
        finetune(small, self.images, recipe, teacher=self.model)
        print(f"trained in {time.monotonic() - started:.0f} s", flush=True)
        return small.eval()

    def file(self, small: nn.Module, test: Images | None = None):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.tflite"
            return export(small, self.example, file, images=self.calibration, test=test, target=self.target)

    def row(self, small: nn.Module, method: str, budget: int, facts: dict) -> dict:
        """Written, run in LiteRT and compiled."""
        done = self.file(small, self.images)
        return self.key(method, budget) | {
            "float": done.fidelity.float_accuracy, "litert": done.fidelity.accuracy, "cycles": done.cycles.total,
            "cycles_percent": round(100 * done.cycles.total / self.dense.total, 2),
            "npu_percent": round(100 * done.cycles.npu / self.dense.npu, 2), "flash_bytes": done.cycles.flash_bytes, **facts,
        }  # fmt: skip


if __name__ == "__main__":
    main()
