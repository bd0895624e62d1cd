"""Stored counts that the traced forward does not read, and another method would."""

import warnings
from collections import defaultdict
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from torch import nn

from padless.graph import Graph, Keep, places
from padless.graph.shadow import modules_of

BUILDING = ("__init__", "reset_parameters")


def warn_of_stale(model: nn.Module, graph: Graph, keep: Keep) -> None:
    """Warn of whole numbers that modules of one's own store, that equal a width which the cut changes in them, and that
    only a method reads which neither the forward nor the constructor calls (an exporter's forward, for one).

    They stay as they are, since nothing says which axis they count.
    """
    followed = {(size.module, size.name) for size in graph.stored}
    changed = _changed_widths(graph, keep)
    for path, module in modules_of(model):
        if path in changed and not type(module).__module__.startswith("torch."):
            for name, method in _unread(module):
                value = vars(module)[name]
                if value in changed[path] and (path, name) not in followed:
                    new = " or ".join(map(str, sorted(changed[path][value])))
                    where = f"{path}.{name}" if path else name
                    warnings.warn(
                        f"{where} stays {value}: the traced forward does not read it, so it does not follow the cut. But "
                        f"{type(module).__name__}.{method} does, and what is {value} wide there now has {new} channels. "
                        f"Set {where} before you call it.",
                        stacklevel=4,
                    )


def _changed_widths(graph: Graph, keep: Keep) -> dict[str, dict[int, set[int]]]:
    """For each module's path: the widths in it that change, and to what. Its layers' sides, and parts of its splits."""
    changed: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))

    def note(path: str, channels: Any) -> None:
        now = int(places(channels, keep).sum())
        if now != len(channels):
            changed[path][len(channels)].add(now)

    for layer in graph.layers:
        path = layer.weight.rpartition(".")[0].rpartition(".")[0]
        note(path, layer.inputs)
        note(path, layer.outputs)
    for op in graph.recording.ops:
        for value in op.outputs:
            if value in graph.values and len(op.outputs) > 1:
                note(op.module, graph.values[value].channels)
    return changed


def _unread(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Whole numbers of a module that neither its forward nor what builds it reads, each with a method that does."""
    numbers = {name for name, value in vars(module).items() if type(value) is int and value > 1}
    methods = {
        name: function
        for kind in reversed(type(module).__mro__) if not kind.__module__.startswith("torch.") and kind is not object
        for name, function in vars(kind).items() if isinstance(function, FunctionType)
    }  # fmt: skip
    reads = {name: _names(function.__code__) for name, function in methods.items()}
    building, running = _reached(BUILDING, reads), _reached(("forward",), reads)
    read = {name for method in running for name in reads[method]}
    for number in sorted(numbers - read):
        method = next((m for m in reads if m not in building | running and number in reads[m]), None)
        if method is not None:
            yield number, method


def _reached(start: tuple[str, ...], reads: dict[str, set[str]]) -> set[str]:
    """The methods that these call, directly or not."""
    reached: set[str] = set()
    waiting = [name for name in start if name in reads]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [other for other in reads[name] if other in reads]
    return reached


def _names(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names(constant)
    return names
