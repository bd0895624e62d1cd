"""Trace, group, plan and cut against Torch-Pruning's graph and prune, interleaved in one process, one thread.

python benchmarks/speed.py [--repeats 5] [NETWORK ...]

Both prune by L1 at half the channels, to multiples of 16. Our check (sliced equals masked) is timed apart: Torch-Pruning
has none.
"""

import argparse
import copy
import statistics
import time
import warnings
from collections.abc import Callable
from itertools import pairwise

import torch
from common import write

from padless import load_target, trace
from padless.choose import ALLOCATIONS, aligned_levels, importance, strongest
from padless.cut import cut, equivalence_error
from padless.inputs.zoo import load_model

warnings.filterwarnings("ignore")
NETWORKS = ["resnet18", "resnet50", "vgg16_bn", "mobilenet_v2", "efficientnet_b0", "densenet121"]


def ours(model: torch.nn.Module, x: torch.Tensor) -> dict[str, float]:
    clock = [time.perf_counter()]
    graph = trace(model, x)
    clock.append(time.perf_counter())
    levels = aligned_levels(graph, load_target("unit:16"))
    scores = importance(graph, model)
    keep = strongest(graph, scores, ALLOCATIONS["uniform"](graph, scores, levels, 0.5))
    clock.append(time.perf_counter())
    small = cut(model, graph, keep)
    clock.append(time.perf_counter())
    error = equivalence_error(model, small, graph, keep)
    clock.append(time.perf_counter())
    assert error < 1e-10
    parts = [b - a for a, b in pairwise(clock)]
    return dict(zip(["trace", "plan", "cut", "check"], parts, strict=True)) | {"total": sum(parts[:3])}


def theirs(model: torch.nn.Module, x: torch.Tensor) -> dict[str, float]:
    import torch_pruning as tp

    start = time.perf_counter()
    copied = copy.deepcopy(model)  # it cuts in place; we leave the caller's model alone
    classes = [m for m in copied.modules() if isinstance(m, torch.nn.Linear) and m.out_features == 1000]
    pruner = tp.pruner.MetaPruner(
        copied,
        x,
        importance=tp.importance.GroupMagnitudeImportance(p=1),
        pruning_ratio=0.5,
        round_to=16,
        ignored_layers=classes,
    )
    built = time.perf_counter()
    pruner.step()
    return {"graph": built - start, "prune": time.perf_counter() - built, "total": time.perf_counter() - start}


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(run[key] for run in runs), 4) for key in runs[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    print(f"{'network':18}{'padless s':>11}{'Torch-Pruning s':>17}{'ratio':>8}{'our check s':>13}")
    for name in given.networks:
        torch.manual_seed(0)
        model = load_model(f"torchvision/{name}").model.eval()
        x = torch.zeros(1, 3, 224, 224)
        sides: dict[str, tuple[Callable[..., dict[str, float]], list[dict[str, float]]]] = {
            "padless": (ours, []),
            "tp": (theirs, []),
        }
        for _ in range(given.repeats):
            for run, runs in sides.values():
                runs.append(run(model, x))
        mine, peer = medians(sides["padless"][1]), medians(sides["tp"][1])
        ratios = [b["total"] / a["total"] for a, b in zip(sides["padless"][1], sides["tp"][1], strict=True)]
        row = {
            "network": name,
            "padless": mine,
            "torch_pruning": peer,
            "median_ratio": round(statistics.median(ratios), 2),
        }
        rows.append(row)
        print(
            f"{name:18}{mine['total']:>11.3f}{peer['total']:>17.3f}{row['median_ratio']:>7.2f}x{mine['check']:>13.3f}",
            flush=True,
        )
    mean = statistics.geometric_mean(row["median_ratio"] for row in rows)
    print(f"Torch-Pruning takes {mean:.2f} times as long (geometric mean)")
    write("speed", rows, seed=0, repeats=given.repeats, geometric_mean_ratio=round(mean, 2), input=[1, 3, 224, 224])


if __name__ == "__main__":
    main()
