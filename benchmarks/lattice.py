"""What treated layers cost between the widths that are asked about: how far interpolation is from the compiler's own answer.

    python benchmarks/lattice.py [--network torchvision/resnet50] [--target ethos-u55-256] [--layers 8] [--points 10]

Layers of a network, each at some random widths in whole units: the share of cycles that a treatment leaves as the tables of
`plan(treat=…)` have it, from three widths a side, against the share that the compiler says. Errors in percent of the share.
Cycles are Vela's, of the target's default system and memory mode.
"""

import argparse
from dataclasses import replace

import numpy as np
import torch
from common import write

from padless import load_model, load_target, trace
from padless.choose import treated
from padless.cost import CachedOracle
from padless.cost.oracles.vela import Vela
from padless.graph.structure import TreatedShape
from padless.progress import track

UNIT = 16
TREATMENTS = ("grid:17", "grid:5")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="torchvision/resnet50")
    parser.add_argument("--target", default="ethos-u55-256")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--points", type=int, default=10)
    given = parser.parse_args()
    loaded = load_model(given.network)
    shapes = list(dict.fromkeys(ly.shape for ly in trace(loaded.model, torch.zeros(loaded.input_shape)).layers))[1:-1]
    chosen = [shapes[i] for i in np.linspace(0, len(shapes) - 1, given.layers).round().astype(int)]
    draw, rows = np.random.default_rng(0), []
    oracle = CachedOracle(Vela(load_target(given.target)))
    try:
        for shape in track(chosen, "Asking about layers", total=len(chosen)):
            rows += errors_of(shape, draw, given.points, oracle)
    finally:
        oracle.close()
    every = np.abs(np.concatenate([row["errors_percent"] for row in rows]))
    print(f"{len(every)} shares: off by {every.mean():.2f} % on average, {every.max():.1f} % at most")
    write("lattice", rows, network=given.network, target=given.target, widths_a_side=treated.LATTICE,
          mean_percent=round(float(every.mean()), 3), most_percent=round(float(every.max()), 3))  # fmt: skip


def errors_of(shape, draw, points: int, oracle: CachedOracle) -> list[dict]:
    """One row a treatment."""
    sides = [range(UNIT, width + 1, UNIT) for width in (shape.c_in, shape.c_out)]
    grid = np.empty([len(side) for side in sides], dtype=object)
    for i, c_in in enumerate(sides[0]):
        for j, c_out in enumerate(sides[1]):
            grid[i, j] = replace(shape, c_in=c_in, c_out=c_out)
    lattice = treated._lattice(grid)
    at = tuple(draw.integers(n, size=points) for n in grid.shape)
    rows = []
    for treatment in TREATMENTS:
        asked = [*lattice.shapes.ravel(), *grid[at]]
        asked = list(dict.fromkeys([*asked, *(TreatedShape.of(each, treatment) for each in asked)]))
        answers = dict(zip(asked, oracle.attempt(asked), strict=True))
        shares = lattice.interpolated(answers, treatment, "total")[at]
        told = [
            treated.share_of(answers[each], answers[TreatedShape.of(each, treatment)], "total") for each in grid[at]
        ]
        rows.append({"kernel": shape.kernel, "c_in": shape.c_in, "c_out": shape.c_out, "treatment": treatment,
                     "errors_percent": (100 * (shares / told - 1)).round(2).tolist()})  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
