"""What a run's page shows beside its summary, as data: `report.json`, written, read and checked by one class."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from padless.choose.fields import MOST_BYTES, first_mistake
from padless.cost.roofline import Bound
from padless.errors import UsageError
from padless.files import regular

FILE = "report.json"
STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
Stage = Literal["dense", "cut", "recovered", "final", "dense, INT8", "final, INT8"]
LimitOf = Literal["sram", "flash"]
Quantity = Literal["cycles", "npu_cycles", "macs", "padded_macs", "weight_bytes", "padded_weight_bytes", "flash_bytes"]


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Side:
    """A layer of one of the two networks.

    Its padding is `padded_macs` - `floor_macs`, which aligned widths would remove, and `floor_macs` - `macs`, which none
    can. `time` is in the report's `unit`, `npu_time` the same without waiting for memory.
    """

    c_in: int
    c_out: int
    macs: int
    padded_macs: int
    floor_macs: int
    weight_bytes: int
    activation_bytes: int
    time: int | None
    npu_time: int | None
    bound: Bound
    utilisation_percent: float | None  # of the array's peak, by useful MACs

    @property
    def widths(self) -> str:
        """Input and output channels, for people."""
        return f"{self.c_in}→{self.c_out}" if self.c_out else "removed"


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class LayerReport:
    """A layer, dense and pruned. `units` are channels (input, output) that the target computes at once."""

    name: str
    kind: str
    kernel: tuple[int, ...]
    units: tuple[int, int]
    dense: Side
    pruned: Side
    problems: tuple[str, ...] = ()  # why the NPU cannot run it
    treatment: str = ""  # what was done to the pruned one's weights

    @property
    def narrower(self) -> bool:
        return (self.dense.c_in, self.dense.c_out) != (self.pruned.c_in, self.pruned.c_out)

    @property
    def changed(self) -> bool:
        return self.narrower or bool(self.treatment)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class GroupReport:
    """Channels that are cut together. Where widths could be chosen, `levels` are those that were offered, with what each
    costs the group's layers while the others stay (`costs`, None where it is not allowed), its worth in the unit of
    `Curves.price`, and the share of the group's importance that it keeps: all of one length, or empty."""

    id: str
    width: int
    kept: int
    zeros: int
    writers: tuple[str, ...]  # layers whose outputs the channels are
    readers: tuple[str, ...]  # layers that take them in
    levels: tuple[int, ...]
    costs: tuple[float | None, ...] = ()
    worths: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    pinned: str | None = None  # why it must not be cut
    least: str = ""  # why it is offered no less than its first level

    def __post_init__(self) -> None:
        lengths = {len(self.costs), len(self.worths), len(self.shares)} - {0}
        known = self.costs or not (self.worths or self.shares)
        if not lengths <= {len(self.levels)} or not self.levels or not known:
            raise ValueError("levels, costs, worths and shares are not of one length")


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class FamilyPoint:
    """The best widths for another budget, in the groups' order. `share` is of the dense network's cost."""

    share: float
    kept: float
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Curves:
    """Costs by the tables that the plan was made on: sums over layers, of one `quantity`.

    `price` is the worth that one unit more of it would buy at the plan, 0 where nothing would or none is known. `kept` is
    the importance that the plan keeps, `family` what the best plans for other budgets keep, by the same curves.
    """

    quantity: Quantity
    spent: float
    dense: float
    price: float
    kept: float | None
    family: tuple[FamilyPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Tensor:
    """A map that lives at a moment: the operation that makes it, and its size."""

    maker: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class MomentReport:
    """What lives while one operation of the pruned network runs, by live ranges, the largest maps first."""

    where: str
    bytes: int
    dense_bytes: int
    tensors: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Limit:
    """What the network must fit into, and who says so."""

    of: LimitOf
    bytes: Annotated[int, Field(gt=0)]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class StageScore:
    """A stage's accuracy (without labels agreement) in percent. Where images are counted, `low` and `high` are Wilson's 95 %
    interval."""

    stage: Stage
    percent: Annotated[float, Field(ge=0, le=100)]
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Beside:
    """The same network pruned in another way to the same cycles; accuracies in percent."""

    name: str
    cycles: int
    macs: int
    avoidable_macs_percent: float
    cut: float
    recovered: float


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Report:
    """All that the page has beside the summary. It holds no seconds and no places: the same run writes the same."""

    version: str  # of padless
    unit: Literal["cycles", "ns"]  # of the layers' times
    memory_waits: bool  # whether the oracle tells waiting for memory from computing
    between: int  # what the pruned network takes beside its layers, in the same unit
    peak_macs_per_cycle: int | None
    bandwidths: dict[str, Annotated[float, Field(gt=0)]]  # bytes a cycle
    flash_bytes: tuple[int | None, int | None]  # dense and pruned, where the compiler says it
    layers: tuple[LayerReport, ...]
    groups: tuple[GroupReport, ...]
    curves: Curves | None  # None: the plan was made without tables of costs
    memory: tuple[MomentReport, ...]
    limits: tuple[Limit, ...]
    test_images: int | None
    measured: Literal["accuracy", "agreement"]
    stages: tuple[StageScore, ...]
    beside: tuple[Beside, ...] = ()  # other ways to prune the same network, where they were run

    def __post_init__(self) -> None:
        if self.curves and any(len(point.widths) != len(self.groups) for point in self.curves.family):
            raise ValueError("a point of the family has not a width for each group")

    def to_json(self) -> str:
        return _ADAPTER.dump_json(self).decode() + "\n"

    @staticmethod
    def read(folder: str | Path) -> "Report":
        """The report in a run's folder. Raises UsageError where there is none that can be read, naming what is missing."""
        file = Path(folder) / FILE
        try:
            return _ADAPTER.validate_json(regular(file, MOST_BYTES).read_bytes())
        except OSError as error:
            raise UsageError(
                f"{folder} has no readable {FILE}: an older padless made it, or it is no folder of a run. Give the folder "
                "that `padless prune --out` wrote, or prune again."
            ) from error
        except ValidationError as error:
            raise UsageError(_explained(file, error)) from error


def _explained(file: Path, error: ValidationError) -> str:
    kind, field, message = first_mistake(error)
    if kind == "json_invalid":
        return f"{file} is no JSON: {message}. Prune again."
    if kind == "missing":
        return f"{file} does not say its {field}: an older padless made it. Prune again."
    return f"{file} does not hold a report: {field}: {message}."


_ADAPTER = TypeAdapter(Report)
