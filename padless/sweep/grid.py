"""A grid of points, from a TOML file: a list is a dimension, and every mistake is named at once, with its line."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from padless.choose.fields import MOST_BYTES
from padless.errors import UsageError
from padless.files import regular
from padless.hardware.lines import line_of, lines_of
from padless.runs.trust import doubt_of
from padless.sweep.point import Point, point_or_mistakes

MOST = 100_000  # points
NAMED = 20  # mistakes in one message


@dataclass(frozen=True, slots=True)
class Place:
    """Where a point was written: what its mistakes are called by."""

    title: str
    lines: Mapping[str, int] = field(default_factory=dict)
    table: str = ""

    def told(self, option: str, message: str) -> str:
        """A message with the line of the option that it is about, in the point's own grid or before all."""
        for path in (f"{self.table}.{option}" if self.table else option, option):
            if path in self.lines or any(known.startswith(f"{path}.") for known in self.lines):
                return f"line {line_of(path, dict(self.lines))}: {message}"
        return f"line {line_of(self.table, dict(self.lines)) or 1}: {message}" if self.lines else message


def read_grid(file: Path, trust: bool) -> list[tuple[Point, Place]]:
    """The points of a file, each with where it was written.

    Tables `[[grid]]` are grids of their own: every combination of their lists. What stands before the first of them holds
    for all; without any it is the grid. Of an option that takes several values (budget, freeze, outputs, input_shape,
    until) a list inside the list is one value. Raises UsageError with every mistake and its line, and without `trust` for
    names of what does not ship with padless.
    """
    try:
        text = regular(file, MOST_BYTES).read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}.") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, a number of too many digits, too many brackets
        raise UsageError(f"{file} is no TOML: {error}.") from error
    lines = lines_of(text)
    tables = content.pop("grid", [{}])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{file}: grid is no list of tables. Write [[grid]] above each.")
    points: list[tuple[Point, Place]] = []
    mistakes: dict[str, None] = {}  # in the order of the file
    for number, table in enumerate(tables):
        place = Place(str(file), lines, f"grid.{number}" if f"grid.{number}" in lines else "")
        try:
            options = list(combinations({**content, **table}))
        except UsageError as error:
            mistakes[place.told("", str(error))] = None
            continue
        for given in options:
            point, wrong = point_or_mistakes(given)
            if point is not None:
                points.append((point, place))
            for name, message in wrong.items():
                mistakes[place.told(name, message)] = None
    if len(points) > MOST:
        raise UsageError(f"{file} makes {len(points):,} points; {MOST:,} are the most. Split it.")
    refuse(str(file), mistakes)
    if not trust:
        _believe(file, points)
    return points


def _believe(file: Path, points: Iterable[tuple[Point, Place]]) -> None:
    """Raises UsageError for what a grid names beyond what ships with padless (`runs.trust`)."""
    doubts: dict[str, None] = {}
    for point, place in points:
        named = {
            "model": point.model, "target": point.target, "oracle": point.oracle, "memory-oracle": point.memory_oracle,
            "data": point.data, "importance": point.importance, "augment": str((point.finetune or {}).get("augment", "")),
        }  # fmt: skip
        for kind, name in named.items():
            if what := doubt_of(kind, name):
                option = f"finetune.{kind}" if kind == "augment" else kind.replace("-", "_")
                doubts[place.told(option, f"{option} {name!r}: {what}")] = None
    if doubts:
        raise UsageError("\n  ".join([
            f"{file} names what does not come with padless, and a grid may be anyone's work:", *list(doubts)[:NAMED],
            "Give --trust if you trust who made it.",
        ]))  # fmt: skip


def combinations(table: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every combination of a table's lists; tables in it have lists of their own. Raises UsageError above the limit."""
    axes = [(name, _values(name, value)) for name, value in table.items()]
    if (count := prod(len(values) for _, values in axes)) > MOST:
        raise UsageError(f"the lists make {count:,} points; {MOST:,} are the most. Split the grid")
    for chosen in product(*(values for _, values in axes)):
        yield dict(zip((name for name, _ in axes), chosen, strict=True))


def refuse(title: str, mistakes: Iterable[str]) -> None:
    """Raises UsageError that lists mistakes, if there are any."""
    listed = list(mistakes)
    if listed:
        more = [f"and {len(listed) - NAMED} more"] * (len(listed) > NAMED)
        count = f"{len(listed)} mistakes" if len(listed) > 1 else "a mistake"
        raise UsageError("\n  ".join([f"{title} has {count}; nothing was started:", *listed[:NAMED], *more]))


def _values(name: str, value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(combinations(value))
    if not isinstance(value, list):
        return [value]
    return value
