"""Cycles, and the closed form for targets without a compiler.

An *oracle* answers what layers cost; every answer says which oracle gave it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from padless.cost.padding import padding
from padless.graph import Layer
from padless.hardware import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycles:
    """An oracle's answer for a network."""

    total: int
    npu: int  # without waiting for memory outside the NPU, where the oracle tells them apart
    oracle: str  # name, version and settings
    operators: dict[str, int] = field(default_factory=dict)  # layer or operator -> cycles
    peak_sram_bytes: int | None = None
    cpu_operators: int = 0
    whole: bool = True  # False: a sum over layers, without the operators between them
    note: str = ""  # why it is not whole


def ceil_cycles(layers: Sequence[Layer], target: Target) -> Cycles | None:
    """Padded MACs over MACs a cycle, summed over layers; None where no source states the target's MACs a cycle.

    A depthwise layer has one input channel for each output, so it fills one lane of the dot product: its rate is the
    MAC array without its last extent. Memory, output stage and operators other than layers are not charged.
    """
    compute = target.compute.int8
    if compute.macs_per_cycle is None:
        return None
    operators = {}
    for layer in layers:
        lanes = compute.array[-1] if compute.array and layer.kind == "depthwise" else 1
        operators[layer.name] = math.ceil(padding(layer, target).padded_macs * lanes / compute.macs_per_cycle)
    total = sum(operators.values())
    return Cycles(
        total=total, npu=total, oracle="ceil (padded MACs / MACs per cycle)", operators=operators, whole=False
    )
