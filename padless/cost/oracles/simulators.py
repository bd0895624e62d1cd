"""Two simulators of systolic arrays: SCALE-Sim (cycles) and ZigZag (cycles and energy).

Both take a two-dimensional weight-stationary array: input channels (and kernel elements) along its rows, output channels
along its columns. It is the target's MAC array, or the argument: `scalesim 16x16`. The groups of a grouped or depthwise
convolution are computed one after the other, each alone.

SCALE-Sim: Raj et al., "SCALE-Sim v3", arXiv:2504.15377. ZigZag: Mei et al., IEEE Transactions on Computers 70(8), 2021.
"""

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path
from typing import ClassVar

from padless.cost.cache import key_of
from padless.cost.cycles import Answer, Source
from padless.cost.oracle import Oracle
from padless.errors import OracleError, UsageError, missing_extra
from padless.graph import LayerShape
from padless.hardware import Target
from padless.pool import Pool, Request

Question = dict[str, int | tuple[int, ...]]
WORKERS = Path(__file__).parent.parent / "workers"


class _Simulator(Oracle):
    """One array. Close it, since the simulator runs in processes of its own.

    Raises UsageError where the package is missing or the target has no array of two dimensions.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    extra: ClassVar[str]
    memories: ClassVar[str]
    portable = True

    def __init__(self, target: Target, argument: str = "", *, workers: int | None = None) -> None:
        try:
            release = version(self.package)
        except PackageNotFoundError as error:
            raise missing_extra(self.package, self.extra, f"The oracle {self.extra}") from error
        self.rows, self.columns = _array(target, argument, self.extra)
        self.source = Source(
            oracle=self.name,
            version=release,
            device=f"weight-stationary {self.rows}x{self.columns} array",
            system=self.memories,
        )
        worker = WORKERS / f"ask_{self.extra}.py"
        self.key = key_of(asdict(self.source), worker.read_text())
        self.pool = Pool(worker, self.name, workers=workers)

    def close(self) -> None:
        """End the workers."""
        self.pool.close()

    def __call__(self, shapes: Sequence[LayerShape]) -> Iterator[Answer]:
        """One answer a shape: a group's cost, times the groups."""

        def request(shape: LayerShape) -> Request:
            return {"rows": self.rows, "columns": self.columns, **self.question(shape)}, b""

        for shape, reply in zip(shapes, self.pool.map(request, shapes, str), strict=True):
            if "error" in reply:
                raise OracleError(f"{self.name} failed: {reply['error']}")
            energy = reply.get("pj")
            yield Answer(
                source=self.source,
                total=shape.groups * reply["total"],
                npu=shape.groups * reply["npu"],
                energy_pj=None if energy is None else shape.groups * energy,
            )

    @abstractmethod
    def question(self, shape: LayerShape) -> Question:
        """One group of a layer in the simulator's words."""


class ScaleSim(_Simulator):
    """The layer as a matrix product: output pixels x (kernel elements x input channels) x output channels."""

    name, package, extra, memories = "SCALE-Sim", "scalesim", "scalesim", "memories never stall it"

    def question(self, shape: LayerShape) -> Question:
        hw = shape.in_hw if shape.transposed else shape.out_hw
        return {"m": prod(hw), "n": shape.c_out // shape.groups, "k": prod(shape.kernel) * shape.c_in // shape.groups}


class ZigZag(_Simulator):
    """The layer as a nest of loops over its own dimensions; the fastest order of them counts."""

    name, package, extra, memories = "ZigZag", "zigzag-dse", "zigzag", "memories of its tpu_like"

    def question(self, shape: LayerShape) -> Question:
        if shape.three_dimensional:
            raise OracleError(f"ZigZag is asked about loops over rows and columns, not about {shape}. Ask scalesim.")
        return {
            "c_in": shape.c_in // shape.groups,
            "c_out": shape.c_out // shape.groups,
            "kernel": shape.kernel,
            "stride": (1, 1) if shape.transposed else shape.stride,
            "dilation": shape.dilation,
            "out_hw": shape.in_hw if shape.transposed else shape.out_hw,
        }


def _array(target: Target, argument: str, extra: str) -> tuple[int, int]:
    """Rows (inputs) and columns (outputs)."""
    if argument:
        match = re.fullmatch(r"([1-9][0-9]*)x([1-9][0-9]*)", argument)
        if match is None:
            raise UsageError(f"{argument!r} is no array. Write {extra} 16x16: rows (inputs) x columns (outputs).")
        return int(match[1]), int(match[2])
    array = target.active.array
    if array is None or array.pixels > 1 or array.taps > 1:
        has = f"an array of {array}" if array else "no known MAC array"
        raise UsageError(
            f"{target.id} has {has}; {extra} simulates arrays of inputs x outputs. Say which: {extra} 16x16."
        )
    return array.inputs, array.outputs
