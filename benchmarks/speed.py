"""Record, group, plan and cut against Torch-Pruning's graph and prune, interleaved in one process, one thread.

python benchmarks/speed.py [--repeats 5] [NETWORK ...]

Both prune by L1 at half the channels, to multiples of 16, in float32. Our check (sliced equals masked) is timed apart:
Torch-Pruning has none. Then how much memory each takes above the model, in a process of its own, and how our time grows
with the number of layers.
"""

import argparse
import copy
import gc
import multiprocessing as mp
import re
import statistics
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from common import write
from torch import nn

from padless import load_target
from padless.align import aligned_levels
from padless.choose import RATIOS
from padless.cut import cut, equivalence_error
from padless.graph.groups import grouped
from padless.graph.record import record
from padless.importance import importance
from padless.inputs.zoo import load_model

warnings.filterwarnings("ignore")
NETWORKS = ["resnet18", "resnet50", "resnet152", "vgg16", "mobilenet_v2", "efficientnet_b0", "densenet121", "densenet161",
            "inception_v3", "convnext_tiny", "regnet_y_400mf", "googlenet"]  # fmt: skip
CHAINS = (125, 250, 500, 1000)


def built(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    side = 299 if name == "inception_v3" else 224
    return load_model(f"torchvision/{name}").model.eval(), torch.zeros(1, 3, side, side)


def ours(model: nn.Module, x: torch.Tensor, check: bool = True) -> dict[str, float]:
    clock = [time.perf_counter()]
    recording = record(model, x)
    clock.append(time.perf_counter())
    graph = grouped(recording, (tuple(x.shape),))
    clock.append(time.perf_counter())
    levels = aligned_levels(graph, load_target("unit:16"))
    scores = importance(graph, model)
    keep = scores.strongest(graph, RATIOS["uniform"](graph, scores, levels, 0.5))
    clock.append(time.perf_counter())
    small = cut(model, graph, keep)
    clock.append(time.perf_counter())
    if check:
        equivalence_error(model, small, graph, keep)  # raises where they differ
    clock.append(time.perf_counter())
    parts = [b - a for a, b in pairwise(clock)]
    return dict(zip(["record", "group", "plan", "cut", "check"], parts, strict=True)) | {"total": sum(parts[:4])}


def theirs(model: nn.Module, x: torch.Tensor, check: bool = True) -> dict[str, float]:
    import torch_pruning as tp

    start = time.perf_counter()
    copied = copy.deepcopy(model)  # it cuts in place; we leave the caller's model alone
    classes = [m for m in copied.modules() if isinstance(m, nn.Linear) and m.out_features == 1000]
    pruner = tp.pruner.MetaPruner(
        copied,
        x,
        importance=tp.importance.GroupMagnitudeImportance(p=1),
        pruning_ratio=0.5,
        round_to=16,
        ignored_layers=classes,
    )
    graphed = time.perf_counter()
    pruner.step()
    return {"graph": graphed - start, "prune": time.perf_counter() - graphed, "total": time.perf_counter() - start}


SIDES: dict[str, Callable[..., dict[str, float]]] = {"padless": ours, "torch_pruning": theirs}


def timed(run: Callable[..., dict[str, float]], *args: Any, **more: Any) -> dict[str, float]:
    """One run with Python's garbage collector off, as timeit does: what it stops for depends on all that is loaded."""
    gc.collect()
    gc.disable()
    try:
        return run(*args, **more)
    finally:
        gc.enable()


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(run[key] for run in runs), 4) for key in runs[0]}


def memory_above_model(side: str, name: str) -> int:
    """Bytes by which a fresh process grows at most while it traces, plans and cuts."""
    with mp.get_context("spawn").Pool(1) as pool:
        return int(pool.apply(_grow, (side, name)))


def _grow(side: str, name: str) -> int:
    torch.set_num_threads(1)
    model, x = built(name)
    SIDES[side](*built("resnet18"), check=False)  # imports and first calls
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = _peak()
    SIDES[side](model, x, check=False)
    return _peak() - before


def _peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return 1024 * int(found[1])


def chain(layers: int) -> nn.Module:
    """Convolutions and batch norms, one behind the other."""
    parts: list[nn.Module] = [nn.Conv2d(3, 32, 3, padding=1)]
    for _ in range(layers - 1):
        parts += [nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1)]
    return nn.Sequential(*parts).eval()


def row_of(name: str, repeats: int) -> dict[str, Any]:
    model, x = built(name)
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(repeats):
        for side, run in SIDES.items():
            runs[side].append(timed(run, model, x))
    ratios = [b["total"] / a["total"] for a, b in zip(*runs.values(), strict=True)]
    return {
        "network": name,
        **{side: medians(found) for side, found in runs.items()},
        "median_ratio": round(statistics.median(ratios), 2),
        "memory_bytes": {side: memory_above_model(side, name) for side in SIDES},
    }


def growth(repeats: int) -> list[dict[str, float]]:
    """Our time without the check for chains of convolutions, and for DenseNets."""
    models = {f"chain of {n}": (chain(n), torch.zeros(1, 3, 32, 32)) for n in CHAINS}
    models |= {name: built(name) for name in ("densenet121", "densenet201")}
    rows = []
    for name, (model, x) in models.items():
        found = medians([timed(ours, model, x, check=False) for _ in range(repeats)])
        layers = sum(isinstance(m, nn.Conv2d | nn.Linear) for m in model.modules())
        rows.append(
            {"network": name, "layers": layers, **found, "ms_per_layer": round(1000 * found["total"] / layers, 3)}
        )
        print(
            f"{name:18}{layers:6} layers {found['total']:8.3f} s {rows[-1]['ms_per_layer']:8.3f} ms a layer", flush=True
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    print(
        f"{'network':18}{'padless s':>11}{'Torch-Pruning s':>17}{'ratio':>8}{'our check s':>13}{'MB, ours and theirs':>22}"
    )
    for name in given.networks:
        rows.append(row := row_of(name, given.repeats))
        mine, peer, memory = row["padless"], row["torch_pruning"], row["memory_bytes"]
        print(
            f"{name:18}{mine['total']:>11.3f}{peer['total']:>17.3f}{row['median_ratio']:>7.2f}x{mine['check']:>13.3f}"
            f"{memory['padless'] / 1e6:>12.0f}{memory['torch_pruning'] / 1e6:>10.0f}",
            flush=True,
        )
    mean = statistics.geometric_mean(row["median_ratio"] for row in rows)
    print(f"Torch-Pruning takes {mean:.2f} times as long (geometric mean)")
    grown = growth(given.repeats)
    write("speed", rows, seed=0, repeats=given.repeats, geometric_mean_ratio=round(mean, 2), growth=grown)


if __name__ == "__main__":
    main()
