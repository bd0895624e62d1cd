"""What each ATen operation does to channels: a plain dictionary from its name to a rule.

A rule reads the fields of the operation's inputs, ties what must be cut together, and sets the fields of its outputs.
Pointwise operations are found by torch's own tag. An operation with no rule pins every channel it reads and says why.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from padless.graph.channels import Call, Channels, Field, Ids, along, reshape_field, varying
from padless.graph.record import Op, Ref

Rule = Callable[[Op, Channels], None]
RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        RULES.update({f"aten.{name}": function for name in names})
        return function

    return register


# Elementwise, though torch does not tag them so.
UNTAGGED = {"aten." + n for n in ("hardswish", "hardswish_", "gelu_", "mish_", "_prelu_kernel", "threshold_", "copy_")}


def apply_rule(op: Op, channels: Channels) -> None:
    """Run the rule of one operation."""
    found = RULES.get(op.name)
    if found is None and (op.name in UNTAGGED or torch.Tag.pointwise in op.function.tags):
        found = pointwise
    (found or unknown)(op, channels)


def unknown(op: Op, channels: Channels) -> None:
    """An operation without a rule: everything it reads stays."""
    for value in op.inputs():
        channels.pin_value(value, f"{op.name} has no rule{_at(op)}")


def _at(op: Op) -> str:
    return f" (module {op.module})" if op.module else ""


def pointwise(op: Op, channels: Channels) -> None:
    """Elementwise, with broadcasting: channels that meet are the same channel.

    A channel axis that meets a tensor of the same size which carries no channels must stay: there is nothing to cut there.
    """
    shape = channels.recording.shape(op.outputs[0])
    operands: list[tuple[tuple[int, ...], list[Field]]] = []
    for value in op.inputs():
        size = channels.recording.shape(value)
        lead = len(shape) - len(size)
        operands.append(
            ((1,) * lead + size, [f.reshape((1,) * lead + f.shape) for f in channels.of(value) if varying(f)])
        )
    result: dict[tuple[int, ...], Field] = {}
    for _, fields in operands:
        for f in fields:
            axes = varying(f)
            if axes in result:
                channels.tie(result[axes], f, "")
            result.setdefault(axes, f)
    for axes, f in list(result.items()):
        if any(any(size[a] > 1 for a in axes) and axes not in map(varying, fields) for size, fields in operands):
            channels.pin(f, f"{op.name} meets a tensor of fixed size{_at(op)}")
            del result[axes]
    channels.fields[op.outputs[0]] = tuple(result.values())


@rule("convolution")
def convolution(op: Op, channels: Channels) -> None:
    """Reads its input's channels, makes its filters the output's.

    A grouped convolution is cut by whole groups of filters: a group's inputs and outputs are one channel each way. Of a
    depthwise convolution that leaves the usual tie of each output to its own input. Transposed and three-dimensional
    ones are pinned.
    """
    x, weight, bias, *_, transposed, _, groups = op.args
    ndim = len(channels.recording.shape(op.outputs[0]))
    channels.pin_value(x, f"{op.name} mixes an axis that is not its input channels{_at(op)}", except_axis=1)
    if transposed or ndim > 4:  # costs are for maps of rows and columns
        unknown(op, channels)
        return
    if channels.recording.values[weight.value].origin not in ("parameter", "buffer"):
        for value in (x, weight):
            channels.pin_value(value, f"{op.name} has a weight that is computed in the forward{_at(op)}")
        channels.calls.append(Call(op, weight.value, groups, None, None))  # it costs what it costs
        return
    inputs, rows, columns = channels.axis(x, 1), channels.axis(weight, 0), channels.axis(weight, 1)
    fixed = f"the input of {_layer_name(weight, channels)} is fixed"
    if rows is not None:
        if bias is not None:
            channels.tie(rows, channels.axis(bias, 0), f"{op.name} has a bias of fixed size{_at(op)}")
        channels.fields[op.outputs[0]] = (along(rows, 1, ndim),)
    if groups == 1:
        channels.tie(inputs, columns, fixed)
    else:
        if columns is not None:
            channels.pin(columns, "the inputs within a group of filters stay")
        channels.tie(_leaders(inputs, groups, channels), _leaders(rows, groups, channels), fixed)
    channels.calls.append(Call(op, weight.value, groups, inputs, rows))


def _leaders(ids: Ids | None, groups: int, channels: Channels) -> Ids | None:
    """One id for each block of `groups` equal blocks, after tying each block together."""
    if ids is None:
        return None
    blocks = ids.reshape(groups, -1)
    channels.tie(blocks[:, 1:], np.repeat(blocks[:, 0], blocks.shape[1] - 1), "")
    return blocks[:, 0]


@rule("addmm", "mm")
def linear(op: Op, channels: Channels) -> None:
    """A matrix product with a weight: contracts the columns, makes the rows the output's channels.

    A product of two computed tensors (attention) is pinned.
    """
    *bias, x, weight = op.args
    if weight.value not in channels.weights:
        unknown(op, channels)
        return
    inputs, columns, rows = channels.axis(x, 1), channels.axis(weight, 0), channels.axis(weight, 1)
    channels.tie(inputs, columns, f"the input of {_layer_name(weight, channels)} is fixed")
    fields = [f for f in channels.of(x) if varying(f) == (0,)]
    if rows is not None:
        for b in bias:
            last = len(channels.recording.shape(b.value)) - 1
            channels.pin_value(b, f"{op.name} adds a tensor that varies over its rows{_at(op)}", except_axis=last)
            channels.tie(rows, channels.axis(b, last), f"{op.name} has a bias of fixed size{_at(op)}")
        fields.append(along(rows, 1, 2))
    channels.fields[op.outputs[0]] = tuple(fields)
    channels.calls.append(Call(op, channels.weights[weight.value], 1, inputs, rows))


def _layer_name(weight: Ref, channels: Channels) -> str:
    value = channels.weights.get(weight.value, weight.value)
    return channels.recording.values[value].name.removesuffix(".weight")


@rule("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training")
def batch_norm(op: Op, channels: Channels) -> None:
    """Scales and shifts each channel by its own statistics: parameters and buffers are cut with it."""
    x, *stats = op.args[:5]
    ids = channels.axis(x, 1)
    for value in stats:
        if isinstance(value, Ref) and ids is not None:
            channels.tie(ids, channels.axis(value, 0), f"{op.name} has statistics of fixed size{_at(op)}")
    channels.pin_value(x, f"{op.name} over an axis that is not its channels{_at(op)}", except_axis=1)
    channels.fields[op.outputs[0]] = channels.of(x)


@rule(
    "max_pool2d_with_indices", "avg_pool2d", "_adaptive_avg_pool2d", "adaptive_max_pool2d",
    "max_pool1d", "avg_pool1d", "upsample_nearest2d", "upsample_bilinear2d",
)  # fmt: skip
def pool(op: Op, channels: Channels) -> None:
    """Works on rows and columns of each channel apart; channels pass through."""
    x = op.args[0]
    ndim = len(channels.recording.shape(x.value))
    spatial = range(ndim - (1 if "1d" in op.name else 2), ndim)
    for f in channels.of(x):
        if set(varying(f)) & set(spatial):
            channels.pin(f, f"{op.name} works along a channel axis{_at(op)}")
    for out in op.outputs:
        channels.fields[out] = tuple(f for f in channels.of(x) if not set(varying(f)) & set(spatial))


@rule("mean", "sum", "amax")
def reduce(op: Op, channels: Channels) -> None:
    """Channels pass a reduction over rows and columns; an axis that is reduced must keep its channels."""
    x = op.args[0]
    ndim = len(channels.recording.shape(x.value))
    dims = op.args[1] if len(op.args) > 1 and op.args[1] else range(ndim)
    axes = sorted(d % ndim for d in ([dims] if isinstance(dims, int) else dims))
    keep = (op.args[2] if len(op.args) > 2 else op.kwargs.get("keepdim", False)) is True
    fields = []
    for f in channels.of(x):
        if set(varying(f)) & set(axes):
            channels.pin(f, f"{op.name} reduces over the channels{_at(op)}")
        else:
            fields.append(f if keep else f.squeeze(tuple(axes)))
    channels.fields[op.outputs[0]] = tuple(fields)


@rule("cat")
def concatenate(op: Op, channels: Channels) -> None:
    """Joins the channels of its parts, in order; along another axis the parts' channels meet."""
    parts: list[Ref] = [
        p for p in op.args[0] if channels.recording.shape(p.value) != (0,)
    ]  # an old way to start a list
    ndim = len(channels.recording.shape(op.outputs[0]))
    axis = (op.args[1] if len(op.args) > 1 else op.kwargs.get("dim", 0)) % ndim
    result: dict[tuple[int, ...], Field] = {}
    joined = []
    for part in parts:
        ids = channels.axis(part, axis)
        if ids is None:
            ids = channels.fresh(channels.recording.shape(part.value)[axis])
            channels.pin(ids, f"{op.name} joins a part of fixed size{_at(op)}")
        joined.append(ids)
    if any(channels.axis(part, axis) is not None for part in parts):
        result[(axis,)] = along(np.concatenate(joined), axis, ndim)
    for axes in {varying(f) for part in parts for f in channels.of(part)} - {(axis,)}:
        same = [[f for f in channels.of(part) if varying(f) == axes] for part in parts]
        first = next(fields[0] for fields in same if fields)
        for fields in same:
            channels.tie(first, fields[0] if fields else None, f"{op.name} joins a part of fixed size{_at(op)}")
        result[axes] = first
    channels.fields[op.outputs[0]] = tuple(result.values())


@rule("view", "_unsafe_view", "reshape")
def view(op: Op, channels: Channels) -> None:
    """The same view of the ids. One that splits a channel axis in two is pinned, since its sizes are fixed."""
    x, out = op.args[0], op.outputs[0]
    source, target = channels.recording.shape(x.value), channels.recording.shape(out)
    if 0 in source:  # nothing in it, nothing to follow
        unknown(op, channels)
        return
    moved = [(f, reshape_field(f, source, target)) for f in channels.of(x)]
    axes = [varying(m) for _, m in moved]
    for f, m in moved:
        if len(varying(m)) > 1:
            channels.pin(f, f"{op.name} splits the channel axis{_at(op)}")
        elif axes.count(varying(m)) > 1:
            channels.pin(f, f"{op.name} merges two channel axes{_at(op)}")
    channels.fields[out] = tuple(m for _, m in moved if len(varying(m)) <= 1 and axes.count(varying(m)) == 1)


def _moves(move: Callable[[Field, Op], Field]) -> Rule:
    def apply(op: Op, channels: Channels) -> None:
        channels.fields[op.outputs[0]] = tuple(move(f, op) for f in channels.of(op.args[0]))
        if op.name in ("aten.t", "aten.transpose", "aten.permute"):
            x = op.args[0].value
            if channels.recording.values[x].origin == "parameter":
                channels.weights[op.outputs[0]] = x

    apply.__doc__ = "Moves axes about; the ids move with them."
    return apply


RULES["aten.t"] = _moves(lambda f, op: f.T)
RULES["aten.transpose"] = _moves(lambda f, op: f.swapaxes(op.args[1], op.args[2]))
RULES["aten.permute"] = _moves(lambda f, op: f.transpose(op.args[1]))
RULES["aten.unsqueeze"] = _moves(lambda f, op: np.expand_dims(f, op.args[1]))


@rule("squeeze")
def squeeze(op: Op, channels: Channels) -> None:
    """Drops axes of size 1, which carry no channels."""
    x, out = op.args[0], op.outputs[0]
    source, target = channels.recording.shape(x.value), channels.recording.shape(out)
    channels.fields[out] = tuple(reshape_field(f, source, target) for f in channels.of(x))


@rule("clone", "detach", "alias", "_to_copy", "native_dropout", "constant_pad_nd", "expand")
def same(op: Op, channels: Channels) -> None:
    """Channels pass unchanged. Padding may reach rows and columns, not channels; expanding may add axes in front."""
    x: Any = op.args[0]
    after = channels.recording.shape(op.outputs[0])
    lead = len(after) - len(channels.recording.shape(x.value))
    pads = op.args[1] if op.name == "aten.constant_pad_nd" else []  # two an axis, the last axis first
    moved = {len(after) - 1 - i // 2 for i, n in enumerate(pads) if n}
    fields = []
    for f in channels.of(x):
        placed = f.reshape((1,) * lead + f.shape)
        if any(placed.shape[a] != after[a] or a in moved for a in varying(placed)):
            channels.pin(f, f"{op.name} pads the channel axis{_at(op)}")
        else:
            fields.append(placed)
    channels.fields[op.outputs[0]] = tuple(fields)
