"""Pure data movement: the same movement of the ids."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from padless.graph.channels import Axes, ChannelIds, Channels
from padless.graph.recording import Op
from padless.graph.roots import Attribute, Root, Size
from padless.graph.rules.registry import argument, rule, unknown


@rule("view", "_unsafe_view", "reshape", "squeeze", "unsqueeze", "squeeze_", "unsqueeze_", reads_numbers=True)
def view(op: Op, channels: Channels) -> None:
    """The same view of the ids. Where it splits an axis of channels in two, what it makes must stay rectangular.

    One of the new axes, whose size follows from the tensor or is stored by a module, takes the cut; the channels along
    the other one are tied. With sizes from the source text alone the channels stay.
    """
    x, out = op.args[0], op.outputs[0]
    source, target = channels.shape(x), channels.shape(out)
    axes, result = channels.of(x), {}
    if 0 in source:  # nothing in it, nothing to follow
        unknown(op, channels)
        return
    roots: list[Root | int | None] = [None] * len(target)
    if op.name in ("aten.view", "aten.reshape", "aten._unsafe_view"):
        roots = channels.origins(op, list(target))
    cut: set[int] = set()
    for old, new in _runs(source, target) if axes else ():
        carriers = [a for a in axes if old.start <= a < old.stop]
        if len(carriers) > 1:
            for a in carriers:
                channels.pin(axes[a], f"{op.name} merges two channel axes")
        elif carriers:
            moved = _moved(
                channels, op, axes[carriers[0]], source[old], carriers[0] - old.start, target[new], roots[new]
            )
            if moved is not None:
                axis, ids = new.start + moved[0], moved[1]
                channels.follows(ids, roots[axis], f"the size given to {op.name}")
                result[axis] = ids
                cut.add(axis)
    for axis, root in enumerate(roots):
        if axis not in cut and not isinstance(root, int):
            channels.freeze(root, f"{op.name} is given their number")
    channels.put(op, result)


def _moved(
    channels: Channels, op: Op, ids: ChannelIds, source: Sequence[int], axis: int, target: Sequence[int],
    roots: Sequence[Root | int | None],
) -> tuple[int, ChannelIds] | None:  # fmt: skip
    """Where the ids along one axis of a run are behind the view: the axis that takes the cut, and its ids."""
    if len(source) == len(target) == 1:
        return 0, ids
    full = np.repeat(np.tile(ids, math.prod(source[:axis])), math.prod(source[axis + 1 :])).reshape(target)
    varying = [a for a in range(len(target)) if target[a] > 1 and (full != full.take([0], a)).any()]
    if len(varying) > 1:
        elastic = sorted((a for a in varying if not isinstance(roots[a], int)), key=lambda a: _readiness(roots[a]))
        if not elastic:
            channels.pin(ids, f"{op.name} splits the channel axis by sizes in the source text")
            return None
        for a in varying:
            if a != elastic[0]:
                first = full.take([0], a)
                channels.tie(np.broadcast_to(first, full.shape), full)
                full = first
        varying = [elastic[0]]
    if not varying:  # one channel, everywhere
        channels.pin(ids, f"{op.name} spreads a single channel")
        return None
    return varying[0], full[tuple(slice(None) if a in varying else slice(0, 1) for a in range(len(target)))].reshape(-1)


def _readiness(root: Root | int | None) -> int:
    """A size read from a tensor follows it; one that torch infers does so too; a stored one has to be changed."""
    return 0 if isinstance(root, Size) else 2 if isinstance(root, Attribute) else 1


def _runs(source: Sequence[int], target: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """The smallest runs of axes with equal products."""
    i = j = 0
    while i < len(source) and j < len(target):
        old, new, p, q = i, j, source[i], target[j]
        i, j = i + 1, j + 1
        while p != q:
            if p < q:
                p, i = p * source[i], i + 1
            else:
                q, j = q * target[j], j + 1
        yield slice(old, i), slice(new, j)
    yield slice(i, len(source)), slice(j, len(target))  # what is left are ones


@rule("t", "transpose", "permute", "movedim", "t_", "transpose_")
def permute(op: Op, channels: Channels) -> None:
    """Moves axes about; the ids move with them."""
    axes = channels.of(op.args[0])
    if axes:
        ndim = len(channels.shape(op.args[0]))
        order = list(range(ndim))
        if op.name == "aten.permute":
            order = [d % ndim for d in op.args[1]]
        elif op.name in ("aten.transpose", "aten.transpose_"):
            a, b = op.args[1] % ndim, op.args[2] % ndim
            order[a], order[b] = b, a
        else:
            order.reverse()
        axes = {order.index(axis): ids for axis, ids in axes.items()}
    channels.put(op, axes)


@rule("clone", "detach", "alias", "_to_copy", "native_dropout", "lift_fresh", "lift_fresh_copy", "contiguous",
      "zeros_like", "ones_like", "empty_like", "rand_like", "randn_like", "bernoulli",
      reads_numbers=True)  # fmt: skip
def same(op: Op, channels: Channels) -> None:
    """A copy, or a tensor of the same shape: channels pass unchanged.

    A size that is given here is that of the view behind it (`reshape` may copy first).
    """
    channels.put(op, channels.of(op.args[0]))
    contents = channels.recording.contents
    if op.inputs()[0] in contents and "like" not in op.name:
        contents[op.outputs[0]] = contents[op.inputs()[0]]


@rule("expand", "repeat", reads_numbers=True)
def expand(op: Op, channels: Channels) -> None:
    """New axes in front, and axes of size 1 spread. One spread to the size of a channel axis takes its channels."""
    source, target = channels.shape(op.args[0]), channels.shape(op.outputs[0])
    lead = len(target) - len(source)
    result: Axes = {}
    repeats = op.name == "aten.repeat"
    sizes = list(op.args[1])
    for axis, root in enumerate(channels.origins(op, sizes)):
        before = source[axis - lead] if axis >= lead else 1
        ids = channels.of(op.args[0]).get(axis - lead) if axis >= lead else None
        if ids is not None:
            if repeats:
                channels.freeze(root, f"{op.name} is given their number")
            elif sizes[axis] != -1:
                channels.follows(ids, root, f"the size given to {op.name}")
            result[axis] = np.tile(ids, target[axis] // before)
        elif before == 1 and isinstance(root, Size) and root.scale == 1 and root.axis in channels.of(root.value):
            result[axis] = channels.of(root.value)[root.axis]
        elif before == 1 and root is None and target[axis] > 1:  # to the size of a tensor that torch knows
            channels.spread.add((op.outputs[0], axis))
        else:
            channels.freeze(root, f"{op.name} is given their number")
    channels.put(op, result)


@rule("as_strided", "as_strided_")
def as_strided(op: Op, channels: Channels) -> None:
    """Channels pass where only one axis has a length and its elements stay next to each other, as behind a global pool."""
    x = op.args[0]
    shape = channels.shape(op.outputs[0])
    long = [axis for axis, n in enumerate(shape) if n > 1]
    plain = shape == channels.shape(x) and len(long) == 1 and op.args[2][long[0]] == 1
    if not plain:
        unknown(op, channels)
    channels.put(op, channels.of(x) if plain else {})


@rule("flip")
def flip(op: Op, channels: Channels) -> None:
    """Turns axes round; the ids turn with them."""
    ndim = len(channels.shape(op.args[0]))
    axes = dict(channels.of(op.args[0]))
    for axis in {d % ndim for d in op.args[1]} & set(axes):
        channels.turned.append(axes[axis])
        axes[axis] = axes[axis][::-1].copy()
    channels.put(op, axes)


@rule("roll")
def roll(op: Op, channels: Channels) -> None:
    """Turns an axis by so many places: as many channels at its end stay."""
    shape = channels.shape(op.args[0])
    axes = dict(channels.of(op.args[0]))
    shifts, dims = op.args[1], argument(op, "dims")
    if not dims:  # over the flattened tensor
        unknown(op, channels)
        return
    for shift, dim in zip(shifts, dims, strict=True):
        axis = dim % len(shape)
        if axis in axes:
            ids, n = axes[axis], shift % shape[axis]
            tail = ids[len(ids) - n :] if shift >= 0 else ids[: len(ids) - n]  # turned to the left: the first ones stay
            if n:
                channels.pin(tail, f"{op.name} moves a fixed number of channels")
            axes[axis] = np.roll(ids, shift)
    channels.put(op, axes)


@rule("pixel_shuffle")
def pixel_shuffle(op: Op, channels: Channels) -> None:
    """Each block of r * r channels becomes rows and columns of one: they are cut together."""
    axes, r = dict(channels.of(op.args[0])), op.args[1]
    axis = len(channels.shape(op.args[0])) - 3
    if axis in axes:
        axes[axis] = channels.whole_blocks(axes[axis], len(axes[axis]) // (r * r))
    channels.put(op, axes)


@rule("pixel_unshuffle")
def pixel_unshuffle(op: Op, channels: Channels) -> None:
    """Rows and columns become r * r channels of each."""
    axes, r = dict(channels.of(op.args[0])), op.args[1]
    axis = len(channels.shape(op.args[0])) - 3
    if axis in axes:
        axes[axis] = np.repeat(axes[axis], r * r)
    channels.put(op, axes)


@rule("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(op: Op, channels: Channels) -> None:
    """Deals the channels of each group in turn: the groups are cut alike."""
    axes, groups = dict(channels.of(op.args[0])), op.args[1]
    if 1 in axes:
        axes[1] = np.repeat(channels.keep_equal(axes[1], groups), groups)
    channels.put(op, axes)


@rule("im2col")
def unfold(op: Op, channels: Channels) -> None:
    """Windows become columns: each channel is repeated for every place in the window."""
    x = op.args[0]
    axes, axis = dict(channels.of(x)), len(channels.shape(x)) - 3
    taps = math.prod(op.args[1])
    channels.put(op, {a: np.repeat(ids, taps) for a, ids in axes.items() if a == axis})


@rule("col2im")
def fold(op: Op, channels: Channels) -> None:
    """The reverse of `im2col`: the places of a window are cut together."""
    x = op.args[0]
    axis = len(channels.shape(x)) - 2
    ids = channels.of(x).get(axis)
    taps = math.prod(op.args[2])
    result: Axes = {} if ids is None else {axis: channels.whole_blocks(ids, len(ids) // taps)}
    channels.put(op, result)
