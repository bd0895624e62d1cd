"""The TFLite form of operations that only move data. Views and permutations move nothing: they regroup a layout."""

from typing import Any

import numpy as np

from padless.graph.record import Op, Ref
from padless.tflite.file import Tensor
from padless.tflite.layout import Layout, usual_order
from padless.tflite.lowering import BOTTOM, MAP, NO_ACTIVATION, Lowering, Stored, lowers, refuse


@lowers("clone", "detach", "alias", "native_dropout", "_to_copy", "contiguous", "lift_fresh", "as_strided_")
def same(net: Lowering, op: Op) -> None:
    """Nothing to compute."""
    source = op.args[0]
    if net.shape(source.value) != net.shape(op.outputs[0]):  # as_strided_ may do anything
        raise refuse(op, "changes the shape")
    net.at[op.outputs[0]] = net.stored(op, source)


@lowers("view", "_unsafe_view", "reshape", "squeeze", "unsqueeze", "flatten", "unflatten")
def view(net: Lowering, op: Op) -> None:
    """The same elements under another shape."""
    source, value = op.args[0], op.outputs[0]
    stored, before, after = net.stored(op, source), net.shape(source.value), net.shape(value)
    layout = stored.layout.viewed(before, after)
    if layout is None:  # it cuts through an atom, or something is broadcast
        order = tuple(range(len(before)))
        stored = Stored(net.arranged(op, source, order), Layout.of(before))
        layout = stored.layout.viewed(before, after)
    if layout is None:
        tensor = net.reshaped(op, stored.tensor, after)
        net.at[value] = Stored(tensor, Layout.of(after))
    else:
        net.at[value] = Stored(stored.tensor, layout)


@lowers("permute", "transpose", "numpy_T")
def permute(net: Lowering, op: Op) -> None:
    source = op.args[0]
    rank = len(net.shape(source.value))
    if op.name == "aten.permute":
        axes = [a % rank for a in op.args[1]]
    elif op.name == "aten.transpose":
        axes, (a, b) = list(range(rank)), (x % rank for x in op.args[1:3])
        axes[a], axes[b] = axes[b], axes[a]
    else:
        axes = list(range(rank))[::-1]
    stored = net.stored(op, source)
    net.at[op.outputs[0]] = Stored(stored.tensor, stored.layout.permuted(axes))


@lowers("expand")
def expand(net: Lowering, op: Op) -> None:
    """A broadcast axis keeps its size of 1 until somebody needs more."""
    stored = net.stored(op, op.args[0])
    more = len(net.shape(op.outputs[0])) - len(stored.layout.axes)
    net.at[op.outputs[0]] = Stored(stored.tensor, Layout(stored.layout.sizes, ((),) * more + stored.layout.axes))


@lowers("cat")
def concatenation(net: Lowering, op: Op) -> None:
    """Joins maps. A clamp behind stays apart: TFLite's runtime takes none here."""
    axis = (op.args[1] if len(op.args) > 1 else op.kwargs.get("dim", 0)) % len(net.shape(op.outputs[0]))
    join(net, op, op.args[0], axis)


@lowers("stack")
def stack(net: Lowering, op: Op) -> None:
    rank = len(net.shape(op.outputs[0]))
    axis = (op.args[1] if len(op.args) > 1 else op.kwargs.get("dim", 0)) % rank
    parts = []
    for part in op.args[0]:
        shape = net.shape(part.value)
        tensor = net.arranged(op, part, range(rank - 1))
        parts.append(net.reshaped(op, tensor, (*shape[:axis], 1, *shape[axis:])))
    out = net.result(op, op.outputs[0], range(rank))
    net.builder.operator("CONCATENATION", parts, [out], Axis=axis, FusedActivationFunction=NO_ACTIVATION)


def join(net: Lowering, op: Op, refs: list[Ref], axis: int) -> None:
    order = net.stored(op, refs[0]).layout.order() or usual_order(len(net.shape(op.outputs[0])))
    parts = [net.arranged(op, part, order) for part in refs]
    out = net.result(op, op.outputs[0], order)
    net.builder.operator("CONCATENATION", parts, [out], Axis=order.index(axis), FusedActivationFunction=NO_ACTIVATION)


@lowers("split", "split_with_sizes", "chunk", "unsafe_chunk", "tensor_split")
def split(net: Lowering, op: Op) -> None:
    """A slice for each part that somebody reads."""
    source = op.args[0]
    shape = net.shape(source.value)
    axis = (op.args[2] if len(op.args) > 2 else op.kwargs.get("dim", 0)) % len(shape)
    start = 0
    for value in op.outputs:
        size = net.shape(value)[axis]
        if value in net.readers or value in net.recording.outputs:
            cut(net, op, source, value, axis, start, start + size, 1)
        start += size


@lowers("slice")
def slicing(net: Lowering, op: Op) -> None:
    source, *rest = op.args
    given: list[Any] = [*rest, *(0, None, None, 1)[len(rest) :]]
    axis = given[0]
    size = net.shape(source.value)[axis]
    start, end, step = slice(*given[1:]).indices(size)
    if (start, end, step) == (0, size, 1):
        same(net, op)
    else:
        cut(net, op, source, op.outputs[0], axis % len(net.shape(source.value)), start, end, step)


@lowers("select")
def select(net: Lowering, op: Op) -> None:
    source, axis, index = op.args
    pick(net, op, source, op.outputs[0], axis % len(net.shape(source.value)), index)


@lowers("unbind")
def unbind(net: Lowering, op: Op) -> None:
    source = op.args[0]
    axis = (op.args[1] if len(op.args) > 1 else 0) % len(net.shape(source.value))
    for index, value in enumerate(op.outputs):
        if value in net.readers or value in net.recording.outputs:
            pick(net, op, source, value, axis, index)


def pick(net: Lowering, op: Op, source: Ref, value: int, axis: int, index: int) -> None:
    """One index of an axis, which goes."""
    shape = net.shape(source.value)
    index %= shape[axis]
    order = net.stored(op, source).layout.order() or usual_order(len(shape))
    tensor = sliced(net, op, net.arranged(op, source, order), order.index(axis), index, index + 1, 1)
    rest = [a - (a > axis) for a in order if a != axis]
    layout = Layout.of(net.shape(value), rest)
    net.at[value] = Stored(net.reshaped(op, tensor, layout.sizes), layout)


def cut(net: Lowering, op: Op, source: Ref, value: int, axis: int, start: int, end: int, step: int) -> None:
    order = net.stored(op, source).layout.order() or usual_order(len(net.shape(source.value)))
    tensor = sliced(net, op, net.arranged(op, source, order), order.index(axis), start, end, step)
    net.at[value] = Stored(tensor, Layout.of(net.shape(value), order))


def sliced(net: Lowering, op: Op, tensor: int, axis: int, start: int, end: int, step: int) -> int:
    """STRIDED_SLICE along one stored axis. Every n-th of it is one of n on an axis of its own."""
    shape = list(net.builder.tensors[tensor].shape)
    taken = len(range(start, end, step))
    if step > 1 and start < step and taken * step == shape[axis]:
        apart = net.reshaped(op, tensor, (*shape[:axis], taken, step, *shape[axis + 1 :]))
        one = sliced(net, op, apart, axis + 1, start, start + 1, 1)
        return net.reshaped(op, one, (*shape[:axis], taken, *shape[axis + 1 :]))
    begins, ends, steps = [0] * len(shape), list(shape), [1] * len(shape)
    begins[axis], ends[axis], steps[axis] = start, end, step
    shape[axis] = taken
    out = net.another(op, "slice", tensor, tuple(shape))
    sides = [net.integers(name, data) for name, data in (("begin", begins), ("end", ends), ("steps", steps))]
    net.builder.operator("STRIDED_SLICE", [tensor, *sides], [out])
    return out


@lowers("constant_pad_nd")
def constant_pad(net: Lowering, op: Op) -> None:
    """Zeros (or the value given, within the range there is) on any axis; negative widths cut off."""
    source, widths = op.args[:2]
    value = float(op.args[2]) if len(op.args) > 2 else float(op.kwargs.get("value", 0.0))
    rank = len(net.shape(source.value))
    order = net.stored(op, source).layout.order() or usual_order(rank)
    tensor = net.arranged(op, source, order)
    sides = {rank - 1 - i: (widths[2 * i], widths[2 * i + 1]) for i in range(len(widths) // 2)}
    for axis, (before, after) in sides.items():
        if min(before, after) < 0:
            size = net.builder.tensors[tensor].shape[order.index(axis)]
            tensor = sliced(net, op, tensor, order.index(axis), max(0, -before), size - max(0, -after), 1)
    around = [tuple(max(0, w) for w in sides.get(axis, (0, 0))) for axis in order]
    layout = Layout.of(net.shape(op.outputs[0]), order)
    if any(map(any, around)):
        given = net.builder.tensors[tensor]
        out = net.another(op, "pad", tensor, layout.sizes)
        inputs = [tensor, net.integers("widths", around)]
        if value:
            least = np.clip(np.array([value / given.scale[0] + given.zero_point]), BOTTOM, 127).astype(np.int8)
            inputs.append(net.builder.tensor(Tensor(
                name=net.name("pad value"), shape=(1,), scale=given.scale, zero_point=given.zero_point, data=least
            )))  # fmt: skip
        net.builder.operator("PADV2" if value else "PAD", inputs, [out])
        tensor = out
    net.at[op.outputs[0]] = Stored(tensor, layout)


@lowers("reflection_pad2d")
def mirror(net: Lowering, op: Op) -> None:
    left, right, above, below = op.args[1]
    source = net.arranged(op, op.args[0], MAP)
    around = net.integers("widths", [(0, 0), (above, below), (left, right), (0, 0)])
    net.builder.operator("MIRROR_PAD", [source, around], [net.result(op, op.outputs[0])], Mode="REFLECT")


@lowers("upsample_bilinear2d", "upsample_nearest2d", "_upsample_nearest_exact2d")
def resize(net: Lowering, op: Op) -> None:
    source = net.arranged(op, op.args[0], MAP)
    out = net.result(op, op.outputs[0])
    size = net.integers("size", net.shape(op.outputs[0])[2:])
    if "bilinear" in op.name:
        corners = bool(op.args[2])
        options: dict[str, Any] = {"AlignCorners": corners, "HalfPixelCenters": not corners}
        net.builder.operator("RESIZE_BILINEAR", [source, size], [out], **options)
    else:
        exact = "exact" in op.name
        net.builder.operator("RESIZE_NEAREST_NEIGHBOR", [source, size], [out], HalfPixelCenters=exact)
