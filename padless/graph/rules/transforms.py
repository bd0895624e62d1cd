"""Transforms along some axes: channels on these stay, on the others they pass."""

from padless.graph.channels import Channels
from padless.graph.recording import Op
from padless.graph.rules.registry import argument, rule


@rule("_fft_r2c", "_fft_c2r", "_fft_c2c")
def fourier(op: Op, channels: Channels) -> None:
    """Fourier transforms: channels beside the transformed axes pass."""
    rank = len(channels.shape(op.args[0]))
    _beside(op, channels, {d % rank for d in argument(op, "dim")}, "works along the channels")


@rule("view_as_complex", "view_as_real", "view_as_complex_copy", "view_as_real_copy")
def complex_view(op: Op, channels: Channels) -> None:
    """Pairs on the last axis are complex numbers; other axes pass."""
    last = len(channels.shape(op.args[0])) - 1
    _beside(op, channels, {last} if "as_complex" in op.name else set(), "makes pairs of the channels")


@rule("unfold")
def windows(op: Op, channels: Channels) -> None:
    """Windows along one axis, whose places are a new last axis; channels beside it pass."""
    dim = argument(op, "dimension") % len(channels.shape(op.args[0]))
    _beside(op, channels, {dim}, "works along the channels")


@rule("triu", "tril", "triu_", "tril_")
def triangle(op: Op, channels: Channels) -> None:
    """Keeps one side of the diagonal of the last two axes; channels on them stay, others pass."""
    last = len(channels.shape(op.args[0])) - 1
    _beside(op, channels, {last - 1, last}, "tells places along the channels apart")


@rule("diagonal", "diagonal_copy")
def diagonal(op: Op, channels: Channels) -> None:
    """The diagonal of two axes becomes the last one; channels beside them pass."""
    ndim, axes = len(channels.shape(op.args[0])), dict(channels.of(op.args[0]))
    gone = {argument(op, "dim1") % ndim, argument(op, "dim2") % ndim}
    for axis in gone & set(axes):
        channels.pin(axes.pop(axis), f"{op.name} works along the channels")
    channels.put(op, {a - sum(g < a for g in gone): ids for a, ids in axes.items()})


@rule("affine_grid_generator", reads_numbers=True)
def affine_grid(op: Op, channels: Channels) -> None:
    """Positions on a map of a size of which the number of channels does not matter."""
    channels.pin_value(op.args[0], f"{op.name} makes positions of them")
    for axis, root in enumerate(channels.origins(op, list(op.args[1]))):
        if axis != 1:
            channels.freeze(root, f"{op.name} is given their number")
    channels.put(op, {})


@rule("max_unpool2d", "max_unpool3d")
def unpool(op: Op, channels: Channels) -> None:
    """Puts each channel's elements back where a pool found them."""
    spatial = 3 if "3d" in op.name else 2
    axes, where = dict(channels.of(op.args[0])), channels.of(op.args[1])
    first = len(channels.shape(op.args[0])) - spatial
    for axis in set(axes) | set(where):
        channels.tie(
            axes.get(axis), where.get(axis) if axis < first else None, f"{op.name} meets positions of fixed number"
        )
    channels.put(op, {axis: ids for axis, ids in axes.items() if axis in where and axis < first})


def _beside(op: Op, channels: Channels, transformed: set[int], why: str) -> None:
    """Channels on the transformed axes stay; those on the others pass to the result."""
    axes = dict(channels.of(op.args[0]))
    for axis in transformed & set(axes):
        channels.pin(axes.pop(axis), f"{op.name} {why}")
    channels.put(op, axes)
