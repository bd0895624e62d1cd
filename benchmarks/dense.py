"""Dense networks that deserve the name, trained from scratch by one recipe: the weights in `benchmarks/weights/`.

    python benchmarks/dense.py [--networks vgg16_bn_x0_25] [--epochs 30] [--data uoft-cs/cifar10]

SGD, one cycle up to 0.08, batches of 128, random crops and mirrored images, label smoothing 0.05, weight decay 5e-4, weights
averaged (0.999). A tenth of the training images is held out: `curve` is the accuracy on them after every fifth epoch, of the
averaged weights, and says whether there is more to gain. The test images are looked at once, at the end.

Stop it whenever you like: it goes on from its checkpoint (in `build/`). `results/dense.json` has a row a network; those that
it has already are kept. Without `--data` it takes the images beside the repository, a JPEG form of the data.
"""

import argparse
import copy

import torch
from common import HELD_OUT, RESULTS, WEIGHTS, images_place, rows_of, write

from padless import Images, evaluate, finetune, load_images, load_model
from padless.files import write_atomically
from padless.inputs import weights_bytes
from padless.reproduction.run import DENSE_LR
from padless.train import Checkpoints, Recipe, make_fabric
from padless.train.fabric import precision_of

SCRATCH = RESULTS.parents[1] / "build" / "dense"
EVERY = 5  # epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["vgg16_bn_x0_25"])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", default="")
    given = parser.parse_args()
    data = images_place(given.data)
    rows = rows_of("dense")
    for network in given.networks:
        if not any(row["network"] == network for row in rows):
            rows.append(trained(network, given, data))
            print(rows[-1])
            write("dense", rows, held_out=HELD_OUT)


def trained(network: str, given: argparse.Namespace, data: str) -> dict:
    """Train a network, write its weights, and say how it went."""
    torch.manual_seed(given.seed)
    loaded = load_model(f"cifar10/{network}")
    whole = load_images(data, shape=loaded.input_shape[1:], preprocess=loaded.preprocess)
    images: Images = whole.held_out(HELD_OUT)
    recipe = Recipe(epochs=given.epochs, peak_lr=DENSE_LR, ema=0.999, channels_last=True, seed=given.seed)
    checkpoints, curve = Checkpoints(SCRATCH / network), {}
    fabric = make_fabric()
    for until in [*range(EVERY, given.epochs, EVERY), given.epochs]:
        model = copy.deepcopy(loaded.model)  # a checkpoint belongs to its start
        history = finetune(model, images, recipe, checkpoints=checkpoints, fabric=fabric, until=until)
        curve[until] = evaluate(model, images)
        print(f"{network}: epoch {until}, held out {curve[until]:.2f} %", flush=True)
    write_atomically(WEIGHTS / f"{network}.safetensors", weights_bytes(model.cpu()))
    return {
        "network": network, "epochs": given.epochs, "images": len(images.train), "seed": given.seed,
        "test": evaluate(model, whole), "test_images": len(whole.test), "curve": curve, "loss": history.losses[-1],
        "seconds": round(history.seconds),
        "on": f"{fabric.device.type}, {torch.get_num_threads()} thread(s), {precision_of()}",
        "data": f"{whole.name.rsplit('/', 1)[-1]} {whole.digest()}",
    }  # fmt: skip


if __name__ == "__main__":
    main()
