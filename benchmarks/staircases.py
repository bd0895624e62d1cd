"""Do our units stand where the compiler's costs step? Staircases of single layers on every Ethos-U target.

    python benchmarks/staircases.py [--targets ID ...]

For each target 1x1, 3x3 and depthwise layers over maps, the other side's widths and strides; of each the swept side at 1,
4 and 5, and at each multiple of 8 and the width after it, up to 129 (of fours for a target with an output unit of 4). INT8,
seeded random weights, memory mode Sram_Only, cycles without waiting for outer memory. `steps` says from which width on a
layer costs how much. Answers are kept in padless' cache: a stopped run goes on. Some 7,500 compiled layers a target take
three to five minutes on one core.

A rise of the cost between two neighbouring widths is explained where our unit (of exactly that layer) rounds them to
different widths. `rise_explained` is the share of all of a staircase's rises, `edges_charged` the share of our edges among
the sampled widths at which the cost does rise, both by more than 2 % of the costs' largest. Where the whole staircase rises
by less than 5 % of its largest cost, nothing steps: it is flat, and its shares are null.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from common import write

from padless import load_target, targets
from padless.cost import CachedOracle
from padless.cost.oracles.vela import Vela
from padless.graph import LayerShape
from padless.hardware import Target, round_up

MAPS = (2, 4, 6, 8, 12, 16, 24, 32)  # of the output
OTHERS = (8, 16, 32, 48, 64, 96, 128, 256)  # channels on the side that is not swept
OTHERS_3X3 = (8, 16, 32, 64, 128)
WIDEST = 129
NOTICEABLE, FLAT = 0.02, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One staircase: what stays the same, and the side that is swept."""

    side: str  # "input", "output" or "depthwise"
    kernel: int
    hw: int
    other: int = 0
    stride: int = 1

    def shape(self, width: int) -> LayerShape:
        c_in, c_out = {"output": (self.other, width), "input": (width, self.other)}.get(self.side, (width, width))
        depthwise = self.side == "depthwise"
        return LayerShape(
            kind="depthwise" if depthwise else "conv", c_in=c_in, c_out=c_out, groups=width if depthwise else 1,
            kernel=(self.kernel, self.kernel), stride=(self.stride, self.stride), dilation=(1, 1),
            in_hw=(self.stride * self.hw, self.stride * self.hw), out_hw=(self.hw, self.hw),
        )  # fmt: skip

    def rounded(self, width: int, target: Target) -> int:
        """What our units make of a width."""
        units = target.units(self.shape(width))
        return round_up(width, units.input if self.side == "input" else units.output)


def sweeps() -> Iterator[Sweep]:
    for side in ("input", "output"):
        yield from (Sweep(side=side, kernel=1, hw=hw, other=other) for hw in MAPS for other in OTHERS)
        yield from (Sweep(side=side, kernel=3, hw=hw, other=other) for hw in MAPS[:-1] for other in OTHERS_3X3)
    yield from (Sweep(side="depthwise", kernel=3, hw=hw, stride=stride) for hw in MAPS for stride in (1, 2))
    yield from (Sweep(side="depthwise", kernel=5, hw=hw) for hw in MAPS)


def widths(target: Target) -> list[int]:
    unit = min(8, target.active.output_unit or 8)
    return sorted({1, 4, 5, *(n for k in range(unit, WIDEST, unit) for n in (k, k + 1))})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="+", default=[target.id for target in targets() if target.vela])
    given = parser.parse_args()
    rows: dict[str, list[dict]] = {}
    for id in given.targets:
        target = load_target(id, memory_mode="Sram_Only")
        with Vela(target, workers=1) as vela:
            rows[id] = [measured(sweep, target, CachedOracle(vela)) for sweep in sweeps()]
        print(id, json.dumps(summary(rows[id])), flush=True)
        record(rows)


def measured(sweep: Sweep, target: Target, oracle: CachedOracle) -> dict:
    """One staircase and how our units fit it."""
    swept = widths(target)
    costs = np.array([answer.npu for answer in oracle.shapes([sweep.shape(width) for width in swept])])
    edges = np.diff([sweep.rounded(width, target) for width in swept]) > 0
    rises = np.diff(costs) * (np.diff(costs) > NOTICEABLE * costs.max())
    flat = costs.max() - costs.min() < FLAT * costs.max()
    changes = [
        f"{width}:{cost}" for width, cost, new in zip(swept, costs, np.diff(costs, prepend=-1) != 0, strict=True) if new
    ]
    return {
        "layer": f"{sweep.side} {sweep.kernel}x{sweep.kernel}" + ("/2" if sweep.stride == 2 else ""),
        "map": sweep.hw,
        "other": sweep.other or None,
        "rise_explained": None if flat or not rises.any() else round(float(rises[edges].sum() / rises.sum()), 3),
        "edges_charged": None if flat or not edges.any() else round(float((rises[edges] > 0).mean()), 3),
        "steps": " ".join(changes),
    }  # fmt: skip


def summary(rows: list[dict]) -> dict:
    """Per kind of layer: staircases, those that are flat, and the mean shares of the others."""
    told = {}
    for layer in dict.fromkeys(row["layer"] for row in rows):
        own = [row for row in rows if row["layer"] == layer]
        told[layer] = {"staircases": len(own), "flat": sum(row["rise_explained"] is None for row in own)} | {
            name: round(float(np.mean(known)), 3)
            if (known := [row[name] for row in own if row[name] is not None])
            else None
            for name in ("rise_explained", "edges_charged")
        }
    return told


def record(rows: dict[str, list[dict]]) -> None:
    """Write what there is: a stopped run leaves the targets that it did."""
    told = [{"target": id, "summary": summary(own), "staircases": own} for id, own in rows.items()]
    write("staircases", told, seed=0, memory_mode="Sram_Only")


if __name__ == "__main__":
    main()
