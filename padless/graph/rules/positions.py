"""Positions and masks: what reads and writes elements by a tensor that says which."""

from padless.graph.channels import Axes, Channels
from padless.graph.recording import Op, Ref
from padless.graph.rules.registry import argument, rule

# What makes masks.
COMPARISONS = frozenset(
    "aten." + n + suffix
    for n in ("gt", "lt", "ge", "le", "eq", "ne", "isnan", "isinf", "logical_not", "logical_and", "logical_or",
              "bitwise_not", "bitwise_and", "bitwise_or")
    for suffix in ("", "_")
)  # fmt: skip


@rule("gather", "scatter", "scatter_", "scatter_add", "scatter_add_", "scatter_reduce", "scatter_reduce_")
def beside(op: Op, channels: Channels) -> None:
    """Elements by their positions along one axis: channels on it stay, on the others they meet those of the positions."""
    x, where, ndim = op.args[0], argument(op, "index"), len(channels.shape(op.args[0]))
    parts = [x, where]
    if "scatter" in op.name and isinstance(op.args[3], Ref):
        parts.append(op.args[3])
    dim = argument(op, "dim") % ndim if ndim else 0
    axes: Axes = {}
    for axis in sorted({axis for part in parts for axis in channels.of(part)}):
        ids = [channels.of(part).get(axis) for part in parts]
        first = next(i for i in ids if i is not None)
        if axis == dim:
            for i in ids:
                channels.tie(i, None, f"{op.name} reads elements by their positions")
        else:
            fits = all(i is not None and len(i) == len(first) for i in ids)
            for i in ids:
                channels.tie(i, first if fits else None, f"{op.name} meets positions of another number")
            axes |= {axis: first} if fits else {}
    channels.put(op, axes)


@rule("index_put", "index_put_")
def write(op: Op, channels: Channels) -> None:
    """One value wherever a mask says so: the mask's channels are the tensor's. Other positions pin what they meet."""
    x, (where, *more), value = op.args[0], op.args[1], op.args[2]
    made_by = {out: o.name for o in channels.recording.ops for out in o.outputs}
    axes = channels.of(x)
    if (
        more
        or where is None
        or made_by.get(where.value) not in COMPARISONS
        or max(channels.shape(value), default=1) > 1
    ):
        for v in op.inputs():
            channels.pin_value(v, f"{op.name} writes elements by their positions")
        channels.put(op, {})
        return
    for axis in range(len(channels.shape(where))):
        channels.tie(axes.get(axis), channels.of(where).get(axis), f"{op.name} has a mask of fixed size")
    channels.put(op, dict(axes))


@rule("bucketize", "searchsorted")
def bucketize(op: Op, channels: Channels) -> None:
    """The place of each element among sorted bounds, which stay; channels of the elements pass."""
    bounds, x = (op.args[1], op.args[0]) if op.name == "aten.bucketize" else op.args[:2]
    if isinstance(bounds, Ref):
        channels.pin_value(bounds, f"{op.name} counts them")
    channels.put(op, dict(channels.of(x)) if isinstance(x, Ref) else {})
