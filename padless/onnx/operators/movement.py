"""Movement: other shapes, parts, joins"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from padless.onnx.operators import host
from padless.onnx.operators.arithmetic import operand
from padless.onnx.operators.table import is_host, listed, operator, plain

OPEN = (1 << 31) - 1  # a bound from here on means: to the end


def as_tensor(value: Any) -> Tensor:
    """A tensor of what may be a number."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return value if isinstance(value, Tensor) else torch.tensor(value)


@operator("Reshape", inputs="x shape", on_host=host.reshaped)
def reshape(node: Any, value: Any, shape: Any) -> Tensor:
    """Another shape. A batch of the exported size that is written into it becomes the batch that the network is given."""
    x = as_tensor(value)
    sizes = [
        x.shape[axis] if plain(size) == 0 and not node.get("allowzero", 0) else size
        for axis, size in enumerate(listed(node.get("shape", shape)))
    ]
    if node.batched:
        sizes[0] = x.shape[0]
    return x.reshape(sizes)


@operator("Flatten", inputs="x")
def flatten(node: Any, x: Tensor) -> Tensor:
    """To a matrix: the axes before `axis`, and those from it on."""
    axis = node.get("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    if axis == 1:
        return x.flatten(1) if x.ndim > 1 else x.reshape(-1, 1)
    rows = 1
    for size in x.shape[:axis]:
        rows = size * rows
    return x.reshape(rows, -1)


@operator("Transpose", inputs="x", on_host=host.turned)
def transpose(node: Any, x: Tensor) -> Tensor:
    """The axes in another order."""
    return x.permute(node.get("perm", list(reversed(range(x.ndim)))))


@operator("Squeeze", inputs="x axes", constant="axes", on_host=host.as_number)
def squeeze(node: Any, x: Tensor, axes: Any = None) -> Tensor:
    """Without axes of size one."""
    axes = node.get("axes", axes)
    chosen = [a % x.ndim for a in listed(axes)] if axes is not None else [
        a for a, n in enumerate(x.shape) if plain(n) == 1
    ]  # fmt: skip
    for axis in sorted(chosen, reverse=True):
        x = x.squeeze(axis)
    return x


@operator("Unsqueeze", inputs="x axes", constant="axes", on_host=host.as_list)
def unsqueeze(node: Any, x: Tensor, axes: Any = None) -> Tensor:
    """With further axes of size one."""
    axes = listed(node.get("axes", axes))
    for axis in sorted(a % (x.ndim + len(axes)) for a in axes):
        x = x.unsqueeze(axis)
    return x


@operator("Concat", inputs="x", on_host=host.joined)
def concat(node: Any, *x: Any) -> Tensor:
    """Tensors behind one another, along an axis."""
    return torch.cat([as_tensor(part) for part in x], node.get("axis", 0))


@operator("Split", inputs="x split", stored={"split": "split"}, on_host=host.split)
def split(node: Any, x: Tensor, sizes: Any = None) -> tuple[Tensor, ...]:
    """Parts along an axis, of given sizes or equal ones."""
    axis, sizes = node.get("axis", 0), getattr(node, "split", sizes)
    if sizes is None:
        return torch.chunk(x, node.get("num_outputs", node.outputs), axis)
    return torch.split(x, listed(sizes), axis)


@operator("Slice", inputs="x starts ends axes steps", constant="axes steps", on_host=host.sliced)
def slice_(node: Any, x: Tensor, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None) -> Tensor:
    """A part along each of some axes, with steps; backwards only the whole axis."""
    starts, ends = listed(node.get("starts", starts)), listed(node.get("ends", ends))
    axes = node.get("axes", axes)
    axes = list(range(len(starts))) if axes is None else listed(axes)
    steps = [1] * len(starts) if steps is None else listed(steps)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis %= x.ndim
        if step < 0:
            size = plain(x.shape[axis])
            if step != -1 or not (plain(start) in (-1, size - 1) or plain(start) >= OPEN) or plain(end) > -size - 1:
                raise node.refused("goes backwards over a part of an axis")
            x = x.flip(axis)
            continue
        index: list[Any] = [slice(None)] * x.ndim
        index[axis] = slice(start, None if plain(end) >= OPEN else end, step)
        x = x[tuple(index)]
    return x


@operator("Gather", inputs="x indices", positions="indices", on_host=host.gathered)
def gather(node: Any, value: Any, indices: Any) -> Tensor:
    """The given positions of one axis, in any order."""
    x = as_tensor(value)
    axis = node.get("axis", 0) % x.ndim
    if isinstance(indices, int):
        return x.select(axis, indices)
    if is_host(indices):
        return x.index_select(axis, torch.tensor([plain(i) for i in listed(indices)]))
    if node.is_given(1):  # the buffer has none that count from the end
        indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    if indices.ndim == 1:
        return x.index_select(axis, indices)
    picked = x.index_select(axis, indices.reshape(-1))
    return picked.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


@operator("GatherElements", inputs="x indices", positions="indices")
def gather_elements(node: Any, x: Tensor, indices: Tensor) -> Tensor:
    """One element for each position along an axis."""
    return torch.gather(x, node.get("axis", 0), indices)


@operator("Expand", inputs="x shape", on_host=host.repeated)
def expand(_node: Any, value: Any, shape: Any) -> Tensor:
    """Axes of size one repeated to a given shape."""
    x = as_tensor(value)
    sizes = listed(shape)
    sizes = [1] * (x.ndim - len(sizes)) + sizes
    lead = len(sizes) - x.ndim
    return x.expand([-1 if plain(n) == 1 and i >= lead else n for i, n in enumerate(sizes)])


@operator("Tile", inputs="x repeats", constant="repeats", on_host=host.repeated)
def tile(_node: Any, x: Any, repeats: Any) -> Tensor:
    """The whole tensor repeated along each axis."""
    return as_tensor(x).repeat(listed(repeats))


MODES = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}


@operator("Pad", inputs="x pads value axes", constant="value axes")
def pad(node: Any, x: Tensor, pads: Any = None, value: Any = None, axes: Any = None) -> Tensor:
    """Padded by a constant, the edge, a reflection or the other side; negative amounts crop."""
    amounts = listed(node.get("pads", pads))
    half = len(amounts) // 2
    chosen = [a % x.ndim for a in listed(axes)] if axes is not None else list(range(half))
    before, after = [0] * x.ndim, [0] * x.ndim
    for axis, first, last in zip(chosen, amounts[:half], amounts[half:], strict=True):
        before[axis], after[axis] = first, last
    while len(before) > 1 and plain(before[0]) == plain(after[0]) == 0:
        before, after = before[1:], after[1:]
    widths = [n for pair in zip(reversed(before), reversed(after), strict=True) for n in pair]
    mode = MODES.get(node.get("mode", "constant"))
    if mode is None:
        raise node.refused(f"pads by {node.get('mode', 'constant')}")
    if mode == "constant":
        fill = node.get("value", 0.0) if value is None else listed(value)[0]
        return F.pad(x, widths, value=fill)
    return _around(node, x, widths, mode)


def _around(node: Any, x: Tensor, widths: Sequence[int], mode: str) -> Tensor:
    """Torch pads by what lies inside only maps of three to five axes, and not their first two."""
    if len(widths) > 2 * (x.ndim - 2) or not 3 <= x.ndim <= 5:
        raise node.refused(f"pads {len(widths) // 2} axes of a tensor of {x.ndim} by {node.get('mode', 'constant')}")
    widths = [*widths, *[0] * (2 * (x.ndim - 2) - len(widths))]
    return F.pad(x, widths, mode=mode)


@operator("DepthToSpace", inputs="x")
def depth_to_space(node: Any, x: Tensor) -> Tensor:
    """Channels to blocks of pixels, in the order CRD (pixel shuffle) or DCR."""
    size = node.get("blocksize", 1)
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, size)
    n, c, h, w = x.shape
    y = x.reshape(n, size, size, c // (size * size), h, w).permute(0, 3, 4, 1, 5, 2)
    return y.reshape(n, c // (size * size), h * size, w * size)


@operator("SpaceToDepth", inputs="x")
def space_to_depth(node: Any, x: Tensor) -> Tensor:
    """Blocks of pixels to channels: every channel for each place in the block."""
    size = node.get("blocksize", 1)
    n, c, h, w = x.shape
    y = x.reshape(n, c, h // size, size, w // size, size).permute(0, 3, 5, 1, 2, 4)
    return y.reshape(n, c * size * size, h // size, w // size)


@operator("Trilu", inputs="x k", constant="k")
def trilu(node: Any, x: Tensor, k: Any = None) -> Tensor:
    """The upper or the lower triangle."""
    diagonal = 0 if k is None else listed(k)[0]
    return torch.triu(x, diagonal) if node.get("upper", 1) else torch.tril(x, diagonal)


@operator("ConstantOfShape", inputs="shape")
def constant_of_shape(node: Any, shape: Any) -> Any:
    """A tensor of one value; whole numbers stay beside the tensors."""
    value = node.fill
    sizes = listed(shape)
    if isinstance(value, int) and len(sizes) == 1:
        return host.repeated(node, value, sizes)
    return torch.full(sizes, value)


@operator("Shape", inputs="x", on_host=lambda _node, x: [len(x)] if isinstance(x, list) else [])
def shape(node: Any, x: Tensor) -> list[int]:
    """The sizes of a tensor as whole numbers, which follow the cut."""
    return list(x.shape)[node.get("start", 0) : node.get("end", None)]


@operator("Size", inputs="x", on_host=lambda _node, x: len(listed(x)))
def size(_node: Any, x: Tensor) -> int:
    """How many elements a tensor has."""
    return x.numel()


@operator("Range", inputs="start limit delta", on_host=host.sequence)
def sequence(_node: Any, start: Any, limit: Any, delta: Any) -> Tensor:
    """Evenly spaced numbers."""
    return torch.arange(*(operand(n) for n in (start, limit, delta)))
