"""Who can be asked what a layer costs. An oracle is named by a word, and some take an argument behind it.

Packages add their own through the entry point group `padless.oracles`: a function `(target, argument)` that returns an
oracle, or what stands for one (`padless.cost.Oracle`).
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import entry_points

from padless.cost.oracle import Oracle, OracleLike, as_oracle
from padless.errors import UsageError, suggest
from padless.hardware import Target

GROUP = "padless.oracles"
Factory = Callable[[Target, str], OracleLike]

# Name -> module and factory; the modules import what they need only when they are asked.
BUILT_IN = {
    "ceil": "padless.cost.oracles.ceil:Ceil",
    "vela": "padless.cost.oracles.vela:Vela",
    "scalesim": "padless.cost.oracles.simulators:ScaleSim",
    "zigzag": "padless.cost.oracles.simulators:ZigZag",
    "onnxruntime": "padless.cost.oracles.latency:OnnxRuntime",
    "csv": "padless.cost.oracles.table:Table",
    "command": "padless.cost.oracles.command:Command",
}

OF_THE_USER = ("csv", "command")  # which read a file or run a program of the user's


def ships(spec: str) -> bool:
    """Whether an oracle that is named so is padless's own, and asks nothing of the user's."""
    name = spec.strip().partition(" ")[0]
    return name in BUILT_IN and name not in OF_THE_USER


def default_oracle(target: Target) -> str | None:
    """The best oracle that a target has: Arm's compiler, the closed form, or none."""
    if target.vela and target.precision == "int8":
        return "vela"
    return "ceil" if target.active.macs_per_cycle else None


def open_oracle(oracle: str | OracleLike, target: Target) -> Oracle:
    """The oracle that is named: a word and, behind a space, its argument, such as `csv costs.csv`.

    A function from layer shapes to answers, or an object that stands for an oracle, is taken as it is. Raises UsageError
    where there is none of that name, where it is not installed, and where target and oracle do not go together.
    """
    return open_oracles([oracle], target)[0]


def open_oracles(oracles: Sequence[str | OracleLike], target: Target) -> list[Oracle]:
    """Several oracles that share the questions about one target: one of them is to heed its system and memory mode.

    Raises what `open_oracle` raises; then none is left open.
    """
    opened: list[Oracle] = []
    try:
        for oracle in oracles:
            opened.append(_named(oracle, target) if isinstance(oracle, str) else as_oracle(oracle))
        if target.variant and not any(oracle.systems for oracle in opened):
            names = " and ".join(o if isinstance(o, str) else type(o).__name__ for o in oracles)
            raise UsageError(
                f"The oracle {names} knows no systems and memory modes; {', '.join(_asked(target.variant))} was asked for. "
                "Leave it out."
            )
    except BaseException:
        for oracle in opened:
            oracle.close()
        raise
    return opened


def _asked(variant: dict[str, str]) -> list[str]:
    return ["a Vela configuration" if name == "vela_config" else value for name, value in variant.items()]


def _named(spec: str, target: Target) -> Oracle:
    name, _, argument = spec.strip().partition(" ")
    outside = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name in BUILT_IN:
        module, _, factory = BUILT_IN[name].partition(":")
        make: Factory = getattr(import_module(module), factory)
    elif name in outside:
        make = outside[name].load()
    elif "{" in spec:
        return _named(f"command {spec}", target)
    else:
        known = [*BUILT_IN, *outside]
        word, _, rest = spec.strip().partition(":")
        hint = f"Write {f'{word} {rest}'!r}, with a space." if word in known else suggest(name, known)
        raise UsageError(f"No oracle is called {name!r}. {hint or 'Known: ' + ', '.join(known) + '.'}")
    return as_oracle(make(target, argument.strip()))
