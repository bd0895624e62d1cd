"""Normalisations. Where the statistics are taken over channels, they are those of the channels that are left."""

from padless.graph.channels import Axes, Channels
from padless.graph.recording import Op, Ref
from padless.graph.rules.layers import SEVERAL
from padless.graph.rules.registry import argument, rule


@rule("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training")
def batch_norm(op: Op, channels: Channels) -> None:
    """Scales and shifts each channel by its own statistics: parameters and buffers are cut with it.

    With statistics of the input itself (weight standardisation, instance norm) it reduces over the other axes.
    """
    axes = channels.of(op.args[0])
    ids = axes.get(1)
    for value in op.args[1:5]:
        if isinstance(value, Ref):
            channels.belong(value, 0, ids, f"{op.name} has statistics of fixed size")
    channels.put(op, axes)
    if "no_training" not in op.name and argument(op, "training") and set(axes) - {1}:
        channels.gather(op)


@rule("native_layer_norm", reads_numbers=True)
def layer_norm(op: Op, channels: Channels) -> None:
    """Normalises over its last axes; channels among them are cut with the parameters."""
    x, sizes, *parameters = op.args[:4]
    axes, lead = channels.of(x), len(channels.shape(x)) - len(sizes)
    over: Axes = {axis: ids for axis, ids in axes.items() if axis >= lead}
    for axis, root in enumerate(channels.origins(op, list(sizes)), start=lead):
        if axis in over:
            channels.follows(over[axis], root, f"the size given to {op.name}")
        else:
            channels.freeze(root, f"{op.name} is given their number")
        for value in parameters:
            if isinstance(value, Ref):
                channels.belong(value, axis - lead, over.get(axis), f"{op.name} has parameters of fixed size")
    channels.put(op, axes)
    if over:
        channels.gather(op)


@rule("native_group_norm", reads_numbers=True)
def group_norm(op: Op, channels: Channels) -> None:
    """Normalises groups of channels. Of four and more whole groups go.

    Of fewer, and where they cannot, each is narrowed alike.
    """
    x, *parameters, _, _, _, groups, _ = op.args
    axes = dict(channels.of(x))
    ids = axes.get(1)
    for value in parameters:
        if isinstance(value, Ref):
            channels.belong(value, 0, ids, f"{op.name} has parameters of fixed size")
    root = channels.origins(op, [groups])[0]
    whole = groups >= SEVERAL and not isinstance(root, int) and channels.current not in channels.within
    if ids is not None and whole:
        leaders = channels.whole_blocks(ids, groups)
        channels.follows(leaders, root, f"the number of groups of {op.name}")
        if len(ids) > groups:
            channels.leaders[channels.current] = leaders
    else:
        channels.freeze(root, f"{op.name} is given their number")
        if ids is not None:
            channels.keep_equal(ids, groups)
    channels.put(op, axes)
    if set(axes) - {1} or (ids is not None and not whole):
        channels.gather(op)


@rule("_weight_norm_interface", "_weight_norm")
def weight_norm(op: Op, channels: Channels) -> None:
    """A direction times a length, `dim` apart: the direction's length is that of the columns that are left."""
    v, g = op.args[:2]
    dim = argument(op, "dim")
    axes = channels.of(v)
    channels.tie(axes.get(dim), channels.of(g).get(dim), f"{op.name} has lengths of fixed size")
    channels.place(op.outputs[0], dict(axes))
    for out in op.outputs[1:]:
        channels.place(out, {dim: axes[dim]} if dim in axes else {})
    if set(axes) - {dim}:
        channels.gather(op)
