"""What a run did, as data: `summary.json`, written, read and shown by one class."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from padless.choose import Proof
from padless.choose.fields import INPUTS, MOST_BYTES, Digest, Seed, first_mistake
from padless.choose.plan import Outcome
from padless.cost import Totals
from padless.errors import UsageError
from padless.files import regular
from padless.onnx import Reading
from padless.report.files import Written

FILE = "summary.json"
STRICT = ConfigDict(extra="forbid", strict=True, ser_json_inf_nan="constants")

Count = Annotated[int, Field(ge=0, lt=1 << 31)]


class Measures(Totals):
    """The totals of a network and, in percent, its accuracies where it was tested.

    Where the images have no labels it is judged by its agreement with the dense network (`padless.evaluate`), and that is
    what the names say.
    """

    accuracy: NotRequired[float]  # in the end
    accuracy_before_recovery: NotRequired[float]  # as cut
    accuracy_after_recovery: NotRequired[float]
    accuracy_int8: NotRequired[float]  # simulated
    accuracy_tflite: NotRequired[float]  # of the TFLite file, in LiteRT
    agreement: NotRequired[float]
    agreement_before_recovery: NotRequired[float]
    agreement_after_recovery: NotRequired[float]
    agreement_int8: NotRequired[float]


def _variant(asked: dict[str, str]) -> dict[str, str]:
    """A target's variant: nothing but its three settings, and an .ini file by its text: a folder names no file to read."""
    if unknown := sorted(set(asked) - {"system", "memory_mode", "vela_config"}):
        raise ValueError(f"{unknown[0]!r} is no system, memory_mode or vela_config")
    if "\n" not in asked.get("vela_config", "\n"):
        raise ValueError("vela_config names a file, and not its text")
    return asked


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Achieved(Outcome):
    """A budget, and what the network costs in the end: trained weights compress otherwise than the cut ones."""

    achieved: int
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Widths:
    """A layer's channels: dense, then pruned."""

    c_in: tuple[int, int]
    c_out: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Recovered:
    """What the last stage's recovery did; the seconds of all. Accuracy (without labels agreement) in percent."""

    method: str
    images: int
    seconds: float
    held_out: dict[str, float]
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Finetuned:
    """What a fine-tuning was of, and what it did."""

    start: str  # the digest of the weights that it began with
    folder: str  # the run that it continued
    data: str
    recipe: dict[str, str | int | float | bool]
    devices: int
    accelerator: str
    before: float  # accuracy, without labels agreement
    after: float
    losses: tuple[float, ...]  # the mean of each epoch
    seconds: float
    images_per_second: float
    held_out: int = 0  # training images that were not trained on, for `padless sweep --halve` to choose by


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Treating:
    """What a treatment of weights was of, and what it did: `padless.treat`'s."""

    folder: str  # the run that it continued; empty where a run chose its treatments with its widths
    data: str
    towards: Literal["dense", "itself"]  # whose outputs its layers were brought to: a trained network's own
    layers: dict[str, str]  # the treatment of each that got one
    images: int
    seconds: float
    held_out: tuple[float, float]  # the disagreement with that network, before and after
    before: float  # accuracy, without labels agreement
    after: float

    def __str__(self) -> str:
        counts = Counter(self.layers.values())
        return ", ".join(f"{treatment} in {count} layer{'s' * (count > 1)}" for treatment, count in counts.items())


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Summary:
    """Everything that a run's folder says beside plan and weights: what was asked, what came of it, how to do it again."""

    model: str
    target: str
    variant: Annotated[dict[str, str], AfterValidator(_variant)]  # what was asked for, as `load_target` takes it
    inputs: Annotated[
        tuple[str, ...], Field(min_length=1, max_length=INPUTS)
    ]  # what the network takes, as `--input-shape` says it
    weights: str | None
    weights_digest: Digest
    oracle: str | None  # None: the best that the target has
    budgets: tuple[Achieved, ...]
    solver: Proof | None
    ratio: float | None
    importance_kept: float
    importance: str
    allocate: str
    align: str
    repair: str
    freeze: tuple[str, ...]
    floor: Annotated[float, Field(ge=0, le=1)]
    steps: Count
    recovery: Recovered | None
    calibration: Count
    regularize: Count
    epochs: Count
    data: str | None
    preprocess: str | None  # as `--preprocess` says it; None: the model's own
    before: Measures
    after: Measures
    widths: dict[str, Widths]
    equivalence_max_error: float
    versions: dict[str, str]
    seed: Seed
    command: str
    memory_oracle: str | None = None  # None: the same
    reading: Reading = field(default_factory=Reading)  # how an ONNX file was read
    finetuning: Finetuned | None = None
    depth: bool = False  # whether whole branches could go
    treat: tuple[str, ...] = ()  # what was offered to layers beside widths
    spare: float = 0.0  # the share of a compiler's budget that stayed free for treated weights
    treating: Treating | None = None
    files: dict[str, Written] = field(default_factory=dict)  # that it was exported to, by their names
    notes: tuple[str, ...] = ()  # what a reader of the numbers must know: sums, what is not counted, what rose

    @property
    def sides(self) -> Mapping[str, Measures]:
        """Both networks' measures, for tables."""
        return {"dense": self.before, "pruned": self.after}

    def to_json(self) -> str:
        return _ADAPTER.dump_json(self, indent=1).decode() + "\n"

    @staticmethod
    def read(folder: str | Path) -> "Summary":
        """The summary in a run's folder.

        Raises UsageError where there is none that can be read, naming the field that is missing or wrong, and for a folder
        that was saved from Python without a factory.
        """
        folder = Path(folder)
        try:
            return _ADAPTER.validate_json(regular(folder / FILE, MOST_BYTES).read_bytes())
        except OSError as error:
            if (folder / "plan.json").exists():
                raise UsageError(
                    f"{folder} was saved from Python and does not say which model it is of. Save it with its "
                    "factory=, or use padless.export and padless.finetune there."
                ) from error
            raise UsageError(
                f"{folder} has no readable {FILE}. Give the folder that `padless prune --out` wrote."
            ) from error
        except ValidationError as error:
            raise UsageError(_explained(folder, error)) from error


def _explained(folder: Path, error: ValidationError) -> str:
    kind, field, message = first_mistake(error)
    if kind == "json_invalid":
        return f"{folder} has no readable {FILE}. Give the folder that `padless prune --out` wrote."
    if kind == "missing":
        return f"{folder} does not say its {field}: an older padless made it. Prune again."
    return f"{folder / FILE} does not hold a run: {field}: {message}."


_ADAPTER = TypeAdapter(Summary)
