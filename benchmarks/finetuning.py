"""Accuracy after fine-tuning at a share of the cycles, and of the dense network trained on for as long.

    python benchmarks/finetuning.py [--networks vgg16_bn resnet18] [--shares 0.5 0.35 0.25] [--seeds 0 1 2] [--epochs 5]
        [--images 50000]

The trained networks, cut by our plan to a share of their Vela cycles on ethos-u55-256, recovered in closed form (`mix`),
then `finetune` with its default recipe and the dense network as the teacher; and the dense network itself, continued with
the same recipe (share 1). Last epoch, whole test set. `--images` takes the first so many of the training images, for
machines without an accelerator. Rows that are in the results are not repeated, and a run that was stopped goes on from
its checkpoint. The images are JPEGs: compare only within this data.
"""

import argparse
import copy
import shutil
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

from accuracy_at_cost import Network
from common import need_shared, rows_of, write

from padless import Checkpoints, Recipe, evaluate, finetune, recover

WORK = Path(__file__).parents[1] / "runs" / "finetuning-benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["vgg16_bn", "resnet18"])
    parser.add_argument("--shares", nargs="+", type=float, default=[1.0, 0.5, 0.35, 0.25])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=50_000)
    given = parser.parse_args()
    need_shared()
    rows = rows_of("finetuning")
    for name in given.networks:
        network = Network(name)
        for seed in given.seeds:
            for share in given.shares:
                cell = {"network": name, "share": share, "seed": seed, "epochs": given.epochs, "images": given.images}
                if any(all(row[k] == v for k, v in cell.items()) for row in rows):
                    continue
                rows.append(cell | measured(network, **cell))
                print(rows[-1], flush=True)
                write("finetuning", rows, target="ethos-u55-256", accuracy="last epoch")
        network.pricing.__exit__(None, None, None)


def measured(source: Network, *, network: str, share: float, seed: int, epochs: int, images: int) -> dict:
    """One row; `source` is the network called `network`."""
    small = copy.deepcopy(source.model)
    if share < 1:
        small, plan = source.ours("padless", share, seed)
        recover(small, source.model, plan, source.calibration(seed), method="mix")
    some = replace(source.images, train=source.images.train[:images], train_labels=source.images.train_labels[:images])
    row = {
        "dense_accuracy": dense_accuracy(source),
        "cycles_percent": 100 * source.cost(small).cycles.total / source.dense.cycles.total,
        "accuracy_before": evaluate(small, some),
    }
    folder, started = WORK / f"{network}-{share}-{seed}-{epochs}-{images}", time.monotonic()
    recipe = Recipe(epochs=epochs, seed=seed)
    finetune(small, some, recipe, teacher=copy.deepcopy(source.model), checkpoints=Checkpoints(folder, 120.0))
    row |= {"accuracy": evaluate(small, some), "seconds_of_the_last_start": round(time.monotonic() - started, 1)}
    shutil.rmtree(folder)
    return row


@cache
def dense_accuracy(source: Network) -> float:
    """Unchanged, on the whole test set."""
    return evaluate(source.model, source.images)


if __name__ == "__main__":
    main()
