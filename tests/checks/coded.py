"""An oracle that charges for weights by how few values they have, as a compiler that codes them does."""

import math

from padless.cost.cycles import Answer, Cycles, Source
from padless.cost.oracle import Oracle
from padless.treat import Treatment

SOURCE = Source(oracle="coded")
UNTREATED, MOST = 255, 34  # values of a filter; from how many on they are taken for untreated


class Coded(Oracle):
    """MACs / 16 cycles of computing, 1 cycle for each bit of weights, which lie in flash; sparse layers compute half."""

    treats = True

    def __init__(self):
        self.asked = []

    def __call__(self, shapes):
        self.asked += shapes
        for shape in shapes:
            treatment = Treatment.parse(getattr(shape, "treatment", "int8"))
            yield Answer(source=SOURCE, **cost(shape, treatment.levels or UNTREATED, sparse=treatment.sparse))

    def network(self, graph, model):
        weights = dict(model.named_parameters())
        rows = {}
        for layer in graph.layers:
            weight = weights[layer.weight].detach().flatten(1)
            values = max(len(row.unique()) for row in weight)
            rows[layer.name] = cost(layer, values if values < min(MOST, weight.shape[1]) else UNTREATED)
        total, npu, flash = (sum(row[what] for row in rows.values()) for what in ("total", "npu", "flash_bytes"))
        operators, computing = ({name: row[what] for name, row in rows.items()} for what in ("total", "npu"))
        return Cycles(
            source=SOURCE, total=total, npu=npu, operators=operators, npu_operators=computing, flash_bytes=flash
        )


def cost(shape, values, *, sparse=False):
    weights = shape.c_in * shape.c_out * math.prod(shape.kernel) // shape.groups
    npu = shape.macs // 16 // (2 if sparse else 1)
    bits = round(weights * math.log2(values))
    return {"npu": npu, "total": npu + bits, "flash_bytes": -(-bits // 8)}
