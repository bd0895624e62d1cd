"""Tensors made from nothing: an axis whose size is that of a channel axis has its channels."""

from padless.graph.channels import Axes, Channels
from padless.graph.numbers import Number
from padless.graph.recording import Op
from padless.graph.roots import Attribute, Mixed, Size
from padless.graph.rules.registry import argument, rule


@rule("zeros", "ones", "empty", "full", "new_zeros", "new_ones", "new_empty", "new_full", "new_empty_strided",
      reads_numbers=True)  # fmt: skip
def factory(op: Op, channels: Channels) -> None:
    """The same value everywhere, of which it does not matter how many there are. `new_…` takes a tensor's type, no more.

    A size that is read from a channel axis, or stored by a module, follows the cut; one from the source text is fixed.
    """
    sizes = list(argument(op, "size"))
    shape = channels.shape(op.outputs[0])
    like = channels.of(op.args[0]) if op.inputs() and len(channels.shape(op.args[0])) == len(shape) else {}
    axes: Axes = {}
    for axis, root in enumerate(channels.origins(op, sizes)):
        if isinstance(root, Size) and root.scale == 1:
            ids = channels.of(root.value).get(root.axis)
            if ids is not None:
                axes[axis] = ids
        elif isinstance(root, Attribute) or (isinstance(root, Size) and root.axis in channels.of(root.value)):
            axes[axis] = channels.fresh(shape[axis])
            channels.follows(axes[axis], root, f"the size given to {op.name}")
        elif root is None and axis in like and channels.shape(op.args[0])[axis] == shape[axis]:
            axes[axis] = like[axis]  # torch made it for a tensor of this shape, as circular padding does
    for number in op.given[len(sizes) :]:  # the value
        freeze_value(op, channels, number)
    channels.put(op, axes)


@rule("full_like", reads_numbers=True)
def full_like(op: Op, channels: Channels) -> None:
    """The same value everywhere, in the shape of a tensor: channels pass."""
    for number in op.given:
        freeze_value(op, channels, number)
    channels.put(op, channels.of(op.args[0]))


def freeze_value(op: Op, channels: Channels, number: float) -> None:
    """A count that becomes a value must not change."""
    if isinstance(number, Number) and not isinstance(number.root, Mixed):
        channels.freeze(number.root, f"{op.name} is given their number")
