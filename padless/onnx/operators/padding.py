"""How much is padded on each side, and padding itself."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from padless.onnx.operators.table import plain


def both_sides(node: Any, x: Tensor, kernel: Sequence[int]) -> tuple[list[int], list[int]]:
    """The padding before and after each spatial axis, as `pads` or `auto_pad` ask for it."""
    spatial = x.ndim - 2
    automatic = node.get("auto_pad", "NOTSET")
    if not automatic.startswith("SAME"):
        pads = list(node.get("pads", [0] * (2 * spatial))) if automatic == "NOTSET" else [0] * (2 * spatial)
        return pads[:spatial], pads[spatial:]
    strides, dilations = node.get("strides", [1] * spatial), node.get("dilations", [1] * spatial)
    before, after = [], []
    for size, window, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        n = plain(size)
        total = max(0, (-(-n // stride) - 1) * stride + (plain(window) - 1) * dilation + 1 - n)
        smaller = total // 2
        before.append(smaller if automatic == "SAME_UPPER" else total - smaller)
        after.append(total - before[-1])
    return before, after


def padded(x: Tensor, before: Sequence[int], after: Sequence[int], value: float = 0.0) -> Tensor:
    """`x` with its last axes padded."""
    amounts = [n for pair in zip(reversed(before), reversed(after), strict=True) for n in pair]
    return F.pad(x, amounts, value=value)
