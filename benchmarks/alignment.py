"""Widths by the target's units, or by what the compiler charges: budgets met, importance kept, accuracy, seconds.

    python benchmarks/alignment.py [--networks NAME ...] [--alignments unit cost none]

Budgets of 70, 50, 40 and 25 % of the compiler's cycles. `ds_cnn` is a network for keyword spotting (12 classes, 49x10 MFCC;
a convolution of 10x4 with stride 2 and four depthwise-separable blocks, all 64 wide; random weights, importance L1), as
torchvision's MobileNetV2 is. Trained networks (CIFAR-10) have their reconstruction's importance on 512 training images, and
are tested on 2,000 test images after the closed-form recovery (`mix`) on the same images; dense accuracies beside them.
Without alignment (`none`) only `ds_cnn` is planned: every width of the others takes too long to price. Seed 0; a cache of
costs of its own for each network, target and alignment: the first budget pays for the tables. Rows that are in the results
are not repeated.
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace
from itertools import product

import torch
from common import SHARED, need_shared, rows_of, write
from torch import Tensor, nn

import padless
from padless import Choices, load_target
from padless.choose.planning import make_plan
from padless.cost.pricing import Pricing
from padless.errors import InfeasibleError
from padless.importance import importance
from padless.inputs import load_model
from padless.reproduction.subject import CALIBRATION
from padless.runs.dense import opened
from padless.train import evaluate

SHARES = (0.7, 0.5, 0.4, 0.25)
TARGETS = {
    "ds_cnn": ("ethos-u55-128", "ethos-u55-256", "ethos-u85-256"),
    "resnet18": ("ethos-u55-256", "ethos-u85-512"),
    "vgg16_bn": ("ethos-u55-256", "ethos-u85-512"),
    "mobilenet_v2": ("ethos-u55-256", "ethos-u85-512"),
}
ALIGNMENTS = ("unit", "cost", "none")
COLUMNS = ("network", "target", "align", "share")
TESTED = 2_000


def ds_cnn(width: int = 64, blocks: int = 4, classes: int = 12) -> nn.Sequential:
    """The keyword-spotting network of Zhang et al., "Hello Edge" (arXiv 1711.07128), in its small form."""

    def unit(*convolution: object, **options: object) -> list[nn.Module]:
        return [nn.Conv2d(*convolution, bias=False, **options), nn.BatchNorm2d(width), nn.ReLU()]

    layers = unit(1, width, (10, 4), stride=2, padding=(4, 1))
    for _ in range(blocks):
        layers += unit(width, width, 3, padding=1, groups=width) + unit(width, width, 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


class Subject:
    """A network, its example, and its images where it is trained."""

    def __init__(self, name: str) -> None:
        torch.manual_seed(0)
        self.images, batches = None, []
        if name == "ds_cnn":
            self.model, self.x = ds_cnn().eval(), torch.zeros(1, 1, 49, 10)
        elif name == "mobilenet_v2":
            source = load_model("torchvision/mobilenet_v2")
            self.model, self.x = source.model.eval(), torch.zeros(source.input_shape)
        else:
            need_shared()
            weights, data = SHARED / "weights" / f"{name}.safetensors", str(SHARED / "data" / "cifar10-jpeg")
            source, images = opened(f"cifar10/{name}", weights, data, None)
            assert images
            self.model, self.x = source.model.eval(), torch.zeros(source.input_shape)
            self.images = replace(images, test=images.test[:TESTED], test_labels=images.test_labels[:TESTED])
            batches = list(images.calibration(CALIBRATION, 0))
        self.calibration: list[Tensor] = batches
        self.dense_accuracy = evaluate(self.model, self.images) if self.images else None
        graph = padless.trace(self.model, self.x)
        self.curves = importance(graph, self.model, "reconstruction" if batches else "l1", batches)

    def planned(self, pricing: Pricing, dense: padless.NetworkCost, align: str, share: float) -> dict:
        """One row."""
        started = time.monotonic()
        choices = Choices(importance=self.curves, align=align)
        try:
            plan = make_plan(pricing, f"cycles={100 * share:g}%", choices, dense=dense)
        except InfeasibleError as error:
            return {"infeasible": str(error), "seconds": round(time.monotonic() - started, 1)}
        row = {
            "cycles_percent": 100 * plan.after["cycles"] / plan.before["cycles"],
            "importance_kept": plan.importance_kept,
            "avoidable_macs_percent": plan.after["avoidable_macs_percent"],
            "widths": [len(kept) for kept in plan.keep.values()],
            "rounds": plan.solver.rounds,
            "seconds": round(time.monotonic() - started, 1),
        }
        if self.images:
            small = padless.prune(self.model, plan)
            padless.recover(small, self.model, plan, self.calibration, method="mix")
            row |= {"dense_accuracy": self.dense_accuracy, "accuracy": evaluate(small, self.images)}
        return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(TARGETS))
    parser.add_argument("--alignments", nargs="+", default=list(ALIGNMENTS))
    given = parser.parse_args()
    rows = rows_of("alignment")
    for name in given.networks:
        subject = Subject(name)
        for id, align in product(TARGETS[name], given.alignments):
            keys = [dict(zip(COLUMNS, (name, id, align, share), strict=True)) for share in SHARES]
            missing = [key for key in keys if not any(key.items() <= row.items() for row in rows)]
            if not missing or (align == "none" and name != "ds_cnn"):
                continue
            with tempfile.TemporaryDirectory() as folder:
                os.environ["PADLESS_CACHE"] = folder
                with Pricing(subject.model, (subject.x,), load_target(id)) as pricing:
                    dense = pricing.dense()
                    for key in missing:
                        rows.append(key | subject.planned(pricing, dense, align, key["share"]))
                        print(rows[-1], flush=True)
            write("alignment", rows, seed=0, images=CALIBRATION, tested=TESTED)


if __name__ == "__main__":
    main()
