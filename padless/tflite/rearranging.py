"""The TFLite form of what rearranges places: shuffles, repeats, chosen indices, borders, other sizes."""

import numpy as np

from padless.graph.recording import Op, Ref
from padless.tflite.file import OptionValue
from padless.tflite.layout import Layout, usual_order
from padless.tflite.lowered import Stored, refuse
from padless.tflite.lowering import Lowering, lowers
from padless.tflite.moving import joined, same, sliced

RUNS = 32  # of neighbouring indices that are rather sliced than gathered


@lowers("pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle")
def shuffle(lowering: Lowering, op: Op) -> None:
    """Views and a permutation: channels become places, places channels, or channels change places."""
    source, times = op.args
    *outer, channels, rows, columns = lowering.shape(source.value)
    k = len(outer)
    if "pixel_shuffle" in op.name:
        apart = (channels // times**2, times, times, rows, columns)
        order = (0, 3, 1, 4, 2)
    elif "pixel_unshuffle" in op.name:
        apart = (channels, rows // times, times, columns // times, times)
        order = (0, 2, 4, 1, 3)
    else:
        apart, order = (times, channels // times, rows, columns, 1), (1, 0, 2, 3, 4)
    before = (*outer, *apart)
    permutation = (*range(k), *(k + a for a in order))
    layout = lowering.stored(op, source).layout.viewed(lowering.shape(source.value), before)
    tensor = lowering.stored(op, source).tensor
    if layout is None:
        everything = tuple(range(k + 3))
        tensor = lowering.reshaped(op, lowering.arranged(op, source, everything), before)
        layout = Layout.of(before)
    layout = layout.permuted(permutation).viewed(tuple(before[a] for a in permutation), lowering.shape(op.outputs[0]))
    if layout is None:
        raise refuse(op, "cannot be regrouped")
    lowering.at[op.outputs[0]] = Stored(tensor, layout)


@lowers("repeat")
def repeat(lowering: Lowering, op: Op) -> None:
    """TILE; new axes come in front."""
    source, times = op.args
    shape = lowering.shape(source.value)
    if len(times) == len(shape):
        order = lowering.stored(op, source).layout.order() or usual_order(len(shape))
        tensor = lowering.arranged(op, source, order)
    else:
        order = tuple(range(len(times)))
        tensor = lowering.arranged(op, source, range(len(shape)))
        tensor = lowering.reshaped(op, tensor, (1,) * (len(times) - len(shape)) + shape)
    layout = Layout.of(lowering.shape(op.outputs[0]), order)
    lowering.at[op.outputs[0]] = Stored(lowering.tiled(op, tensor, layout.sizes), layout)


@lowers("index_select", "gather", "index", "flip", "roll")
def choose(lowering: Lowering, op: Op) -> None:
    """Indices of an axis that are known: slices and a concatenation, or GATHER where there are many of them."""
    source = op.args[0]
    rank = len(lowering.shape(source.value))
    order = lowering.stored(op, source).layout.order() or usual_order(rank)
    tensor = lowering.arranged(op, source, order)
    for axis, chosen in _chosen(lowering, op, source):
        tensor = gathered(lowering, op, tensor, order.index(axis), chosen)
    lowering.at[op.outputs[0]] = Stored(tensor, Layout.of(lowering.shape(op.outputs[0]), order))


def _chosen(lowering: Lowering, op: Op, source: Ref) -> list[tuple[int, list[int]]]:
    """Axes of a value, and the indices that are read of each."""
    shape, name = lowering.shape(source.value), op.name.removeprefix("aten.")
    if name == "flip":
        return [(a % len(shape), list(range(shape[a]))[::-1]) for a in op.args[1]]
    if name == "roll":
        shifts, axes = op.args[1], (op.args[2] if len(op.args) > 2 else [])
        if len(axes) != len(shifts):
            raise refuse(op, "rolls all axes as one")
        return [(a % len(shape), np.roll(range(shape[a]), n).tolist()) for a, n in zip(axes, shifts, strict=True)]
    if name == "index":
        given = [(axis, ref) for axis, ref in enumerate(op.args[1]) if isinstance(ref, Ref)]
        if len(given) != 1:
            raise refuse(op, "has several indices")
        axis, ref = given[0]
    else:
        axis, ref = op.args[1] % len(shape), op.args[2]
    values = lowering.known(ref.value)
    if values is None:
        raise refuse(op, "has indices that are computed")
    indices = values.cpu().numpy()
    if name == "gather" and indices.ndim == len(shape):
        line = indices[tuple(slice(None) if a == axis else slice(1) for a in range(len(shape)))]
        others = [a for a in range(len(shape)) if a != axis]
        if (indices != line).any() or any(indices.shape[a] != shape[a] for a in others):
            raise refuse(op, "has other indices at each place")
        indices = line.reshape(-1)
    if indices.dtype.kind not in "iu" or indices.ndim > 1:
        raise refuse(op, "has indices that are no row of numbers")
    return [(axis, [int(i) % shape[axis] for i in indices.reshape(-1)])]


def gathered(lowering: Lowering, op: Op, tensor: int, axis: int, chosen: list[int]) -> int:
    """Some indices of a stored axis, in their order."""
    shape = lowering.builder.tensors[tensor].shape
    if chosen == list(range(shape[axis])):
        return tensor
    runs: list[list[int]] = []
    for index in chosen:
        if runs and runs[-1][-1] + 1 == index:
            runs[-1].append(index)
        else:
            runs.append([index])
    if len(runs) <= RUNS:
        parts = [sliced(lowering, op, tensor, axis, run[0], run[-1] + 1, 1) for run in runs]
        return joined(lowering, op, parts, axis)
    out = lowering.another(op, "gather", tensor, (*shape[:axis], len(chosen), *shape[axis + 1 :]))
    lowering.builder.operator("GATHER", [tensor, lowering.integers("indices", chosen)], [out], Axis=axis)
    return out


@lowers("reflection_pad1d", "reflection_pad2d")
def mirror(lowering: Lowering, op: Op) -> None:
    left, right, *rows = op.args[1]
    above, below = rows or (0, 0)
    if len(lowering.shape(op.outputs[0])) != (4 if rows else 3) or min(left, right, above, below) < 0:
        raise refuse(op, "is not around a feature map")
    source = lowering.map_of(op, op.args[0])
    around = lowering.integers("widths", [(0, 0), (above, below), (left, right), (0, 0)])
    out = lowering.map_result(op, op.outputs[0], like=source)
    lowering.builder.operator("MIRROR_PAD", [source, around], [out], Mode="REFLECT")


@lowers("replication_pad1d", "replication_pad2d")
def replicate(lowering: Lowering, op: Op) -> None:
    """The first and the last row, and column, joined to the map as often as it takes."""
    left, right, *rows = op.args[1]
    shape = lowering.shape(op.outputs[0])
    if len(shape) != (4 if rows else 3) or min(op.args[1]) < 0:
        raise refuse(op, "is not around a feature map")
    tensor = lowering.map_of(op, op.args[0])
    for axis, (before, after) in ((1, rows or (0, 0)), (2, (left, right))):
        if before or after:
            last = lowering.builder.tensors[tensor].shape[axis] - 1
            first = [sliced(lowering, op, tensor, axis, 0, 1, 1)] * before if before else []
            end = [sliced(lowering, op, tensor, axis, last, last + 1, 1)] * after if after else []
            tensor = joined(lowering, op, [*first, tensor, *end], axis)
    lowering.at[op.outputs[0]] = Stored(tensor, Layout.of(shape, (0, *range(2, len(shape)), 1)))


@lowers("upsample_bilinear2d", "upsample_nearest2d", "_upsample_nearest_exact2d", "upsample_linear1d",
        "upsample_nearest1d", "_upsample_nearest_exact1d")  # fmt: skip
def resize(lowering: Lowering, op: Op) -> None:
    """To a size. A factor that is not the ratio of the sizes would choose other places: it is refused."""
    before, after = (lowering.shape(v)[2:] for v in (op.args[0].value, op.outputs[0]))
    if before == after:
        same(lowering, op)
        return
    linear = "linear" in op.name
    corners = linear and bool(op.args[2])
    factors = [f for f in op.args[3 if linear else 2 :] if f]
    if not corners and any(abs(f * n - o) > 1e-6 * o for f, n, o in zip(factors, before, after, strict=False)):
        raise refuse(op, "has a factor that is not the ratio of the sizes")
    source = lowering.map_of(op, op.args[0])
    out = lowering.map_result(op, op.outputs[0])
    size = lowering.integers("size", (1, *after)[-2:])
    if linear:
        options: dict[str, OptionValue] = {"AlignCorners": corners, "HalfPixelCenters": not corners}
        lowering.builder.operator("RESIZE_BILINEAR", [source, size], [out], **options)
    else:
        exact = "exact" in op.name
        lowering.builder.operator("RESIZE_NEAREST_NEIGHBOR", [source, size], [out], HalfPixelCenters=exact)
