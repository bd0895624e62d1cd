"""One point of a sweep: everything that `padless prune`, and `padless finetune` behind it, take, as plain data."""

import shlex
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from padless.choose import Choices
from padless.errors import UsageError, suggest
from padless.hardware import Target, load_target
from padless.onnx import Reading
from padless.runs.job import CALIBRATION, Job
from padless.train import Recipe, peak_lr
from padless.treat.treatment import listed

Work = Literal["prune", "plan"]
DEFAULTS = Choices()
LISTS = ("budget", "freeze", "outputs", "input_shape", "until")
OPTION_OF = {"lr": "peak_lr"}  # of finetune: the recipe's name where it is another
RECIPE = {field.name for field in fields(Recipe)} - {"sparsity"}


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
class Point:
    """What to do with one network. The names are those of the options of `padless prune`, with _ for -.

    `work` is `prune` (one folder, as that command writes it) or `plan` (widths and costs alone; nothing is cut or tested).
    `finetune` holds options of `padless finetune`; it follows where they are given. Raises UsageError for what a command
    would refuse before it starts.
    """

    model: str
    target: str
    budget: tuple[str, ...]
    work: Work = "prune"
    weights: str | None = None
    data: str | None = None
    preprocess: str | None = None
    importance: str | None = None
    allocate: str = DEFAULTS.allocate
    align: str | None = DEFAULTS.align
    repair: str = DEFAULTS.repair
    freeze: tuple[str, ...] = ()
    outputs: tuple[str, ...] | None = None
    floor: float = DEFAULTS.floor
    treat: str = ""
    depth: bool = DEFAULTS.depth
    time_limit: float = DEFAULTS.time_limit
    seed: int = DEFAULTS.seed
    steps: int = 1
    recover: str = "auto"
    calibration: int = CALIBRATION
    epochs: int = 0
    regularize: int = 0
    int8: bool = False
    input_shape: tuple[str, ...] = ()
    dequantise: bool = False
    until: tuple[str, ...] = ()
    oracle: str | None = None
    memory_oracle: str | None = None
    system: str | None = None
    memory_mode: str | None = None
    vela_config: str | None = None
    finetune: dict[str, str | int | float | bool] | None = None

    @property
    def choices(self) -> Choices:
        return Choices(
            importance=self.importance, allocate=self.allocate, align=self.align, repair=self.repair, freeze=self.freeze,
            floor=self.floor, outputs=self.outputs, treat=listed(self.treat), depth=self.depth,
            time_limit=self.time_limit, seed=self.seed,
        )  # fmt: skip

    @property
    def reading(self) -> Reading:
        return Reading(dequantise=self.dequantise, until=self.until)

    def hardware(self) -> Target:
        return load_target(self.target, system=self.system, memory_mode=self.memory_mode, vela_config=self.vela_config)

    def job(self, out: Path) -> Job:
        """The same for `padless.runs.prune.run`."""
        return Job(
            model=self.model, target=self.hardware(), budgets=self.budget,
            weights=Path(self.weights) if self.weights else None, data=self.data, preprocess=self.preprocess,
            choices=self.choices, steps=self.steps, recover=self.recover, calibration=self.calibration,
            regularize=self.regularize, epochs=self.epochs, int8=self.int8, inputs=self.input_shape, oracle=self.oracle,
            memory_oracle=self.memory_oracle, reading=self.reading, out=out, command=self.command(out),
        )  # fmt: skip

    def recipe(self) -> Recipe | None:
        """How it is fine-tuned; None: not at all. The seed is the point's own unless the recipe has one."""
        if self.finetune is None:
            return None
        named = {OPTION_OF.get(name, name): value for name, value in self.finetune.items()}
        given = {"seed": self.seed, "peak_lr": peak_lr(self.model.endswith(".onnx")), **named}
        if unknown := sorted(set(given) - RECIPE):
            raise UsageError(f"finetune has no {unknown[0]!r}. {suggest(unknown[0], {*RECIPE, 'lr'})}")
        try:
            return _RECIPE.validate_python(given)
        except ValidationError as error:
            raise UsageError("; ".join(f"finetune.{_place(e['loc'])}: {e['msg']}" for e in error.errors())) from error

    @cached_property
    def said(self) -> dict[str, Any]:
        """What differs from the defaults, as JSON holds it."""
        dumped: dict[str, Any] = _POINT.dump_python(self, mode="json", exclude_defaults=True)
        return dumped

    def command(self, out: Path) -> str:
        """What `padless prune` would be called with."""
        words = ["padless", "prune", self.model]
        for name, value in self.said.items():
            option = f"--{name.replace('_', '-')}"
            if name in ("model", "work", "finetune"):
                continue
            for each in value if isinstance(value, list) else [value]:
                words += [option] if each is True else [option, str(each)]
        return shlex.join([*words, "--out", str(out)])


_POINT = TypeAdapter(Point)
_RECIPE = TypeAdapter(Recipe)
NAMES = [field.name for field in fields(Point)]
UNSAID = {field.name: field.default for field in fields(Point) if field.default is not MISSING}


def point_of(given: Mapping[str, Any]) -> Point:
    """A point from its options. A single text stands for a list of one. Raises UsageError naming every wrong option."""
    point, mistakes = point_or_mistakes(given)
    if point is None:
        raise UsageError("; ".join(mistakes.values()))
    return point


def point_or_mistakes(given: Mapping[str, Any]) -> tuple[Point | None, dict[str, str]]:
    """The point; or None, and what is wrong with each option."""
    said = {name: _listed(name, value) for name, value in given.items()}
    try:
        return Point(**said), {}
    except ValidationError as error:
        return None, {_place(each["loc"]): _told(each) for each in error.errors()}


def _listed(name: str, value: Any) -> Any:
    if name not in LISTS or value is None:
        return value
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else value


def _told(error: Mapping[str, Any]) -> str:
    name = _place(error["loc"])
    if error["type"] == "unexpected_keyword_argument":
        return f"there is no option {name!r}. {suggest(name, NAMES)}".rstrip()
    if error["type"].startswith("missing"):
        return f"{name} is missing"
    if name == "work":
        return f"work cannot be {error['input']!r}. {suggest(str(error['input']), get_args(Work))}"
    return f"{name}: {error['msg']}; got {error['input']!r}"


def _place(loc: tuple[int | str, ...]) -> str:
    return str(loc[0]) if loc else "the point"
