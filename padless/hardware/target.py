"""Finding targets: the catalogue that padless ships, the user's own files, and ad-hoc units."""

import os
import re
import tomllib
import warnings
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from padless.errors import UsageError, expect, suggest
from padless.files import regular
from padless.hardware.lines import line_of, lines_of
from padless.hardware.schema import Target
from padless.notebook import shown

CATALOGUE = Path(__file__).parent / "catalogue"
BOARDS = CATALOGUE / "boards.ini"  # systems of Ethos-U that Vela's own file does not have
LONGEST = 1 << 20  # bytes of a target's file
NEAR = 6  # names that a message suggests
VARIABLE = "PADLESS_TARGETS"  # folders of the user's own files, separated as in PATH


def load_target(
    spec: str | Path,
    *,
    system: str | None = None,
    memory_mode: str | None = None,
    vela_config: str | Path | None = None,
) -> Target:
    """The target that `spec` names: an id, `unit:16`, `unit:32x16` (input x output) or a TOML file.

    Ids are found in any case. Behind any of them `@fp16` asks for another of its precisions. `system` and `memory_mode` say
    which chip or board is around it and how its memories are used, `vela_config` the .ini file of one's own that describes
    them (`Target.at`); the target's own by default. Ids are those of the catalogue and of the files in the folders that the
    environment variable PADLESS_TARGETS names.

    Raises `UsageError` when there is no such target or variant of it, and when a file is unreadable, malformed or
    contradicts itself.
    """
    expect(spec, (str, Path), "spec", "Give an id such as 'ethos-u55-256', 'unit:16', or a TOML file.")
    name, at, precision = str(spec).rpartition("@") if "@" in Path(spec).name else (str(spec), "", "")
    return _find(name).at(
        precision.lower() if at else None, system=system, memory_mode=memory_mode, vela_config=vela_config
    )


def names_file(spec: str) -> bool:
    """Whether it is a file that `load_target` would read as a target."""
    return spec.endswith(".toml") or spec.rpartition("@")[0].endswith(".toml")


def _find(text: str) -> Target:
    if text.endswith(".toml"):
        return read_target(Path(text))
    id = text.casefold()
    if id.startswith("unit:"):
        return _ad_hoc(id)
    if re.fullmatch(r"[\w.-]+", id) and (shipped := CATALOGUE / f"{id}.toml").is_file():
        return _cached(shipped)
    found, left_out = _all()
    known = {target.id.casefold(): target for target in found}
    if id in known:
        return known[id]
    for path, mistake in left_out.items():
        if path.stem.casefold() == id:
            raise UsageError(mistake)
    raise UsageError(
        f"No target is called {text!r}; unit:16 and a path to a .toml file also work. "
        f"{_family(id, known) or suggest(id, known) or '`padless targets` lists all.'}"
    )


def _family(id: str, known: Iterable[str]) -> str:
    """The targets that have the name in theirs, or that begin as it does: a sentence, empty where there are none."""
    related = [name for name in known if id in name]
    begin = id
    while not related and "-" in begin:
        begin = begin.rpartition("-")[0]
        related = [name for name in known if name.startswith(f"{begin}-")]
    if not id or not related:
        return ""
    nearest = get_close_matches(id, related, n=len(related), cutoff=0.0)[:NEAR]
    more = f" and {len(related) - NEAR} more" if len(related) > NEAR else ""
    return f"Did you mean {' or '.join(nearest)}{more}?"


class Targets(tuple[Target, ...]):
    """Targets that show themselves as a table in notebooks."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        rows = (
            (target.id, c.macs_per_cycle or "?", c.input_unit or "?", c.output_unit or "?", c.depthwise_unit or "?")
            for target in self
            for c in (target.active,)
        )
        return shown(f"{len(self)} targets", ("id", "MACs/cycle", "input unit", "output unit", "depthwise unit"), rows)


def targets() -> Targets:
    """The targets that padless ships and those in the folders of PADLESS_TARGETS, sorted by id.

    Warns of files there that describe no target, or one whose id is taken: they are left out. Raises `UsageError` when such
    a folder is missing.
    """
    known, left_out = _all()
    for mistake in left_out.values():
        warnings.warn(f"Left out: {mistake}", stacklevel=2)
    return Targets(known)


def _all() -> tuple[tuple[Target, ...], dict[Path, str]]:
    """Every target, and what is wrong with each file that is none."""
    known = {target.id: (target, "the catalogue") for target in _shipped()}
    left_out: dict[Path, str] = {}
    for folder in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        if not Path(folder).is_dir():
            raise UsageError(f"{VARIABLE} names {folder}, which is no folder.")
        for path in sorted(Path(folder).glob("*.toml")):
            try:
                target = read_target(path)
            except UsageError as error:
                left_out[path] = str(error)
                continue
            if target.id in known:
                left_out[path] = (
                    f"{path} describes {target.id!r}, and so does {known[target.id][1]}. Give it another id."
                )
            else:
                known[target.id] = (target, str(path))
    return tuple(target for _, (target, _) in sorted(known.items())), left_out


def _shipped() -> tuple[Target, ...]:
    return tuple(map(_cached, CATALOGUE.glob("*.toml")))


@cache
def _cached(path: Path) -> Target:
    return read_target(path)


def read_target(path: Path) -> Target:
    """The target that a file describes. Raises `UsageError` with the line of everything that is wrong."""
    try:
        text = regular(path, LONGEST).read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"Cannot read the target file {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, which names line and column, or UnicodeDecodeError
        raise UsageError(f"{path} is not TOML: {error}.") from error
    try:
        return Target.model_validate(data)
    except ValidationError as error:
        raise UsageError("\n  ".join([f"{path} does not describe a target:", *_explain(error, text)])) from error


def _explain(error: ValidationError, text: str) -> list[str]:
    """One line per wrong field: where it stands, its dotted path and what was expected there."""
    lines, complaints = lines_of(text), []
    for detail in error.errors(include_url=False):
        path = ".".join(str(part) for part in detail["loc"] if part != "[key]")
        message = (
            "no such field" if detail["type"] == "extra_forbidden" else detail["msg"].removeprefix("Value error, ")
        )
        for complaint in (f"{path}: {message}" if path else message).split("\n  "):
            line = line_of(complaint.partition(":")[0], lines)
            complaints.append((line or 0, f"line {line}: {complaint}" if line else complaint))
    return [complaint for _, complaint in sorted(complaints, key=lambda numbered: numbered[0])]


def _ad_hoc(spec: str) -> Target:
    """A target of which only the units are given. Channels are also stored in blocks of the output unit."""
    match = re.fullmatch(r"unit:([1-9][0-9]*)(?:x([1-9][0-9]*))?", spec)
    if match is None:
        raise UsageError(f"{spec!r} gives no units. Write unit:16, or unit:32x16 for 32 input and 16 output channels.")
    into, out = int(match[1]), int(match[2] or match[1])
    compute = {"input_unit": into, "output_unit": out, "depthwise_unit": out}
    memory = {"channel_block": out}
    given = {"source": spec, "locator": "the target's name", "confidence": "given"}
    return Target.model_validate(
        {
            "schema": 1,
            "id": spec,
            "name": f"ad-hoc units of {into} input and {out} output channels",
            "vendor": "none",
            "unknown": ["compute.int8.macs_per_cycle", "system"],
            "compute": {"int8": compute},
            "memory": memory,
            "fact": [
                {"field": "compute.int8", "value": compute, **given},
                {"field": "memory", "value": memory, **given},
            ],
        }
    )


def as_target(target: Target | str | Path) -> Target:
    """A target, given as one or by its name."""
    expect(target, (Target, str, Path), "target", "Give padless.load_target(…), or an id such as 'ethos-u55-256'.")
    return target if isinstance(target, Target) else load_target(target)
