"""A plan: which channels each group keeps, and everything needed to check and replay that on a fresh model."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass as validated

from padless.choose.fields import (
    MOST_BYTES,
    Digest,
    Finite,
    Seed,
    Shapes,
    Structure,
    TreatmentName,
    Type,
    Zeros,
    first_mistake,
    numbered,
)
from padless.cost import Totals
from padless.errors import UsageError
from padless.files import regular
from padless.graph import Graph, Keep
from padless.notebook import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One budget: what was asked, and what the chosen widths cost by the same measure."""

    budget: str
    asked: float
    table_total: float | None  # the sum over layers that the solver saw; None where no solver did
    compiler_total: float  # of the whole network
    next_milder: float | None  # what the next wider network of a ratio's allocation costs: why no more was kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """How good the widths are: no choice within the tables' budgets keeps more than `bound`.

    The objective is the importance kept: its sum, less what treatments of weights lose, or (criteria without a common unit)
    the sum over the groups of the logarithm of the share kept. `gap` is (bound - objective) / |objective|.
    """

    name: str
    status: str
    objective: float
    bound: float
    gap: float
    seconds: float = field(default=0.0, compare=False)  # not in plan.json, which is the same for the same question
    rounds: int  # of asking the compiler for the whole network


@validated(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
class Plan:
    """Data only: JSON in, JSON out. Indices count within the group, ascending."""

    version: str
    digest: Digest  # of the structure it was made on
    example_shapes: Shapes
    target: str
    importance: str
    allocate: str
    align: str  # "unit", "cost" or "none"
    ratio: float | None  # of uniform and global
    seed: Seed
    outcomes: list[Outcome]
    solver: Proof | None  # of optimal
    importance_kept: Finite  # share of the dense network's
    before: Totals
    after: Totals
    keep: dict[str, list[int]]
    zeros: dict[str, Zeros]  # channels of zeros that a group gets to fill its units
    treatments: dict[str, TreatmentName] = field(default_factory=dict)  # of layers' weights, for `padless.treat`
    outputs: list[str] | None = None  # those whose channels stay; None: all
    example_types: list[Type] = field(default_factory=list)  # of each input; float32 or the model's own where left out
    example_structure: Structure = ""  # JSON: how the inputs lie in the forward's arguments
    file_digest: str = ""  # of the ONNX file that the network was read from

    @model_validator(mode="after")
    def _inputs_agree(self) -> Self:
        """Shapes, types and structure are of the same inputs."""
        count = len(self.example_shapes)
        if len(self.example_types) not in (0, count):
            raise ValueError(f"example_types: {len(self.example_types)} types for {count} shapes")
        if self.example_structure and numbered(self.example_structure) != list(range(count)):
            raise ValueError(f"example_structure: it does not number the {count} inputs")
        return self

    @property
    def takes(self) -> int:
        """How many arguments the network's forward has."""
        return len(json.loads(self.example_structure)) if self.example_structure else len(self.example_shapes)

    def _repr_html_(self) -> str:
        asked = ", ".join(outcome.budget for outcome in self.outcomes)
        line = (
            f"Plan for {self.target}: {asked}, importance kept ({self.importance}) {100 * self.importance_kept:.2f} %"
        )
        names = ("macs", "weight_bytes", "cycles", "nanoseconds", "peak_sram_bytes", "flash_bytes")
        sides = [(name, self.before[name], self.after[name]) for name in names]  # type: ignore[literal-required]
        rows = [(name, f"{dense:,}", f"{now:,}") for name, dense, now in sides if dense is not None and now is not None]
        rows += [(f"channels of {id}", "", str(len(kept))) for id, kept in self.keep.items()]
        rows += [(f"weights of {layer}", "", treatment) for layer, treatment in self.treatments.items()]
        return shown(line, ("", "dense", "planned"), rows)

    def mask(self, graph: Graph) -> Keep:
        """How many of each channel stay on a graph, int [channels].

        Raises UsageError when the graph is not the one that the plan was made on.
        """
        if graph.digest() != self.digest:
            raise UsageError(
                f"The plan was made on a network with structure {self.digest}, this one has {graph.digest()}. "
                "Build the original network with the same arguments, and give the same input shape."
            )
        if unknown := sorted(self.treatments.keys() - {layer.name for layer in graph.layers}):
            raise UsageError(f"The plan treats the weights of {unknown[0]!r}; the network has no such layer.")
        keep = np.zeros(graph.channels, dtype=np.int64)
        for group in graph.groups:
            kept = self.keep.get(group.id)
            if kept is None:
                raise UsageError(f"The plan says nothing of group {group.id}.")
            if kept != sorted(set(kept)) or (kept and (kept[0] < 0 or kept[-1] >= group.width)):
                raise UsageError(
                    f"The plan keeps {kept[:8]} of group {group.id}; expected ascending indices from 0 to {group.width - 1}."
                )
            if group.pinned and len(kept) < group.width:
                raise UsageError(f"The plan cuts group {group.id}, which must stay: {group.pinned}.")
            zeros = self.zeros.get(group.id, 0)
            if zeros and (group.pinned or len(kept) < group.width):
                raise UsageError(
                    f"The plan gives group {group.id} {zeros} channels of zeros; only a group that may be cut and keeps all "
                    "its channels can have some."
                )
            keep[group.first + np.array(kept, dtype=np.int64)] = 1
            if zeros:
                keep[group.first + kept[-1]] += zeros
        return keep

    def to_json(self) -> str:
        return _ADAPTER.dump_json(self, indent=1, exclude={"solver": {"seconds"}}).decode() + "\n"

    @staticmethod
    def from_json(text: str | bytes, *, where: str = "plan") -> "Plan":
        """Read a plan. Raises UsageError, naming the field, when it is not one."""
        try:
            return _ADAPTER.validate_json(text)
        except ValidationError as error:
            _, field, message = first_mistake(error)
            raise UsageError(f"{where} is not a padless plan: {field or 'the file'}: {message}") from error

    @staticmethod
    def read(path: Path) -> "Plan":
        try:
            return Plan.from_json(regular(path, MOST_BYTES).read_bytes(), where=str(path))
        except OSError as error:
            raise UsageError(
                f"No plan at {path} ({error.strerror}). Give the folder that `padless prune --out` wrote."
            ) from error


_ADAPTER = TypeAdapter(Plan)
