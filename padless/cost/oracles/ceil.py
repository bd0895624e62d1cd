"""The closed form, which needs no compiler: padded MACs over MACs a cycle."""

import math
from collections.abc import Sequence

from padless.cost.cycles import Answer, Source
from padless.cost.oracle import Oracle
from padless.cost.padding import padding
from padless.errors import UsageError
from padless.graph import LayerShape
from padless.hardware import Target, round_up


class Ceil(Oracle):
    """Padded MACs over MACs a cycle. Memory, output stage and operators other than layers are not charged.

    A depthwise layer has one input channel for each output, so it fills one lane of the dot product: its rate is the
    target's `depthwise_macs_per_cycle`, else the MAC array without its input channels. Where the target states what is
    computed at once of a map or a kernel, these are rounded up too.

    Raises UsageError where no source states the target's MACs a cycle.
    """

    def __init__(self, target: Target, argument: str = "") -> None:
        if argument:
            raise UsageError(f"The oracle ceil takes no argument; got {argument!r}.")
        if target.active.macs_per_cycle is None:
            raise UsageError(f"No oracle for cycles on {target.id}: no source states its MACs a cycle. Budget macs.")
        self.target = target
        self.source = Source(oracle="ceil", device=f"padded MACs / MACs per cycle of {target.id}")

    def __call__(self, shapes: Sequence[LayerShape]) -> list[Answer]:
        return [Answer(source=self.source, total=n, npu=n) for n in map(self._cycles, shapes)]

    def _cycles(self, shape: LayerShape) -> int:
        compute, macs = self.target.active, padding(shape, self.target).padded_macs
        rate: float = compute.macs_per_cycle or 1
        if shape.kind == "depthwise":
            rate = compute.depthwise_macs_per_cycle or rate / (compute.array.inputs if compute.array else 1)
        hw = shape.in_hw if shape.transposed else shape.out_hw
        for size, unit in zip(hw[-2:], compute.spatial_unit or (1, 1), strict=True):
            macs = macs * round_up(size, unit) // size
        if compute.array and compute.array.taps > 1:
            taps = math.prod(shape.kernel)
            macs = macs * round_up(taps, compute.array.taps) // taps
        return math.ceil(macs / rate)
