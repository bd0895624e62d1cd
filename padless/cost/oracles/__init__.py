"""Who can be asked what a layer costs. An oracle is named by a word, and some take an argument behind it.

Packages add their own through the entry point group `padless.oracles`: a function
`(target, argument, *, system_config, memory_mode)` that returns an oracle, that is a function from layer shapes to
answers. If that has a `key`, a text that says all its settings, its answers are kept on disk; if it has `close`, it is
called at the end.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points

from padless.cost.cycles import Oracle
from padless.errors import UsageError, suggest
from padless.hardware import Target

GROUP = "padless.oracles"
Factory = Callable[..., Oracle]

# Name -> module and factory; the modules import what they need only when they are asked.
BUILT_IN = {
    "ceil": "padless.cost.cycles:Ceil",
    "vela": "padless.cost.oracles.vela:Vela",
    "scalesim": "padless.cost.oracles.simulators:ScaleSim",
    "zigzag": "padless.cost.oracles.simulators:ZigZag",
    "onnxruntime": "padless.cost.oracles.latency:OnnxRuntime",
    "csv": "padless.cost.oracles.table:Table",
    "command": "padless.cost.oracles.command:Command",
}


def default_oracle(target: Target) -> str | None:
    """The best oracle that a target has: Arm's compiler, the closed form, or none."""
    if target.vela and target.precision == "int8":
        return "vela"
    return "ceil" if target.active.macs_per_cycle else None


def open_oracle(
    spec: str, target: Target, *, system_config: str | None = None, memory_mode: str | None = None
) -> Oracle:
    """The oracle that `spec` names: a name and, behind a space, its argument, such as `csv costs.csv`.

    Raises UsageError where there is none of that name, where it is not installed, and where target and oracle do not go
    together.
    """
    name, _, argument = spec.strip().partition(" ")
    outside = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name in BUILT_IN:
        module, _, factory = BUILT_IN[name].partition(":")
        make: Factory = getattr(import_module(module), factory)
    elif name in outside:
        make = outside[name].load()
    elif "{" in spec:
        return open_oracle(f"command {spec}", target, system_config=system_config, memory_mode=memory_mode)
    else:
        known = [*BUILT_IN, *outside]
        raise UsageError(f"No oracle is called {name!r}. {suggest(name, known) or 'Known: ' + ', '.join(known) + '.'}")
    return make(target, argument.strip(), system_config=system_config, memory_mode=memory_mode)
