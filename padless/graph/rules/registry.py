"""What each operation does to channels: a dictionary from its name to a rule.

A rule reads the axes of the operation's inputs, ties what must be cut together, and puts the axes of its outputs.
Pointwise operations are found by torch's own tag. An operation without a rule pins every channel it reads and says why.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from padless.graph.channels import Axes, Channels
from padless.graph.numbers import Number, Real
from padless.graph.recording import Op
from padless.graph.roots import Mixed

Function = Callable[[Op, Channels], None]


@dataclass(frozen=True, slots=True)
class RegisteredRule:
    """What an operation does to channels, and whether it sees to the sizes that it is given."""

    function: Function
    reads_numbers: bool  # it says itself what the sizes that the operation is given mean


RULES: dict[str, RegisteredRule] = {}


def rule(*names: str, reads_numbers: bool = False) -> Callable[[Function], Function]:
    """Register a rule for operations, as `"aten.relu"` or `"mylib.my_op"` (`"relu"` means aten's); the last one counts.

    The function is given the operation (`op.args` with `Ref`s for tensors) and the `Channels`. Sizes that the operation
    was given must stay as they are, unless `reads_numbers` says that the rule sees to them with `Channels.follows`.
    """

    def register(function: Function) -> Function:
        RULES.update({n if "." in n else f"aten.{n}": RegisteredRule(function, reads_numbers) for n in names})
        return function

    return register


# Elementwise, though torch does not tag them so.
UNTAGGED = frozenset(
    "aten." + n
    for n in (
        "hardswish",
        "hardswish_",
        "gelu_",
        "mish_",
        "_prelu_kernel",
        "threshold_",
        "copy_",
        "rrelu",
        "rrelu_with_noise",
        "log_sigmoid_forward",
        "complex",
        "polar",
    )
)


def apply_rule(op: Op, channels: Channels) -> None:
    """Run the rule of one operation."""
    registered = _rule_of(op.name, op.function)
    for number in op.given:
        if isinstance(number, Number | Real):
            if isinstance(number.root, Mixed):
                for root in number.root.roots:
                    channels.freeze(root, f"{op.name} is given a number worked out from theirs")
            elif not registered.reads_numbers:
                channels.freeze(number.root, f"{op.name} is given their number")
    registered.function(op, channels)
    _follow_weights(op, channels)


@cache
def _tagged(function: Any) -> bool:
    return torch.Tag.pointwise in function.tags


def _rule_of(name: str, function: Any) -> RegisteredRule:
    registered = RULES.get(name)
    if registered is None:
        registered = RULES["pointwise"] if name in UNTAGGED or _tagged(function) else RULES["unknown"]
    return registered


def _follow_weights(op: Op, channels: Channels) -> None:
    """What is computed from parameters alone is a weight (a transposed, a standardised one): that of the same size."""
    if op.name.startswith("aten.new_"):  # it takes a weight's type, not its values
        return
    sources: list[int] = []
    for value in op.reads:
        known = channels.weights.get(value)
        if known is not None:
            sources.append(known)
        elif channels.recording.values[value].origin != "constant":
            return
    if sources:
        for out in op.outputs:
            size = math.prod(channels.shape(out))
            alike = [s for s in sources if math.prod(channels.shape(s)) == size]
            channels.weights[out] = [*alike, *sources][0]


def unknown(op: Op, channels: Channels) -> None:
    """An operation without a rule: everything it reads stays."""
    for value in op.inputs():
        channels.pin_value(value, f"{op.name} has no rule")


def pointwise(op: Op, channels: Channels) -> None:
    """Elementwise, with broadcasting: channels that meet are the same channel.

    A channel axis that meets a tensor of the same size without channels must stay: there is nothing to cut there.
    """
    inputs = op.inputs()
    if len(inputs) == 1:
        channels.put(op, channels.of(inputs[0]))
        return
    ndim = len(channels.shape(op.outputs[0]))
    result: Axes = {}
    operands = [(ndim - len(channels.shape(v)), v, channels.of(v)) for v in inputs]
    for lead, _, axes in operands:
        for axis, ids in axes.items():
            met = result.setdefault(axis + lead, ids)
            if met is not ids:
                channels.tie(met, ids)
    for axis, ids in list(result.items()):
        if any(
            axis >= lead and channels.shape(v)[axis - lead] > 1 and axis - lead not in axes
            and (v, axis - lead) not in channels.spread
            for lead, v, axes in operands
        ):  # fmt: skip
            channels.pin(ids, f"{op.name} meets a tensor of fixed size")
            del result[axis]
    channels.put(op, result)


RULES["unknown"] = RegisteredRule(unknown, False)
RULES["pointwise"] = RegisteredRule(pointwise, False)


@cache
def _names(function: Any) -> tuple[dict[str, int], dict[str, object]]:
    arguments = function._schema.arguments
    return {a.name: i for i, a in enumerate(arguments)}, {a.name: a.default_value for a in arguments}


def argument(op: Op, name: str) -> Any:
    """An argument of the operation by its schema's name, its default where it was left out."""
    positions, defaults = _names(op.function)
    position = positions[name]
    if position < len(op.args):
        return op.args[position]
    return op.kwargs.get(name, defaults[name])
