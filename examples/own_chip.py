"""A chip of one's own, 24 inputs x 12 outputs at once: its units are probed back from its costs, then a network fills them.

    python examples/own_chip.py [--out own-chip]

`cycles` stands in for the chip, or its simulator. padless does not know its units; it asks for costs alone.
"""

import argparse
from collections.abc import Iterable
from math import ceil
from pathlib import Path

import torch

import padless
from padless.cost.probe import Setting, probe
from padless.demo import DigitsResNet
from padless.graph import LayerShape

TARGET = """\
schema = 1
id = "own-chip"
name = "A chip of one's own"
vendor = "Examples"
unknown = ["memory.channel_block"]

[compute.int8]
macs_per_cycle = 288
array = {{ inputs = 24, outputs = 12 }}
input_unit = {input}
output_unit = {output}
depthwise_unit = {depthwise}
misfit = "waste"
"""
FACT = """
[[fact]]
field = "compute.int8.{field}"
value = {value}
source = "examples/own_chip.py"
locator = "{locator}"
confidence = "{confidence}"
"""


def cycles(shapes: Iterable[LayerShape]) -> list[int]:
    """What each layer takes: 24 x 12 MACs a cycle, for whole tiles, and 50 cycles to begin. Depthwise: outputs alone."""
    found = []
    for shape in shapes:
        rows, columns = shape.out_hw
        taps = shape.kernel[0] * shape.kernel[1]
        depthwise = shape.kind == "depthwise"
        tiles = ceil(shape.c_out / 12) * (1 if depthwise else shape.groups * ceil(shape.c_in / shape.groups / 24))
        found.append(50 + rows * columns * taps * tiles)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("own-chip"))
    args = parser.parse_args()

    stairs = probe(cycles, Setting(kernel=3, hw=16, other=64, widths=range(1, 129)))
    units = {stair.side: stair.unit for stair in stairs}
    print(f"Probed from costs alone: {units}")

    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "own_chip.toml"
    known = [("macs_per_cycle", 288), ("array", "{ inputs = 24, outputs = 12 }")]
    facts = [FACT.format(field=name, value=value, locator="cycles", confidence="given") for name, value in known]
    facts += [
        FACT.format(field=f"{side}_unit", value=unit, locator="padless.cost.probe", confidence="reverse-engineered")
        for side, unit in units.items()
    ]
    file.write_text(TARGET.format(**units) + "".join(facts))

    torch.manual_seed(0)
    model, example = DigitsResNet(), torch.zeros(DigitsResNet.input_shape)
    plan = padless.plan(model, example, target=str(file), budget="cycles=50%", oracle=cycles)
    small = padless.prune(model, plan)
    cost = padless.inspect(small, example, target=str(file), oracle=cycles)
    print(f"Cycles: {plan.before['cycles']:,} to {plan.after['cycles']:,}")
    print(f"Avoidable padding: {cost.totals()['avoidable_macs_percent']:.2f} % of the MACs")
    for row in cost.layers:
        print(f"  {row.layer.name}: {row.layer.c_in} -> {row.layer.c_out}")


if __name__ == "__main__":
    main()
