"""Convolutions and matrix products: what reads channels and makes new ones."""

import numpy as np

from padless.graph.channels import MODEL, Call, ChannelIds, Channels
from padless.graph.recording import Op, Ref
from padless.graph.roots import Root
from padless.graph.rules.registry import rule

# Groups of filters this narrow cannot be narrowed without leaving units empty: where there are several, whole ones go.
NARROW, SEVERAL = 16, 4


@rule("convolution", reads_numbers=True)
def convolution(op: Op, channels: Channels) -> None:
    """Reads its input's channels, makes its filters the output's; transposed ones too.

    A depthwise convolution ties each output to its own input. Of a grouped one whole groups go where there are at least 4
    of at most 16 inputs, else every group is narrowed alike; so it is where whole ones cannot go.
    """
    x, weight, bias, *_, transposed, _, groups = op.args
    shape = channels.shape(op.outputs[0])
    inputs = channels.of(x).get(1)
    for axis, ids in channels.of(x).items():
        if axis != 1:
            channels.pin(ids, f"{op.name} runs along the channels, as ECA's does")
    own = weight.value in channels.weights or channels.recording.values[weight.value].origin in MODEL
    if own and groups == 1:
        channels.belong(
            weight, 0 if transposed else 1, inputs, f"the input of {_layer_name(weight, channels)} is fixed"
        )
    columns, rows = (channels.of(weight).get(axis) for axis in ((0, 1) if transposed else (1, 0)))
    c_in, c_out = channels.shape(x)[1], shape[1]
    drops = False
    if not own:
        for value in (x, weight):
            channels.pin_value(value, f"{op.name} has a weight that is no parameter")
        inputs = rows = None  # it costs what it costs
    elif groups > 1:
        root = channels.origins(op, [groups])[0]
        inner = c_in // groups
        several = inner <= NARROW and groups >= SEVERAL and channels.current not in channels.within
        drops = not isinstance(root, int) and (inner == 1 or several)
        cut = _by_groups if drops else _within_groups
        rows = cut(op, channels, inputs, columns, rows, root)
    if inputs is not None and not drops:
        channels.zero(0, 1, inputs, by_weight=own)
    if bias is not None:
        channels.belong(bias, 0, rows, f"{op.name} has a bias of fixed size")
    channels.put(op, {} if rows is None else {1: rows})
    source = channels.weights.get(weight.value, weight.value)
    channels.calls.append(
        Call(
            op=op, weight=source, inputs=inputs, outputs=rows, c_in=c_in, c_out=c_out, groups=groups, drops_groups=drops
        )
    )


def _by_groups(
    op: Op,
    channels: Channels,
    inputs: ChannelIds | None,
    columns: ChannelIds | None,
    rows: ChannelIds | None,
    root: Root | int | None,
) -> ChannelIds | None:
    """Whole groups go: all inputs and outputs of one are one channel. Returns the output's ids."""
    groups, fixed = op.args[-1], f"the input of {_layer_name(op.args[1], channels)} is fixed"
    outer, within = (columns, rows) if op.args[6] else (rows, columns)  # what the weight spells out a group, and once
    if within is not None:
        channels.pin(within, "what is within a group of filters stays")
    if outer is None:  # one input, one output
        channels.tie(inputs, None, fixed)
        return None
    leaders = channels.whole_blocks(outer, groups)
    channels.tie(None if inputs is None else channels.whole_blocks(inputs, groups), leaders, fixed)
    channels.follows(leaders, root, f"the number of groups of {op.name}")
    if channels.shape(op.args[0])[1] > groups:
        channels.leaders[channels.current] = leaders
    return np.repeat(leaders, channels.shape(op.outputs[0])[1] // groups) if op.args[6] else rows


def _within_groups(
    op: Op,
    channels: Channels,
    inputs: ChannelIds | None,
    columns: ChannelIds | None,
    rows: ChannelIds | None,
    root: Root | int | None,
) -> ChannelIds | None:
    """Every group keeps the same positions. Returns the output's ids."""
    groups, transposed = op.args[-1], op.args[6]
    fixed = f"the input of {_layer_name(op.args[1], channels)} is fixed"
    channels.freeze(root, f"{op.name} is given their number")
    if inputs is not None:
        inputs = channels.keep_equal(inputs, groups)
    outer = columns if transposed else rows
    if outer is not None:
        channels.keep_equal(outer, groups)
    if transposed and columns is not None:
        columns = columns[: len(columns) // groups]
    channels.tie(inputs, columns, fixed)
    if not transposed:
        return rows
    return np.tile(channels.fresh_pinned(1, "one filter a group") if rows is None else rows, groups)


@rule("mm", "bmm", "addmm", "baddbmm")
def product(op: Op, channels: Channels) -> None:
    """A product of matrices contracts an axis of each: linear layers, einsum, attention.

    The contracted channels are tied, the others are the output's. With a weight among the two it is a layer.
    """
    *addend, a, b = op.args
    shape = channels.shape(op.outputs[0])
    last = len(shape) - 1
    left, right = channels.of(a), channels.of(b)
    inner = left.get(last), right.get(last - 1)
    source = next((v for v in (b, a) if v.value in channels.weights), None)
    name = "" if source is None else _layer_name(source, channels)
    channels.tie(
        *inner, f"the input of {name} is fixed" if name else f"{op.name} contracts with a tensor of fixed size"
    )
    if inner[0] is not None:
        channels.zero(len(addend), last, inner[0], by_weight=source is not None)
    out = {last - 1: left.get(last - 1), last: right.get(last)}
    if last == 2 and (0 in left or 0 in right):
        channels.tie(left.get(0), right.get(0), f"{op.name} has a batch of fixed size")
        out[0] = left.get(0) if 0 in right else None
    for value in addend:
        size = channels.shape(value)
        for axis in range(len(size)):
            at = axis + len(shape) - len(size)
            ids = channels.of(value).get(axis)
            if size[axis] > 1 and (ids is not None or out.get(at) is not None):
                channels.tie(out.get(at), ids, f"{op.name} has an addend of fixed size")
    channels.put(op, {axis: ids for axis, ids in out.items() if ids is not None})
    if source is not None and not (a.value in channels.weights and b.value in channels.weights):
        columns, rows = (inner[0], out[last]) if source is b else (inner[1], out[last - 1])
        c_in, c_out = channels.shape(a)[-1], shape[last] if source is b else shape[last - 1]
        weight = channels.weights[source.value]
        channels.calls.append(Call(op=op, weight=weight, inputs=columns, outputs=rows, c_in=c_in, c_out=c_out))


@rule("mv", "dot", "vdot")
def vectors(op: Op, channels: Channels) -> None:
    """A sum of products with a vector, over the channels that are left; of a weight's rows it is a layer."""
    a, b = op.args[:2]
    last = len(channels.shape(a)) - 1
    left, right = channels.of(a), channels.of(b)
    channels.tie(left.get(last), right.get(0), f"{op.name} contracts with a tensor of fixed size")
    channels.put(op, {0: left[0]} if last and 0 in left else {})
    if last in left and 0 in right:
        channels.gather(op)
    if last and a.value in channels.weights and b.value not in channels.weights:
        c_out, c_in = channels.shape(a)
        channels.calls.append(
            Call(
                op=op,
                weight=channels.weights[a.value],
                inputs=right.get(0),
                outputs=left.get(0),
                c_in=c_in,
                c_out=c_out,
            )
        )


@rule("_euclidean_dist", "_cdist_forward")
def distances(op: Op, channels: Channels) -> None:
    """Distances between rows, over the channels that are left; other axes stay."""
    sides = []
    for value in op.args[:2]:
        axes, last = channels.of(value), len(channels.shape(value)) - 1
        for axis, ids in axes.items():
            if axis != last:
                channels.pin(ids, f"{op.name} compares them")
        sides.append(axes.get(last))
    channels.tie(sides[0], sides[1], f"{op.name} compares with a tensor of fixed size")
    channels.put(op, {})
    if all(side is not None for side in sides):
        channels.gather(op)


def _layer_name(weight: Ref, channels: Channels) -> str:
    value = channels.weights.get(weight.value, weight.value)
    return channels.recording.values[value].name.removesuffix(".weight")
