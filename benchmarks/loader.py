"""Does making batches hold the training up? Images a second: of the loader alone, of a network's steps alone, and of both.

    python benchmarks/loader.py [--steps 12] [--rounds 5]

Batches of 128 from images in memory (random ones, 32x32), cropped, mirrored, normalised, one made ahead in a thread;
fine-tuning steps of `finetune` without a teacher. Medians of rounds that alternate; the ratio is of both to the network's
own limit.
"""

import argparse
import time
from statistics import median

import torch
from common import write
from torch import nn
from torch.nn import functional as F

from padless import Images, Preprocess, Recipe, finetune, load_model
from padless.demo import DigitsResNet
from padless.train.batches import Batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    rows = []
    networks = {"padless.demo:DigitsResNet": DigitsResNet(), "cifar10/resnet18": load_model("cifar10/resnet18").model}
    for name, model in networks.items():
        found = [measured(model, 1 if "Digits" in name else 3, given.steps) for _ in range(given.rounds)]
        loader, network, both = (median(one[k] for one in found) for k in range(3))
        rows.append(
            {"network": name, "loader": loader, "network_alone": network, "both": both, "ratio": both / network}
        )
        print(rows[-1], flush=True)
    write("loader", rows, steps=given.steps, rounds=given.rounds, batch=128, seed=0)


def measured(model: nn.Module, colours: int, steps: int) -> tuple[float, float, float]:
    count = 128 * steps
    x, y = torch.randint(0, 256, (count, colours, 32, 32), dtype=torch.uint8), torch.randint(0, 10, (count,))
    images = Images(
        name="random",
        train=x,
        train_labels=y,
        test=x[:2],
        test_labels=y[:2],
        flips=True,
        preprocess=Preprocess(mean=(0.5,), std=(1.0,)).settled(x, x.shape[1:]),
    )
    started = time.perf_counter()
    batches = list(Batches(images, Recipe(batch=128)).since(0, steps))
    loader = count / (time.perf_counter() - started)
    optimiser = torch.optim.SGD(model.parameters(), 1e-4, 0.9, nesterov=True)
    model.train()
    started = time.perf_counter()
    for batch in batches:
        loss = F.cross_entropy(model(batch.x.contiguous()), batch.y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network = count / (time.perf_counter() - started)
    return loader, network, finetune(model, images, Recipe(epochs=1, batch=128, peak_lr=1e-4)).images_per_second


if __name__ == "__main__":
    main()
