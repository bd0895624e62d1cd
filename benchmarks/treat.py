"""Weights on a grid or two of four, compensated and not: what they cost, and what the flashed file still knows.

    python benchmarks/treat.py [--networks resnet18 vgg16_bn] [--seeds 0 1 2] [--test 10000]

Trained networks on CIFAR-10 (the weights beside the repository), nothing trained here; 512 training images without labels
calibrate, drawn by the seed. Three kinds of rows:

- `rounded`: every inner layer to the nearest level, or without the smaller two of each four weights, nothing else;
- `treated`: the same treatment by `padless.treat`, towards the dense network's outputs;
- `cut` and `cut, treated`: the best widths for a share of the cycles, recovered; and then treated.

Each network is written as INT8 TFLite and run in LiteRT on the test images; cycles are Vela's for that very file (each
target's default system and memory mode), in percent of the dense network's file. Rows that `results/treat.json` has
already are kept.
"""

import argparse
import copy
import dataclasses
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from common import SHARED, need_shared, rows_of, write
from torch import nn

from padless import Images, export, load_images, load_model, load_weights, plan, prune, recover, treat
from padless.cost import Cycles
from padless.graph import trace
from padless.reproduction.grid import rounded
from padless.treat import Treatment

CALIBRATION = 512
ALONE = (("ethos-u55-256", "grid:9"), ("ethos-u55-256", "grid:17"), ("ethos-u85-512", "2:4"))
CUT = (("ethos-u55-256", "cycles=25%", "int8"), ("ethos-u55-256", "cycles=40%", "grid:17"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["resnet18", "vgg16_bn"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--test", type=int, default=10_000, help="test images, the first of a shuffle of all")
    given = parser.parse_args()
    need_shared()
    rows = rows_of("treat")
    known = {
        tuple(row[key] for key in ("network", "target", "kind", "asked", "treatment", "seed", "test")) for row in rows
    }
    for name in given.networks:
        for seed in given.seeds:
            for row in Subject(name, seed, given.test).rows(known):
                rows.append(row)
                print(row, flush=True)
                write("treat", rows, calibration=CALIBRATION)


class Subject:
    """A trained network, its images, and its dense file on each target."""

    def __init__(self, name: str, seed: int, test: int) -> None:
        self.name, self.seed, self.test = name, seed, test
        loaded = load_model(f"cifar10/{name}")
        load_weights(loaded.model, SHARED / "weights" / f"{name}.safetensors")
        self.model = loaded.model.eval()
        images = load_images(str(SHARED / "data" / "cifar10-jpeg"), shape=(3, 32, 32), preprocess=loaded.preprocess)
        drawn = torch.randperm(len(images.test), generator=torch.Generator().manual_seed(0))[:test]
        self.images: Images = dataclasses.replace(
            images, test=images.test[drawn], test_labels=images.test_labels[drawn]
        )
        self.calibration = list(images.calibration(CALIBRATION, seed, 64))
        self.example = torch.zeros(1, 3, 32, 32)
        self.dense: dict[str, Cycles] = {}

    def rows(self, known: set[tuple]) -> Iterator[dict]:
        """One after the other: those that are not known."""

        def new(target: str, kind: str, asked: str, treatment: str) -> bool:
            return (self.name, target, kind, asked, treatment, self.seed, self.test) not in known

        for target in dict.fromkeys(target for target, *_ in (*ALONE, *CUT)):
            if new(target, "dense", "", "int8"):
                yield self.row(self.model, target, "dense", "", "int8", {})
            for text in (text for at, text in ALONE if at == target):
                if new(target, "rounded", "", text):
                    small = rounded(self.model, trace(self.model, self.example), Treatment.parse(text))
                    yield self.row(small, target, "rounded", "", text, {})
                if new(target, "treated", "", text):
                    small = copy.deepcopy(self.model)
                    yield self.row(small, target, "treated", "", text, self.treat(small, text))
            for budget, text in ((budget, text) for at, budget, text in CUT if at == target):
                kind = "cut" if text == "int8" else "cut, treated"
                if new(target, kind, budget, text):
                    yield self.cut(target, budget, kind, text)

    def cut(self, target: str, budget: str, kind: str, text: str) -> dict:
        """The best widths for a budget, recovered, and treated where that is asked for."""
        made = plan(self.model, self.example, target=target, budget=budget, images=self.calibration)
        small, started = prune(self.model, made), time.monotonic()
        recover(small, self.model, made, self.calibration)
        facts = {"recovery_seconds": round(time.monotonic() - started, 1)}
        facts |= self.treat(small, text, model=self.model, plan=made)
        return self.row(small, target, kind, budget, text, facts)

    def treat(self, small: nn.Module, text: str, **cut: object) -> dict:
        if text == "int8":
            return {}
        done = treat(small, self.calibration, text, **cut)
        return {
            "layers": len(done.layers), "seconds": round(done.seconds, 1), "divergence": done.held_out[1],
            "divergence_before": done.held_out[0],
        }  # fmt: skip

    def row(self, small: nn.Module, target: str, kind: str, asked: str, treatment: str, facts: dict) -> dict:
        """Written, run in LiteRT and compiled."""
        with tempfile.TemporaryDirectory() as folder:
            done = export(
                small,
                self.example,
                Path(folder) / "model.tflite",
                images=self.calibration,
                test=self.images,
                target=target,
            )
        assert done.cycles is not None
        assert done.fidelity is not None
        if kind == "dense":
            self.dense[target] = done.cycles
        elif target not in self.dense:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "dense.tflite"
                cycles = export(self.model, self.example, file, images=self.calibration, target=target).cycles
                assert cycles is not None
                self.dense[target] = cycles
        dense = self.dense[target]
        return {
            "network": self.name, "target": target, "kind": kind, "asked": asked, "treatment": treatment,
            "seed": self.seed, "test": self.test, "float": done.fidelity.float_accuracy, "litert": done.fidelity.accuracy,
            "cycles": done.cycles.total, "cycles_percent": round(100 * done.cycles.total / dense.total, 2),
            "npu_percent": round(100 * done.cycles.npu / dense.npu, 2), **facts,
        }  # fmt: skip


if __name__ == "__main__":
    main()
