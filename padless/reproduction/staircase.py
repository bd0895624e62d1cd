"""One layer's cost at every width, and the widths that each method chose for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch

from padless.cost import CachedOracle
from padless.cost.oracles import default_oracle, open_oracle
from padless.graph import Layer, trace
from padless.hardware import load_target
from padless.inputs import load_model
from padless.reproduction.protocol import PADLESS, Row
from padless.reproduction.tables import distinct, of


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """`costs[n]` are the cycles of a layer with `widths[n]` output channels and `c_in` inputs, those that padless chose.

    `chosen` has each method's input and output channels, and the cycles of the layer with both.
    """

    network: str
    layer: str
    size: float
    c_in: int
    widths: Sequence[int]
    costs: Sequence[int]
    chosen: Mapping[str, Sequence[int]]


def staircases(rows: Sequence[Row], target: str) -> list[dict[str, object]]:
    """For each network with several methods the layer that they disagree on most, at the largest budget; as JSON."""
    return [asdict(steps) for steps in _staircases(rows, target)]


def _staircases(rows: Sequence[Row], target: str) -> Iterator[Steps]:
    hardware = load_target(target)
    spec = default_oracle(hardware)
    if spec is None:
        return
    oracle = CachedOracle(open_oracle(spec, hardware))
    try:
        for network in distinct(of(rows, part="equal cycles"), "network"):
            of_network = of(rows, part="equal cycles", network=network)
            cells = [row for row in of_network if row.get("widths") and not row.get("levels")]
            size = max(distinct(cells, "size"), default=0.0)
            cells = of(cells, size=size, seed=cells[0]["seed"]) if cells else []
            if not of(cells, method=PADLESS) or len(cells) == 1:
                continue
            loaded = load_model(f"cifar10/{network}")
            graph = trace(loaded.model, torch.zeros(loaded.input_shape, device="cpu"))
            layer = max(graph.layers, key=lambda candidate: _interest(candidate, cells))
            both = {row["method"]: row["widths"][layer.name] for row in cells if layer.name in row["widths"]}
            c_in, widths = both[PADLESS][0], list(range(1, layer.c_out + 1))
            widths_asked = [*both.values(), *([c_in, width] for width in widths)]
            answers = oracle.shapes([replace(layer.shape, c_in=i, c_out=o) for i, o in widths_asked])
            costs = [answer.total for answer in answers]
            chosen = {method: (*both[method], cost) for method, cost in zip(both, costs, strict=False)}
            yield Steps(
                network=network, layer=layer.name, size=size, c_in=c_in, widths=widths,
                costs=costs[len(both) :], chosen=chosen,
            )  # fmt: skip
    finally:
        oracle.close()


def _interest(layer: Layer, rows: Sequence[Row]) -> tuple[int, int]:
    """How many widths were chosen, then how much it computes; only of ordinary convolutions."""
    if layer.kind != "conv" or layer.groups != 1:
        return (0, 0)
    return len({row["widths"][layer.name][1] for row in rows if layer.name in row["widths"]}), layer.macs
