"""Does the closed form rank networks as compilers and simulators do?

    python benchmarks/rank.py [--assignments 100] [--networks NAME ...]

For ResNet-18 (CIFAR form), MobileNetV2 and EfficientNet-B0 (both at 96x96): 100 random assignments of widths, every channel
group at 30, 50, 75 or 100 % of its channels; Spearman's rank correlation and the worst over- and under-estimate of `ceil`
cycles against Arm Vela on the whole network and as a sum over layers (ethos-u55-256), and against SCALE-Sim and ZigZag on a
16x16 array (gemmini-16). Answers are cached, so that a stopped run goes on; a fresh one takes about an hour on two cores.
"""

import argparse
import time
from typing import Any

import numpy as np
import torch
from common import write
from scipy.stats import spearmanr

from padless import load_target, trace
from padless.cost import CachedOracle, summed
from padless.cost.oracles import open_oracle
from padless.cut import cut
from padless.graph import narrowed
from padless.inputs import load_model
from padless.progress import track
from padless.tflite import lower, nominal

NETWORKS = {"cifar10/resnet18": 32, "torchvision/mobilenet_v2": 96, "torchvision/efficientnet_b0": 96}
LEVELS = (0.3, 0.5, 0.75, 1.0)
ORACLES = {
    "Vela, whole network": ("ethos-u55-256", "vela"),
    "Vela, sum over layers": ("ethos-u55-256", "vela"),
    "SCALE-Sim 16x16": ("gemmini-16", "scalesim"),
    "ZigZag 16x16": ("gemmini-16", "zigzag"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assignments", type=int, default=100)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    given = parser.parse_args()
    rows = [row for name in given.networks for row in compared(name, given.assignments)]
    for row in rows:
        print(
            f"{row['network']:30} {row['oracle']:52} rho {row['spearman']:.4f}, of {row['pairs']} pairs "
            f"{row['misordered_percent']:.1f} % misordered; oracle / ceil {row['ratio_low']:.2f} to {row['ratio_high']:.2f}"
        )
    write("rank", {"assignments": given.assignments, "levels": LEVELS, "seed": 0, "rows": rows})


def compared(name: str, assignments: int) -> list[dict[str, object]]:
    """A row an oracle."""
    torch.manual_seed(0)
    size = NETWORKS[name]
    model, example = load_model(name, input_shape=(1, 3, size, size)).model.eval(), torch.zeros(1, 3, size, size)
    graph = trace(model, example)
    rng = np.random.default_rng(0)
    keeps = []
    for _ in range(assignments):
        keep = np.zeros(graph.channels, dtype=np.int64)
        for group in graph.groups:
            width = group.width if group.pinned else max(1, round(group.width * rng.choice(LEVELS)))
            keep[group.first : group.first + width] = 1
        keeps.append(keep)
    rows = []
    for label, (target_id, spec) in ORACLES.items():
        target, started = load_target(target_id), time.time()
        vela: Any = open_oracle(spec, target)
        asked, ceil = CachedOracle(vela), CachedOracle(open_oracle("ceil", target))
        theirs, ours = [], []
        asked([layer for keep in keeps for layer in narrowed(graph, keep)] if "whole" not in label else [])
        for keep in track(keeps, f"{name}, {label}", total=len(keeps)):
            layers = narrowed(graph, keep)
            ours.append(summed(layers, ceil(layers)).total)
            if "whole" in label:
                small = cut(model, graph, keep)
                theirs.append(vela.compile(nominal(lower(trace(small, example), small)), name))
            else:
                theirs.append(summed(layers, asked(layers)))
        asked.close()
        source = str(vela.source)
        rows.append(row(name, label, source, ours, [c.npu for c in theirs]))
        if any(c.npu != c.total for c in theirs):
            rows.append(row(name, f"{label}, waiting for memory included", source, ours, [c.total for c in theirs]))
        print(f"{name}, {label}: {rows[-1]['spearman']:.4f} ({time.time() - started:.0f} s)", flush=True)
    return rows


def row(network: str, label: str, source: str, ours: list[int], theirs: list[int]) -> dict[str, object]:
    a, b = np.array(ours, float), np.array(theirs, float)
    first, second = np.triu_indices(len(a), 1)
    wrong = np.sign(a[first] - a[second]) * np.sign(b[first] - b[second]) < 0
    ratio = b / a
    return {
        "network": network,
        "oracle": label,
        "source": source,
        "spearman": float(spearmanr(a, b).statistic),
        "pairs": len(first),
        "misordered_percent": 100 * float(wrong.mean()),
        "ratio_low": float(ratio.min()),
        "ratio_median": float(np.median(ratio)),
        "ratio_high": float(ratio.max()),
        "ceil": ours,
        "theirs": theirs,
    }


if __name__ == "__main__":
    main()
