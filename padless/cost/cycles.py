"""What an oracle answers: for one layer, and for a network."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from padless.graph import Graph, Layer
from padless.graph.liveness import VIEWS


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
    flash_bytes: int | None = None  # its constants, as a compiler lays them out
    cpu_operators: int = 0


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
    flash_bytes: int | None = None  # constants, as the compiler lays them out
    cpu_operators: int = 0
    whole: bool = True  # False: a sum over layers, without the operators between them
    note: str = ""  # why it is not whole, what falls back to the CPU
    memory: str = ""  # who said how much memory it needs, where that is another oracle

    @property
    def oracle(self) -> str:
        """Who answered, and of what kind the answer is."""
        time = str(self.source) if self.whole else f"{self.source}, a sum over layers"
        return f"{time}; memory by {self.memory}" if self.memory else time


# Operations that layers are, that compilers merge into them, or that move nothing.
FREE = VIEWS | {
    "convolution", "_convolution", "addmm", "mm", "native_batch_norm", "relu", "relu_", "permute", "transpose", "slice",
    "select", "split", "split_with_sizes", "chunk", "unbind", "lift_fresh", "lift_fresh_copy", "contiguous", "unflatten",
}  # fmt: skip


def between(graph: Graph) -> str:
    """What a sum over layers leaves out, by kind: the operations that compute something and are no layers."""
    read = {v for op in graph.recording.ops for v in op.reads} | set(graph.recording.outputs)
    kinds = Counter(
        op.name.removeprefix("aten.").removesuffix("_")
        for op in graph.recording.ops
        if op.name.removeprefix("aten.") not in FREE and op.reads and read & set(op.outputs)
    )
    if not kinds:
        return ""
    most = ", ".join(f"{kind} ({count})" for kind, count in kinds.most_common(6))
    more = f" and {len(kinds) - 6} other kinds" if len(kinds) > 6 else ""
    return f"Between the layers stand {most}{more}."


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
