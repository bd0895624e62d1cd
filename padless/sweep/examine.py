"""What is looked at before a sweep starts: mistakes that can be seen now, what points depend on, what will be asked."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import torch

from padless.choose import Choices
from padless.choose.asked import shapes_to_measure
from padless.choose.budget import FLASH, LATENCY, read_budgets
from padless.choose.choices import METHODS
from padless.cost.cache import key_of
from padless.cost.oracles import default_oracle
from padless.errors import PadlessError, UsageError
from padless.files import digest, digest_of_file
from padless.graph import LayerShape, trace
from padless.inputs import load_model, load_weights, parse_inputs, shapes_of
from padless.inputs.places import PLACES, reach
from padless.progress import bar
from padless.runs.job import check_options
from padless.sweep.grid import Place, refuse
from padless.sweep.halving import HELD_OUT
from padless.sweep.point import Point

T = TypeVar("T")
Question = tuple[str, str | None, str | None, str | None, str]  # target, system, memory mode, Vela's .ini, oracle
Questions = dict[Question, dict[LayerShape, None]]  # the layer shapes that each oracle will be asked about
NEEDED = ("target", "budget")  # without which nothing more can be said of a point
ASKED = ("cycles", "npu_cycles", LATENCY, FLASH)


class Once:
    """Works something out once for each key, also where it fails."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}

    def __call__(self, key: Hashable, work: Callable[[], T]) -> T:
        if key not in self._known:
            try:
                self._known[key] = work()
            except (PadlessError, OSError) as error:
                self._known[key] = error
        if isinstance(self._known[key], Exception):
            raise self._known[key]
        known: T = self._known[key]
        return known


def files_of(point: Point) -> list[str]:
    """The files and folders that a point names."""
    return [name for name in _names(point) if Path(name).exists()]


def _names(point: Point) -> list[str]:
    oracles = [oracle for oracle in (point.oracle, point.memory_oracle) if oracle]
    named = (point.model.partition(":")[0], point.weights, point.data, point.target, point.vela_config)
    return [name for name in named if name] + [word for oracle in oracles for word in oracle.split()]


def ids(points: Iterable[Point], halve: bool = False) -> list[str]:
    """16 hex digits a point: of all that it says, of the files that it reads, and of the version of padless.

    Points that train on a part of the images, as with `halve`, are others than those that train on all.
    """
    once, release = Once(), version("padless")

    def inputs(point: Point) -> dict[str, str]:
        found = {name: once(name, partial(_content, name)) for name in _names(point)}
        return {name: content for name, content in found.items() if content}

    def said(point: Point) -> dict[str, Any]:
        apart = {"held_out": HELD_OUT} if halve and point.finetune is not None else {}
        return {"point": point.said, "inputs": inputs(point), "version": release, **apart}

    return [key_of(said(point))[:16] for point in points]


def _content(name: str) -> str | None:
    """A digest of what a name stands for: a file, the files of a folder, the source of a module; None for other names."""
    path = Path(name)
    if path.is_file():
        return digest_of_file(path)
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file()]
        with bar(f"Reading {name}", len(files)) as shown:
            parts = []
            for file in files:
                parts.append(f"{file.relative_to(path)} {digest_of_file(file)}".encode())
                shown.advance()
        return digest(*parts)
    if "/" not in name and name.replace(".", "").replace("_", "").isalnum():
        try:
            spec = find_spec(name)
        except (ImportError, ValueError):
            return None
        if spec and spec.origin and Path(spec.origin).is_file():
            return digest_of_file(Path(spec.origin))
    return None


def examine(points: Iterable[tuple[Point, Place]]) -> Questions:
    """Check every point as far as that goes without its data, and collect what it will ask.

    Raises UsageError that names all mistakes, with their places.
    """
    questions: Questions = {}
    once, mistakes = Once(), dict[str, None]()
    listed = list(points)
    title = listed[0][1].title if listed else ""
    with bar("Looking the points over", len(listed)) as shown:
        for point, place in listed:
            for option, look in _looks(point, once, questions):
                try:
                    look()
                except (PadlessError, OSError) as error:
                    mistakes[place.told(option, f"{option}: {error}")] = None
                    if option in NEEDED:
                        break
            shown.advance()
    refuse(title, mistakes)
    return questions


def _looks(point: Point, once: Once, questions: Questions) -> Iterator[tuple[str, Callable[[], object]]]:
    """What can be wrong with a point, each by the option that it is about."""
    yield (
        "target",
        lambda: once(("target", point.target, point.system, point.memory_mode, point.vela_config), point.hardware),
    )
    yield "budget", lambda: once(("budget", point.budget), lambda: read_budgets(point.budget))
    yield "finetune", lambda: once(("recipe", str(point.finetune), point.model, point.seed), point.recipe)
    yield "data", lambda: _data(point)
    yield "work", lambda: check_options(point.job(Path("runs")))
    yield "model", lambda: _asks(point, once, questions)


def _data(point: Point) -> None:
    if point.finetune is not None and (not point.data or point.work == "plan"):
        raise UsageError("Fine-tuning needs images and work = 'prune'. Give data, or leave finetune out.")
    where = reach(point.data) if point.data else "digits"
    if point.data and (where == "nowhere" or (where == "arrays" and not Path(point.data).exists())):
        raise UsageError(f"No images at {point.data!r}. Give {PLACES}.")


def _asks(point: Point, once: Once, questions: Questions) -> None:
    """Builds the network, reads its weights, and collects the shapes that its oracle will be asked about."""
    budgets = read_budgets(point.budget)
    key = (point.model, point.weights, point.input_shape, point.dequantise, point.until)
    shapes_needed = any(b.quantity in ASKED for b in budgets) and point.allocate in METHODS
    if not shapes_needed:
        once(("loads", *key), lambda: bool(_loaded(point)))
        return
    hardware = point.hardware()
    oracle = point.oracle or default_oracle(hardware)
    if oracle is None:
        return
    choices = Choices(
        align=point.align, repair=point.repair, freeze=point.freeze, outputs=point.outputs, allocate=point.allocate
    )
    aligned = (point.align, point.repair, point.freeze, point.outputs, point.target, point.system, point.memory_mode)

    def shapes() -> Mapping[LayerShape, str]:
        model, example = _loaded(point)
        return shapes_to_measure(model, example, hardware, choices=choices)

    question = (point.target, point.system, point.memory_mode, point.vela_config, oracle)
    questions.setdefault(question, {}).update(dict.fromkeys(once(("shapes", *key, *aligned), shapes)))


def _loaded(point: Point) -> tuple[Any, tuple[Any, ...]]:
    torch.manual_seed(point.seed)
    loaded = load_model(point.model, input_shape=shapes_of(point.input_shape, point.model), reading=point.reading)
    if point.weights:
        load_weights(loaded.model, Path(point.weights))
    example = parse_inputs(loaded.inputs(point.input_shape))
    trace(loaded.model, *example)
    return loaded.model, example
