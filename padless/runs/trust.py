"""What a run's folder may name by itself: only what ships with padless. The rest is repeated by who runs the command.

A folder may come from anyone. Its numbers and texts are data. But a factory, a command or an entry point that it names would
be run, and a table or a target's file would be read as if the user had asked for it. So each of these has to stand on the
command line, too, word for word, or the command says `--trust`. Every command that acts on what a folder names asks here,
and so does a sweep of what its grid names.
"""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from padless.choose import Plan
from padless.cost.oracles import ships
from padless.errors import UsageError
from padless.hardware import Target, load_target
from padless.hardware.target import names_file
from padless.inputs.places import reach
from padless.inputs.zoo import FAMILIES
from padless.onnx.files import keeps_weights_outside
from padless.report.summary import Summary
from padless.runs.seal import sealed

LONGEST = 500  # letters of a name in a message
FACTORIES = ("padless.demo:DigitsResNet",)  # of padless itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """What the command line says again of a folder's names; `trust`: the folder is believed in all."""

    model: str | None = None
    target: str | None = None
    oracle: str | None = None
    memory_oracle: str | None = None
    data: str | None = None  # of the user's own choice: it need not be the folder's
    trust: bool = False


TRUSTED = Repeated(trust=True)  # a folder that this very command has written


def believed(folder: Path, summary: Summary, repeated: Repeated, *, prices: bool, images: bool) -> Target:
    """The run's target, where all that the folder names may be used: model and target, its oracles where the command
    `prices` layers, its data where it takes `images`.

    Raises UsageError, naming each option that is missing, for what does not ship with padless, is not repeated, and not
    sealed by this user; and for what is repeated in other words.
    """
    _same(folder, summary, repeated)
    unused = {kind for kind, used in (("oracle", prices), ("memory-oracle", prices), ("data", images)) if not used}
    if not repeated.trust and not sealed(folder, summary):
        said = {*unused, *_named(repeated)}
        check_names(folder, {kind: name for kind, name in _named(summary).items() if kind not in said})
    target = load_target(repeated.target or summary.target, **summary.variant)
    if target.id != summary.target:
        raise UsageError(
            f"{folder} was made for the target {summary.target!r}; --target {repeated.target} is {target.id}."
        )
    return target


def vouched(folder: Path, summary: Summary, repeated: Repeated, after: Summary) -> bool:
    """Whether the user has given every name of `after`, a run that was made from `folder`: there, or in this command."""
    if repeated.trust or sealed(folder, summary):
        return True
    said = _named(repeated)
    return all(said.get(kind) == name for kind, name in _named(after).items() if doubt_of(kind, name))


def in_doubt(summary: Summary) -> bool:
    """Whether a run names anything that does not ship with padless."""
    return any(doubt_of(kind, name) for kind, name in _named(summary).items())


def _named(said: Summary | Repeated) -> dict[str, str]:
    """What a run, or a command line, names, by its kind."""
    names = {
        "model": said.model, "target": said.target, "oracle": said.oracle, "memory-oracle": said.memory_oracle,
        "data": said.data,
    }  # fmt: skip
    return {kind: name for kind, name in names.items() if name is not None}


def check_names(where: Path, named: Mapping[str, str | None]) -> None:
    """Raises UsageError where a file or folder names what does not ship with padless.

    `named` are the names by their kind: model, target, oracle, memory-oracle, data; an empty one is none.
    """
    doubts = [(kind, name, what) for kind, name in named.items() if name and (what := doubt_of(kind, name))]
    if doubts:
        options = " ".join(f"--{kind} {shlex.quote(_short(name))}" for kind, name, _ in doubts)
        raise UsageError(
            f"{where} names what does not come with padless, and a folder may be anyone's work:\n  "
            + "\n  ".join(f"{kind} {_short(name)!r}: {what}" for kind, name, what in doubts)
            + f"\nRepeat what you know ({options}), or give --trust if you trust who made the folder."
        )


def doubt_of(kind: str, name: str | None) -> str:
    """What a name of this kind would do that only the user may ask for; empty where there is nothing, or no name."""
    return _DOUBT[kind](name) if name else ""


def _short(value: str) -> str:
    return value if len(value) <= LONGEST else f"{value[:LONGEST]}…"


def target_of(plan: Plan) -> Target:
    """The target that a plan names. Raises UsageError for a file: a plan may be anyone's work, too."""
    if names_file(plan.target):
        raise UsageError(
            f"The plan names the target file {plan.target!r}, which is not read on its word. Give target=."
        )
    return load_target(plan.target)


def _same(folder: Path, summary: Summary, repeated: Repeated) -> None:
    """Raises UsageError where a name is repeated in other words."""
    file = repeated.model is not None and repeated.model.endswith(".onnx")
    model = str(Path(str(repeated.model)).absolute()) if file else repeated.model
    for option, said, own in (
        ("--model", model, summary.model),
        ("--oracle", repeated.oracle, summary.oracle),
        ("--memory-oracle", repeated.memory_oracle, summary.memory_oracle),
    ):
        if said not in (None, own):
            raise UsageError(
                f"{folder} was made with {option.removeprefix('--')} {own or 'of the target'!r}; {option} says {said!r}. "
                "Repeat it word for word, or leave it out."
            )


_REACH = {"function": "a module would be imported and its function run", "hub": "it would be fetched from the network"}


def _of_model(name: str) -> str:
    """What building a model would do that only the user may ask for; empty where there is nothing."""
    if name.endswith(".onnx"):
        outside = keeps_weights_outside(Path(name))
        return "its weights would be read from other files beside it" if outside else ""
    if name in FACTORIES or ("/" in name and name.partition("/")[0] in FAMILIES):
        return ""
    return "a module would be imported and its function run"


def _of_function(name: str) -> str:
    return "a module would be imported and its function run" if ":" in name else ""


def _of_oracle(name: str) -> str:
    return "" if ships(name) else "a program would be run, or a table read, to price layers"


# Of each kind: what a name would do that only the user may ask for; empty where there is nothing.
_DOUBT: dict[str, Callable[[str], str]] = {
    "model": _of_model,
    "target": lambda name: "a file would be read as the target" if names_file(name) else "",
    "oracle": _of_oracle,
    "memory-oracle": _of_oracle,
    "importance": _of_function,
    "augment": _of_function,
    "data": lambda place: _REACH.get(reach(place), ""),
}
