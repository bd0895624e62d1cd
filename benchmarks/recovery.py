"""The accuracy back without labels or training: nothing, batch norm, mixing, least squares, and AIMET's reconstruction.

    python benchmarks/recovery.py [--networks vgg16_bn resnet18] [--shares 0.5 0.35] [--seeds 0 1 2]

The trained networks, cut by our plan to a share of their Vela cycles on ethos-u55-256; then each method on the same kept
channels and the same 512 training images. Seeds draw the images, which the plan's importance is measured on, too, and each
is tested on another fifth of the 10,000 test images. AIMET (`pip install aimet-torch==2.42.0`, where it is installed) solves
each convolution whose inputs were cut, first to last, with its own sampling (10 positions an image) and regression; what
Torch-Pruning does on the same channels, nothing and then batch norm, are the rows `none` and `bn`. Rows that are
in the results are not repeated. The images are JPEGs: compare only within this data.
"""

import copy
import importlib.util
import time
from collections.abc import Sequence
from statistics import mean, pstdev

from accuracy_at_cost import TARGET, Network, read_arguments, unmeasured
from common import rows_of, write
from torch import Tensor, nn

from padless import Plan, evaluate, recover
from padless.graph import kept_positions
from padless.recover import reestimate_batchnorm
from padless.reproduction.protocol import PADLESS
from padless.reproduction.subject import CALIBRATION

METHODS = ("none", "bn", "mix", "least-squares", "AIMET", "AIMET, bn")


def main() -> None:
    given, rows = read_arguments(__doc__, (0.5, 0.35)), rows_of("recovery")
    for network, here, missing in unmeasured(rows, METHODS, given):
        rows += [here | row for row in measured(network, here["share"], here["seed"], missing)]
        tested = "another fifth of the test set for each seed"
        write("recovery", rows, target=TARGET, images=CALIBRATION, accuracy=tested)
    table(rows)


def measured(network: Network, share: float, seed: int, methods: Sequence[str]) -> list[dict]:
    """A row a method; AIMET's only where it is installed."""
    calibration, fifth = network.calibration(seed), network.fifth(seed)
    made = network.at_cycles(PADLESS, share, seed)
    assert made is not None
    cut, plan = made.model, made.plan
    facts = {
        "dense_accuracy": network.accuracy(seed),
        "cycles_percent": 100 * network.cost(cut).cycles.total / network.dense.cycles.total,
    }
    rows: list[dict] = []
    solved: tuple[nn.Module, float] | None = None  # by AIMET, and the seconds that it took
    for method in methods:
        known = solved if method.startswith("AIMET") else None
        small, before = (copy.deepcopy(known[0]), known[1]) if known else (copy.deepcopy(cut), 0.0)
        started = time.monotonic()
        if method.startswith("AIMET"):
            if importlib.util.find_spec("aimet_torch") is None:
                continue
            if solved is None:
                aimet(small, network, plan, calibration)
                solved = copy.deepcopy(small), time.monotonic() - started
            if method.endswith("bn"):
                reestimate_batchnorm(small, calibration)
        else:
            recover(small, network.model, plan, calibration, method=method)
        seconds = before + time.monotonic() - started
        rows.append(facts | {"method": method, "accuracy": evaluate(small, fifth), "seconds": round(seconds, 2)})
        print(rows[-1], flush=True)
    return rows


def aimet(small: nn.Module, network: Network, plan: Plan, images: Sequence[Tensor]) -> None:
    """AIMET's data-driven reconstruction of every convolution whose inputs were cut, in place."""
    from padless.inputs import zoo

    zoo.import_torchvision()
    from aimet_torch.channel_pruning.weight_reconstruction import WeightReconstructor
    from aimet_torch.data_subsampler import DataSubSampler

    class Loader(list):
        batch_size = len(images[0])

    loader = Loader((batch, None) for batch in images)
    count = sum(map(len, images))
    keep = plan.mask(network.graph)
    for layer in network.graph.layers:
        wide, narrow = network.model.get_submodule(layer.name), small.get_submodule(layer.name)
        if not isinstance(wide, nn.Conv2d) or narrow.in_channels == wide.in_channels:
            continue
        x, y = DataSubSampler.get_sub_sampled_data(wide, narrow, network.model, small, loader, 10 * count)
        kept = kept_positions(layer.outputs, keep)
        WeightReconstructor.reconstruct_params_for_conv2d(narrow, x, y if kept is None else y[:, kept])


def table(rows: list[dict]) -> None:
    """Means over seeds, the spread, and the seconds."""
    for name in dict.fromkeys(row["network"] for row in rows):
        for share in dict.fromkeys(row["share"] for row in rows):
            mine = [row for row in rows if (row["network"], row["share"]) == (name, share)]
            if not mine:
                continue
            dense = mean({row["seed"]: row["dense_accuracy"] for row in mine}.values())
            print(f"\n{name} at {share:.0%} of the cycles, dense {dense:.2f}")
            for method in METHODS:
                cells = [row for row in mine if row["method"] == method]
                if cells:
                    found, seconds = [r["accuracy"] for r in cells], [r["seconds"] for r in cells]
                    print(f"  {method:14} {mean(found):6.2f} ± {pstdev(found):.2f}   {mean(seconds):6.1f} s")


if __name__ == "__main__":
    main()
