"""The TFLite form of operations that only move data. Views and permutations move nothing: they regroup a layout."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from padless.graph.recording import Op, Ref
from padless.tflite.file import Tensor
from padless.tflite.layout import Layout, usual_order
from padless.tflite.lowered import Stored, refuse
from padless.tflite.lowering import NO_ACTIVATION, Lowering, lowers


@lowers(
    "clone",
    "detach",
    "alias",
    "native_dropout",
    "_to_copy",
    "contiguous",
    "lift_fresh",
    "lift_fresh_copy",
    "as_strided_",
)
def same(lowering: Lowering, op: Op) -> None:
    """Nothing to compute."""
    source = op.args[0]
    if lowering.shape(source.value) != lowering.shape(op.outputs[0]):  # as_strided_ may do anything
        raise refuse(op, "changes the shape")
    lowering.at[op.outputs[0]] = lowering.stored(op, source)


@lowers("view", "_unsafe_view", "reshape", "squeeze", "unsqueeze", "flatten", "unflatten")
def view(lowering: Lowering, op: Op) -> None:
    """The same elements under another shape."""
    source, value = op.args[0], op.outputs[0]
    stored, before, after = lowering.stored(op, source), lowering.shape(source.value), lowering.shape(value)
    layout = stored.layout.viewed(before, after)
    if layout is None:  # it cuts through an atom, or something is broadcast
        order = tuple(range(len(before)))
        stored = Stored(lowering.arranged(op, source, order), Layout.of(before))
        layout = stored.layout.viewed(before, after)
    if layout is None:
        tensor = lowering.reshaped(op, stored.tensor, after)
        lowering.at[value] = Stored(tensor, Layout.of(after))
    else:
        lowering.at[value] = Stored(stored.tensor, layout)


@lowers("permute", "transpose", "numpy_T")
def permute(lowering: Lowering, op: Op) -> None:
    source = op.args[0]
    rank = len(lowering.shape(source.value))
    if op.name == "aten.permute":
        axes = [a % rank for a in op.args[1]]
    elif op.name == "aten.transpose":
        axes, (a, b) = list(range(rank)), (x % rank for x in op.args[1:3])
        axes[a], axes[b] = axes[b], axes[a]
    else:
        axes = list(range(rank))[::-1]
    stored = lowering.stored(op, source)
    lowering.at[op.outputs[0]] = Stored(stored.tensor, stored.layout.permuted(axes))


@lowers("expand")
def expand(lowering: Lowering, op: Op) -> None:
    """A broadcast axis keeps its size of 1 until somebody needs more."""
    stored = lowering.stored(op, op.args[0])
    new_axes = len(lowering.shape(op.outputs[0])) - len(stored.layout.axes)
    lowering.at[op.outputs[0]] = Stored(
        stored.tensor, Layout(stored.layout.sizes, ((),) * new_axes + stored.layout.axes)
    )


@lowers("cat")
def concatenation(lowering: Lowering, op: Op) -> None:
    """Joins maps. A clamp behind stays apart: TFLite's runtime takes none here."""
    axis = (op.args[1] if len(op.args) > 1 else op.kwargs.get("dim", 0)) % len(lowering.shape(op.outputs[0]))
    join(lowering, op, op.args[0], axis)


@lowers("stack")
def stack(lowering: Lowering, op: Op) -> None:
    rank = len(lowering.shape(op.outputs[0]))
    axis = (op.args[1] if len(op.args) > 1 else op.kwargs.get("dim", 0)) % rank
    parts = []
    for part in op.args[0]:
        shape = lowering.shape(part.value)
        tensor = lowering.arranged(op, part, range(rank - 1))
        parts.append(lowering.reshaped(op, tensor, (*shape[:axis], 1, *shape[axis:])))
    out = lowering.result(op, op.outputs[0], range(rank))
    lowering.builder.operator("CONCATENATION", parts, [out], Axis=axis, FusedActivationFunction=NO_ACTIVATION)


def join(lowering: Lowering, op: Op, refs: list[Ref], axis: int) -> None:
    computed = next((ref for ref in refs if lowering.computed(ref)), refs[0])
    order = lowering.stored(op, computed).layout.order() or usual_order(len(lowering.shape(op.outputs[0])))
    parts = [lowering.arranged(op, part, order) for part in refs if len(lowering.shape(part.value)) == len(order)]
    out = lowering.result(op, op.outputs[0], order)
    lowering.builder.operator(
        "CONCATENATION", parts, [out], Axis=order.index(axis), FusedActivationFunction=NO_ACTIVATION
    )


def joined(lowering: Lowering, op: Op, parts: Sequence[int], axis: int) -> int:
    """Stored tensors, one behind the other along a stored axis."""
    if len(parts) == 1:
        return parts[0]
    shapes = [lowering.builder.tensors[part].shape for part in parts]
    shape = (*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :])
    out = lowering.another(op, "joined", parts[0], shape)
    lowering.builder.operator("CONCATENATION", parts, [out], Axis=axis, FusedActivationFunction=NO_ACTIVATION)
    return out


@lowers("split", "split_with_sizes", "chunk", "unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes", "tensor_split")
def split(lowering: Lowering, op: Op) -> None:
    """A slice for each part that somebody reads."""
    source = op.args[0]
    shape = lowering.shape(source.value)
    axis = (op.args[2] if len(op.args) > 2 else op.kwargs.get("dim", 0)) % len(shape)
    start = 0
    for value in op.outputs:
        size = lowering.shape(value)[axis]
        if value in lowering.readers or value in lowering.recording.outputs:
            cut(lowering, op, source, value, axis, start, start + size, 1)
        start += size


@lowers("slice")
def slicing(lowering: Lowering, op: Op) -> None:
    source, *options = op.args
    arguments: list[Any] = [*options, *(0, None, None, 1)[len(options) :]]
    axis = arguments[0]
    size = lowering.shape(source.value)[axis]
    start, end, step = slice(*arguments[1:]).indices(size)
    if (start, end, step) == (0, size, 1):
        same(lowering, op)
    else:
        cut(lowering, op, source, op.outputs[0], axis % len(lowering.shape(source.value)), start, end, step)


@lowers("select")
def select(lowering: Lowering, op: Op) -> None:
    source, axis, index = op.args
    pick(lowering, op, source, op.outputs[0], axis % len(lowering.shape(source.value)), index)


@lowers("unbind")
def unbind(lowering: Lowering, op: Op) -> None:
    source = op.args[0]
    axis = (op.args[1] if len(op.args) > 1 else 0) % len(lowering.shape(source.value))
    for index, value in enumerate(op.outputs):
        if value in lowering.readers or value in lowering.recording.outputs:
            pick(lowering, op, source, value, axis, index)


def pick(lowering: Lowering, op: Op, source: Ref, value: int, axis: int, index: int) -> None:
    """One index of an axis, which goes."""
    shape = lowering.shape(source.value)
    index %= shape[axis]
    order = lowering.stored(op, source).layout.order() or usual_order(len(shape))
    tensor = sliced(lowering, op, lowering.arranged(op, source, order), order.index(axis), index, index + 1, 1)
    axes_left = [a - (a > axis) for a in order if a != axis]
    layout = Layout.of(lowering.shape(value), axes_left)
    lowering.at[value] = Stored(lowering.reshaped(op, tensor, layout.sizes), layout)


def cut(lowering: Lowering, op: Op, source: Ref, value: int, axis: int, start: int, end: int, step: int) -> None:
    order = lowering.stored(op, source).layout.order() or usual_order(len(lowering.shape(source.value)))
    tensor = sliced(lowering, op, lowering.arranged(op, source, order), order.index(axis), start, end, step)
    lowering.at[value] = Stored(tensor, Layout.of(lowering.shape(value), order))


def sliced(lowering: Lowering, op: Op, tensor: int, axis: int, start: int, end: int, step: int) -> int:
    """STRIDED_SLICE along one stored axis. Every n-th of it is one of n on an axis of its own."""
    shape = list(lowering.builder.tensors[tensor].shape)
    count = len(range(start, end, step))
    if step > 1 and start < step and count * step == shape[axis]:
        apart = lowering.reshaped(op, tensor, (*shape[:axis], count, step, *shape[axis + 1 :]))
        chosen = sliced(lowering, op, apart, axis + 1, start, start + 1, 1)
        return lowering.reshaped(op, chosen, (*shape[:axis], count, *shape[axis + 1 :]))
    begins, ends, steps = [0] * len(shape), list(shape), [1] * len(shape)
    begins[axis], ends[axis], steps[axis] = start, end, step
    shape[axis] = count
    out = lowering.another(op, "slice", tensor, tuple(shape))
    sides = [lowering.integers(name, data) for name, data in (("begin", begins), ("end", ends), ("steps", steps))]
    lowering.builder.operator("STRIDED_SLICE", [tensor, *sides], [out])
    return out


@lowers("constant_pad_nd")
def constant_pad(lowering: Lowering, op: Op) -> None:
    """Zeros (or the value given, within the range there is) on any axis; negative widths cut off."""
    source, widths = op.args[:2]
    value = float(op.args[2]) if len(op.args) > 2 else float(op.kwargs.get("value", 0.0))
    rank = len(lowering.shape(source.value))
    order = lowering.stored(op, source).layout.order() or usual_order(rank)
    tensor = lowering.arranged(op, source, order)
    sides = {rank - 1 - i: (widths[2 * i], widths[2 * i + 1]) for i in range(len(widths) // 2)}
    for axis, (before, after) in sides.items():
        if min(before, after) < 0:
            size = lowering.builder.tensors[tensor].shape[order.index(axis)]
            tensor = sliced(lowering, op, tensor, order.index(axis), max(0, -before), size - max(0, -after), 1)
    around = [tuple(max(0, w) for w in sides.get(axis, (0, 0))) for axis in order]
    layout = Layout.of(lowering.shape(op.outputs[0]), order)
    if any(map(any, around)):
        padded = lowering.builder.tensors[tensor]
        out = lowering.another(op, "pad", tensor, layout.sizes)
        inputs = [tensor, lowering.integers("widths", around)]
        if value:
            inputs.append(lowering.builder.tensor(Tensor(
                name=lowering.name("pad value"), shape=(1,), scale=padded.scale, zero_point=padded.zero_point,
                data=np.array([value], np.float32),
            )))  # fmt: skip
        lowering.builder.operator("PADV2" if value else "PAD", inputs, [out])
        tensor = out
    lowering.at[op.outputs[0]] = Stored(tensor, layout)
