"""What an oracle answers, and the closed form that needs no compiler.

An *oracle* is a function from layer shapes to answers, in their order. It does not know the network they come from.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from padless.cost.padding import padding
from padless.errors import OracleError, UsageError
from padless.graph import Layer, LayerShape
from padless.hardware import Target, round_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Who answered, about what: every cost carries it."""

    oracle: str
    version: str = ""
    device: str = ""  # accelerator, array or processor
    system: str = ""  # system configuration
    memory_mode: str = ""
    unit: Literal["cycles", "ns"] = "cycles"

    def __str__(self) -> str:
        name = f"{self.oracle} {self.version}".strip()
        return ", ".join(filter(None, (name, self.device, self.system, self.memory_mode)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one layer costs, in the unit of its source."""

    source: Source
    total: int
    npu: int  # without waiting for memory outside the NPU, where the oracle tells them apart
    energy_pj: float | None = None
    peak_sram_bytes: int | None = None
    cpu_operators: int = 0


# An error in an answer's place: this layer has none, the next ones may. An error that is raised ends the asking.
Oracle = Callable[[Sequence[LayerShape]], Iterable[Answer | OracleError]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycles:
    """An oracle's answer for a network."""

    source: Source
    total: int
    npu: int
    operators: dict[str, int] = field(default_factory=dict)  # layer or operator -> cycles
    npu_operators: dict[str, int] = field(default_factory=dict)  # the same without waiting for outer memory
    energy_pj: float | None = None
    peak_sram_bytes: int | None = None
    cpu_operators: int = 0
    whole: bool = True  # False: a sum over layers, without the operators between them
    note: str = ""  # why it is not whole, what falls back to the CPU

    @property
    def oracle(self) -> str:
        return str(self.source) if self.whole else f"{self.source}, a sum over layers"


def summed(layers: Sequence[Layer], answers: Sequence[Answer], note: str = "") -> Cycles:
    """The network as the sum of its layers, each alone."""
    energies = [a.energy_pj for a in answers if a.energy_pj is not None]
    peaks = [a.peak_sram_bytes for a in answers if a.peak_sram_bytes is not None]
    return Cycles(
        source=answers[0].source if answers else Source(oracle="none"),
        total=sum(a.total for a in answers),
        npu=sum(a.npu for a in answers),
        operators={layer.name: a.total for layer, a in zip(layers, answers, strict=True)},
        npu_operators={layer.name: a.npu for layer, a in zip(layers, answers, strict=True)},
        energy_pj=sum(energies) if energies else None,
        peak_sram_bytes=max(peaks) if peaks else None,
        cpu_operators=sum(a.cpu_operators for a in answers),
        whole=False,
        note=note,
    )


class Ceil:
    """Padded MACs over MACs a cycle. Memory, output stage and operators other than layers are not charged.

    A depthwise layer has one input channel for each output, so it fills one lane of the dot product: its rate is the
    target's `depthwise_macs_per_cycle`, else the MAC array without its input channels. Where the target states what is
    computed at once of a map or a kernel, these are rounded up too.

    Raises UsageError where no source states the target's MACs a cycle.
    """

    def __init__(
        self, target: Target, argument: str = "", *, system_config: str | None = None, memory_mode: str | None = None
    ) -> None:
        if argument or system_config or memory_mode:
            raise UsageError("The oracle ceil takes no argument, system configuration or memory mode.")
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
        for size, unit in zip(hw, compute.spatial_unit or (1, 1), strict=True):
            macs = macs * round_up(size, unit) // size
        if compute.array and compute.array.taps > 1:
            taps = math.prod(shape.kernel)
            macs = macs * round_up(taps, compute.array.taps) // taps
        return math.ceil(macs / rate)
