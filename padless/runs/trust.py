"""What a run's folder may name by itself: only what ships with padless. The rest is repeated by who runs the command.

A folder may come from anyone. Its numbers and texts are data. But a factory, a command or an entry point that it names would
be run, and a table or a target's file would be read as if the user had asked for it. So each of these has to stand on the
command line, too, word for word, or the command says `--trust`. Every command that acts on what a folder names asks here,
and so does a sweep of what its grid names.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from padless.choose import Plan
from padless.cost.oracles import ships
from padless.errors import UsageError
from padless.hardware import Target, load_target
from padless.hardware.target import names_file
from padless.inputs.places import reach
from padless.inputs.zoo import FAMILIES
from padless.onnx.files import keeps_weights_outside
from padless.report.summary import Summary

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

    Raises UsageError, naming each option that is missing, for what does not ship with padless and is not repeated; and for
    what is repeated in other words.
    """
    _same(folder, summary, repeated)
    used = ["--model", "--target", *["--oracle", "--memory-oracle"] * prices, *["--data"] * images]
    doubts = [doubt for doubt in doubts_of(summary, repeated) if doubt[0] in used]
    if doubts and not repeated.trust:
        options = " ".join(f"{option} {shlex.quote(_short(value))}" for option, value, _ in doubts)
        raise UsageError(
            f"{folder} names what does not come with padless, and a folder may be anyone's work:\n  "
            + "\n  ".join(f"{option.removeprefix('--')} {_short(value)!r}: {what}" for option, value, what in doubts)
            + f"\nRepeat what you know ({options}), or give --trust if you trust who made the folder."
        )
    target = load_target(repeated.target or summary.target, **summary.variant)
    if target.id != summary.target:
        raise UsageError(
            f"{folder} was made for the target {summary.target!r}; --target {repeated.target} is {target.id}."
        )
    return target


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


class Names(Protocol):
    """What names a network, a target, oracles and images: a run's summary, a point of a sweep."""

    @property
    def model(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def oracle(self) -> str | None: ...
    @property
    def memory_oracle(self) -> str | None: ...
    @property
    def data(self) -> str | None: ...


def doubts_of(summary: Names, repeated: Repeated) -> list[tuple[str, str, str]]:
    """The option, the value and what would be done with it, of every name that needs the user's own word."""
    doubts = []
    if repeated.model is None and (what := _of_model(summary.model)):
        doubts.append(("--model", summary.model, what))
    if repeated.target is None and names_file(summary.target):
        doubts.append(("--target", summary.target, "a file would be read as the target"))
    for option, said, own in (
        ("--oracle", repeated.oracle, summary.oracle),
        ("--memory-oracle", repeated.memory_oracle, summary.memory_oracle),
    ):
        if own is not None and said is None and not ships(own):
            doubts.append((option, own, "a program would be run, or a table read, to price layers"))
    if summary.data is not None and repeated.data is None and (how := _REACH.get(reach(summary.data))):
        doubts.append(("--data", summary.data, how))
    return doubts


_REACH = {"function": "a module would be imported and its function run", "hub": "it would be fetched from the network"}


def _of_model(name: str) -> str:
    """What building a model would do that only the user may ask for; empty where there is nothing."""
    if name.endswith(".onnx"):
        outside = keeps_weights_outside(Path(name))
        return "its weights would be read from other files beside it" if outside else ""
    if name in FACTORIES or ("/" in name and name.partition("/")[0] in FAMILIES):
        return ""
    return "a module would be imported and its function run"
