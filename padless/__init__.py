"""padless: prune convolutional networks so that their channels fill the NPU's compute units."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from padless.choose import Budget, Choices, Plan
    from padless.choose.match import match
    from padless.choose.planning import plan
    from padless.choose.replay import prune
    from padless.cost import NetworkCost
    from padless.cost.oracles import open_oracle
    from padless.cost.pricing import inspect
    from padless.deploy import export
    from padless.errors import InfeasibleError, PadlessError, UsageError
    from padless.graph import Graph, rule, trace
    from padless.hardware import Target, load_target, targets
    from padless.inputs import Images, Preprocess, as_images, load_images, load_model, load_weights
    from padless.onnx import load_onnx
    from padless.recover import Recovery, Treated, recover, treat
    from padless.report.summary import Summary
    from padless.runs.folder import load, save
    from padless.sweep import sweep
    from padless.train import Recipe, against, evaluate, finetune

__version__ = "0.1.0"

__all__ = [
    "Budget", "Choices", "Graph", "Images", "InfeasibleError", "NetworkCost", "PadlessError", "Plan", "Preprocess",
    "Recipe", "Recovery", "Summary", "Target", "Treated", "UsageError", "against", "as_images", "evaluate", "export",
    "finetune", "inspect", "load", "load_images", "load_model", "load_onnx", "load_target", "load_weights", "match",
    "open_oracle", "plan", "prune", "recover", "rule", "save", "sweep", "targets", "trace", "treat",
]  # fmt: skip

# The names of each module, imported when they are asked for: torch takes seconds, and targets need none of it.
_FROM = {
    "choose": ("Budget", "Choices", "Plan"),
    "choose.match": ("match",),
    "choose.planning": ("plan",),
    "choose.replay": ("prune",),
    "cost": ("NetworkCost",),
    "cost.oracles": ("open_oracle",),
    "cost.pricing": ("inspect",),
    "deploy": ("export",),
    "errors": ("InfeasibleError", "PadlessError", "UsageError"),
    "graph": ("Graph", "rule", "trace"),
    "hardware": ("Target", "load_target", "targets"),
    "inputs": ("Images", "Preprocess", "as_images", "load_images", "load_model", "load_weights"),
    "onnx": ("load_onnx",),
    "recover": ("Recovery", "Treated", "recover", "treat"),
    "report.summary": ("Summary",),
    "runs.folder": ("load", "save"),
    "sweep": ("sweep",),
    "train": ("Recipe", "against", "evaluate", "finetune"),
}
_HOMES = {name: f"{__name__}.{module}" for module, names in _FROM.items() for name in names}


def __getattr__(name: str) -> Any:
    """A public name, or a part of the package such as `padless.cost`, at its first use."""
    if name in _HOMES:
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value
    if not name.startswith("_"):
        try:
            return import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """`padless.recover` is the function. Python would put the package of that name in its place when it imports it."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in _HOMES):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
