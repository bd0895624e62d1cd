"""What `padless prune` is asked for, and what of it does not fit together."""

from dataclasses import dataclass, field
from pathlib import Path

from padless.choose import Choices
from padless.choose.budget import read_budgets
from padless.choose.paying import check_counted
from padless.errors import UsageError, suggest
from padless.hardware import Target
from padless.importance import WATCHING
from padless.onnx import Reading
from padless.recover import METHODS
from padless.report.limits import parse_limits

CALIBRATION = 512  # images for importance and recovery
BOUNDS = {"steps": (1, 64), "calibration": (2, 10**9), "regularize": (0, 10**6), "epochs": (0, 10**6)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What `padless prune` was asked for."""

    model: str
    target: Target
    budgets: tuple[str, ...]
    weights: Path | None = None
    data: str | None = None
    preprocess: str | None = None  # as `--preprocess` says it
    choices: Choices = field(default_factory=Choices)
    steps: int = 1
    recover: str = "auto"
    calibration: int = CALIBRATION
    regularize: int = 0  # epochs of training towards empty channels before the cut
    epochs: int = 0
    int8: bool = False
    inputs: tuple[str, ...] = ()  # as `--input-shape` says them; none: the model's usual one
    oracle: str | None = None
    memory_oracle: str | None = None
    reading: Reading = field(default_factory=Reading)
    limit: str = ""  # as `--limit` says it
    out: Path
    command: str
    keep_dense: bool = False  # its weights, in the folder: where no other file has them


def check_options(job: Job) -> None:
    """Raises UsageError for what does not fit together, before anything is loaded."""
    check_counted(job.choices, read_budgets(job.budgets))
    parse_limits(job.limit)
    for name, (least, most) in BOUNDS.items():
        if not least <= getattr(job, name) <= most:
            raise UsageError(f"{name} is from {least} to {most:,}; got {getattr(job, name)}.")
    if job.choices.importance in WATCHING and not job.data:
        raise UsageError(f"The importance {job.choices.importance} watches calibration images. Give --data.")
    if not job.data:
        for asked, message in (
            (job.epochs, "Fine-tuning needs images. Give --data, or leave --epochs out."),
            (job.regularize, "Training needs images. Give --data, or leave --regularize out."),
            (job.int8, "INT8 needs images to be calibrated on. Give --data."),
            (job.choices.insists, "Treatments are weighed on images. Give --data, or leave --treat out."),
        ):
            if asked:
                raise UsageError(message)
    if job.choices.depth and job.steps > 1:
        raise UsageError("Branches are removed with widths in one step. Leave --steps or --depth out.")
    if job.recover not in METHODS:
        raise UsageError(f"recover cannot be {job.recover!r}. {suggest(job.recover, METHODS)}")
