"""Joining and taking apart: concatenations, stacks, splits, slices, and positions."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from padless.graph.channels import Axes, ChannelIds, Channels
from padless.graph.recording import Op, Ref
from padless.graph.roots import Attribute, Root, Size
from padless.graph.rules.registry import argument, rule


@rule("cat")
def concatenate(op: Op, channels: Channels) -> None:
    """Joins the channels of its parts, in order; along another axis the parts' channels meet."""
    parts: list[Ref] = [p for p in op.args[0] if channels.shape(p) != (0,)]  # an old way to start a list
    ndim = len(channels.shape(op.outputs[0]))
    joined = (argument(op, "dim") or 0) % ndim
    result = _meeting(op, channels, parts, joined)
    if any(joined in channels.of(p) for p in parts):
        reason = f"{op.name} joins a part of fixed size"
        ids = [channels.of(p).get(joined) for p in parts]
        result[joined] = np.concatenate(
            [
                channels.fresh_pinned(channels.shape(p)[joined], reason) if i is None else i
                for p, i in zip(parts, ids, strict=True)
            ]
        )
    channels.put(op, result)


def _meeting(op: Op, channels: Channels, parts: Sequence[Ref], apart: int | None) -> Axes:
    """The axes of equally shaped parts that are laid side by side: on all axes but one their channels are the same."""
    result: Axes = {}
    for axis in {a for p in parts for a in channels.of(p)} - {apart}:
        ids = [channels.of(p).get(axis) for p in parts]
        known = next(i for i in ids if i is not None)
        for part_ids in ids:
            channels.tie(known, part_ids, f"{op.name} joins a part of fixed size")
        if all(i is not None for i in ids):
            result[axis] = known
    return result


@rule("stack")
def stack(op: Op, channels: Channels) -> None:
    """Lays its parts along a new axis; their channels meet."""
    ndim = len(channels.shape(op.outputs[0]))
    new = (argument(op, "dim") or 0) % ndim
    met = _meeting(op, channels, op.args[0], None)
    channels.put(op, {a + (a >= new): ids for a, ids in met.items()})


@rule("split", "split_with_sizes", "split_copy", "split_with_sizes_copy", "unsafe_split", "unsafe_split_with_sizes",
      reads_numbers=True)  # fmt: skip
def split(op: Op, channels: Channels) -> None:
    """Parts of an axis. Equal parts are cut alike; sizes that a module stores are cut, each with its part."""
    x, size = op.args[:2]
    dim = argument(op, "dim") % len(channels.shape(x))
    axes = dict(channels.of(x))
    ids = axes.pop(dim, None)
    sizes = [channels.shape(out)[dim] for out in op.outputs]
    parts = [] if ids is None else np.split(ids, np.cumsum(sizes)[:-1])
    roots = channels.origins(op, [size] if isinstance(size, int) else list(size))
    if parts and not isinstance(size, list | tuple):
        if len(set(sizes)) > 1:
            for part in parts:
                channels.pin(part, f"{op.name} makes unequal parts")
        elif ids is not None:
            channels.follows(channels.keep_equal(ids, len(parts)), roots[0], f"the size given to {op.name}")
    elif parts:
        channels.split_by(parts, roots, f"the size given to {op.name}")
    for i, out in enumerate(op.outputs):
        channels.place(out, dict(axes) if ids is None else {**axes, dim: parts[i]})


@rule("slice", reads_numbers=True)
def slice_(op: Op, channels: Channels) -> None:
    """A part of an axis. What lies before a bound from the source text stays; a stored bound is cut with its part.

    A bound that is a share of the axis' own size, and a step, tie the parts they make.
    """
    x = op.args[0]
    dim = (argument(op, "dim") or 0) % len(channels.shape(x))
    axes = dict(channels.of(x))
    roots = channels.origins(op, [n for n in (argument(op, "start"), argument(op, "end")) if n is not None])
    if dim not in axes:
        for root in roots:
            channels.freeze(root, f"{op.name} is given their number")
        channels.put(op, axes)
        return
    ids, n, step = axes[dim], channels.shape(x)[dim], argument(op, "step")
    start, stop, _ = slice(argument(op, "start"), argument(op, "end"), None).indices(n)
    bounds = [b for b in (argument(op, "start"), argument(op, "end")) if b is not None]
    for bound, root in zip(bounds, roots, strict=True):
        place = min(max(bound + n if bound < 0 else bound, 0), n)
        if 0 < place < n and not (place == start and step > 1 and start < step):
            _bound(op, channels, ids, place, bound, root)
    if step > 1:
        if n % step or start >= step or stop < n:
            channels.pin(ids, f"{op.name} takes every {step}th of a number of channels that it does not divide")
        else:
            channels.whole_blocks(ids, n // step)
    axes[dim] = ids[start:stop:step]
    channels.put(op, axes)


def _bound(op: Op, channels: Channels, ids: ChannelIds, place: int, bound: int, root: Root | int | None) -> None:
    what = f"a bound of {op.name}"
    before, behind = ids[:place], ids[place:]
    if isinstance(root, Attribute):
        if bound < 0:  # so many from the end
            before, root = behind, replace(root, scale=-root.scale)
        channels.follows(before, root, what)
    elif root is None:  # torch cuts the axis in so many parts
        channels.keep_equal(ids, len(ids) // math.gcd(place, len(ids)))
    elif isinstance(root, Size) and len(ids) * root.scale.numerator == place * root.scale.denominator:
        parts = channels.keep_equal(ids, root.scale.denominator)
        channels.follows(np.tile(parts, root.scale.numerator), root, what)
    else:
        channels.pin(behind if bound < 0 else before, f"{what} is a fixed number")


@rule("select", "unbind")
def select(op: Op, channels: Channels) -> None:
    """One place of an axis, which goes. Channels up to that place stay."""
    x = op.args[0]
    ndim = len(channels.shape(x))
    dim = argument(op, "dim") % ndim
    axes = dict(channels.of(x))
    ids = axes.pop(dim, None)
    if ids is not None:
        index = argument(op, "index") if op.name == "aten.select" else len(ids) - 1
        channels.pin(ids[: index + 1] if index >= 0 else ids[index:], f"{op.name} takes channels by their number")
    for out in op.outputs:
        channels.place(out, {a - (a > dim): i for a, i in axes.items()})


@rule("glu")
def glu(op: Op, channels: Channels) -> None:
    """One half of the channels gates the other: the halves are cut alike."""
    x = op.args[0]
    dim = argument(op, "dim") % len(channels.shape(x))
    axes = dict(channels.of(x))
    if dim in axes:
        axes[dim] = channels.keep_equal(axes[dim], 2)
    channels.put(op, axes)


@rule("constant_pad_nd", reads_numbers=True)
def pad(op: Op, channels: Channels) -> None:
    """Constants round rows and columns, or before and behind the channels.

    A stored number of them is cut with what they meet, one from the source text stays.
    """
    shape, out = channels.shape(op.args[0]), channels.shape(op.outputs[0])
    axes = dict(channels.of(op.args[0]))
    pads = op.args[1]  # two an axis, the last axis first
    roots = channels.origins(op, list(pads))
    for i in range(len(pads) // 2):
        axis = len(shape) - 1 - i
        ids = axes.get(axis)
        sides = list(zip(pads[2 * i : 2 * i + 2], roots[2 * i : 2 * i + 2], strict=True))
        if ids is None:
            for _, root in sides:
                channels.freeze(root, f"{op.name} is given their number")
        elif any(n for n, _ in sides):
            before, behind = (_padded(op, channels, n, root) for n, root in sides)
            low, high = (max(0, -n) for n, _ in sides)
            for lost, (_, root) in zip((ids[:low], ids[len(ids) - high :]), sides, strict=True):
                _dropped(op, channels, lost, root)
            axes[axis] = np.concatenate([before, ids[low : len(ids) - high], behind])
    assert all(len(ids) == out[axis] for axis, ids in axes.items())
    channels.put(op, axes)


def _padded(op: Op, channels: Channels, n: int, root: Root | int | None) -> ChannelIds:
    """The ids of constants on one side of an axis."""
    if n > 0 and isinstance(root, Attribute):
        ids = channels.fresh(n)
        channels.follows(ids, root, f"the number given to {op.name}")
        return ids
    if n > 0 and isinstance(root, Size) and root.scale == 1 and root.axis in channels.of(root.value):
        return channels.of(root.value)[root.axis]
    if n > 0:
        channels.freeze(root, f"{op.name} is given their number")
    return channels.fresh_pinned(max(0, n), f"{op.name} adds a fixed number")


def _dropped(op: Op, channels: Channels, lost: ChannelIds, root: Root | int | None) -> None:
    """Padding by less than nothing."""
    if len(lost) and isinstance(root, Attribute):
        channels.follows(lost, replace(root, scale=-root.scale), f"the number given to {op.name}")
    elif len(lost):
        channels.freeze(root, f"{op.name} is given their number")
        channels.pin(lost, f"{op.name} drops a fixed number of channels")


@rule("index_select", "index")
def index(op: Op, channels: Channels) -> None:
    """Positions. Along other axes channels pass; along the channels a buffer of positions is rewritten with the cut.

    Channels that positions from elsewhere may point to stay.
    """
    x = op.args[0]
    axes = dict(channels.of(x))
    positions = _positions(op)
    if positions is None:  # several
        for value in op.inputs():
            channels.pin_value(value, f"{op.name} reads elements by their positions")
        return
    axis, where = positions
    ids = axes.pop(axis, None)
    ndim = len(channels.shape(where))
    if ids is None:
        channels.pin_value(where, f"{op.name} reads positions")
    else:
        axes |= _chosen(op, channels, ids, axis, where)
    shift = ndim - 1
    channels.put(op, {a + (shift if a > axis else 0): i for a, i in axes.items()})


def _chosen(op: Op, channels: Channels, ids: ChannelIds, axis: int, where: Ref) -> Axes:
    """The ids at positions along a channel axis."""
    value = channels.recording.values[where.value]
    content = channels.recording.contents.get(value.id)
    if value.origin == "constant" and value.shape == (len(op.given),):  # a list, which torch made a tensor of
        content = np.array([int(n) for n in op.given])
    if content is None or content.ndim != 1:
        channels.pin(ids, f"{op.name} reads channels by positions that are computed")
        return {}
    chosen = ids[content]
    known = channels.indices.setdefault(value.id, ids)
    if value.origin == "buffer" and np.array_equal(known, ids) and (content >= 0).all():
        channels.tie(channels.of(where).get(0), chosen, f"{op.name} has positions of fixed number")
    else:
        for pointed in (ids, known):
            channels.pin(pointed, f"{op.name} reads channels by fixed positions")
    return {axis: chosen}


def _positions(op: Op) -> tuple[int, Ref] | None:
    """The axis and the tensor of the positions, where there is one of each."""
    if op.name == "aten.index_select":
        return op.args[1], op.args[2]
    given = [(axis, where) for axis, where in enumerate(op.args[1]) if where is not None]
    return given[0] if len(given) == 1 else None
