"""Staircases that are made, not measured."""

from padless.cost import Answer, Source
from padless.cost.probe import Staircase

SOURCE = Source(oracle="made")
WIDTHS = range(1, 129)


def units(stairs: list[Staircase]) -> dict[str, int | None]:
    return {stair.side: stair.unit for stair in stairs}


def made(shapes):
    return [
        Answer(source=SOURCE, total=n, npu=n)
        for n in (1000 * -(-s.c_in // 8) * -(-s.c_out // 16) + (3000 if s.c_in == 20 else 0) for s in shapes)
    ]
