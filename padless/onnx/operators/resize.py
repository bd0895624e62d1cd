"""Resizing and sampling"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from padless.onnx.operators.table import listed, operator, plain

LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


@operator("Upsample", inputs="x scales", constant="scales")
def upsample(node: Any, x: Tensor, scales: Any = None) -> Tensor:
    """The old form of Resize: nearest or linear, by scales."""
    factors = [float(s) for s in listed(node.get("scales", scales))]
    return _resized(node, x, factors, None, "asymmetric", "floor")


@operator("Resize", inputs="x roi scales sizes", constant="roi scales")
def resize(node: Any, x: Tensor, roi: Any = None, scales: Any = None, sizes: Any = None) -> Tensor:
    """Maps of another size: nearest in every way; linear; cubic with a coefficient of -0.75. Antialiasing and crops are
    refused.
    """
    if node.opset < 11:
        return _resized(node, x, [float(s) for s in listed(roi)], None, "asymmetric", "floor")
    if node.get("antialias", 0) or node.get("exclude_outside", 0):
        raise node.refused("is antialiased or excludes the outside")
    if node.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.refused("keeps the aspect ratio")
    axes = [a % x.ndim for a in node.get("axes", range(x.ndim))]
    factors: list[float] | None = None
    wanted: list[int] | None = None
    if scales is not None and listed(scales):
        factors = [1.0] * x.ndim
        for axis, factor in zip(axes, listed(scales), strict=True):
            factors[axis] = float(factor)
    else:
        wanted = [plain(n) for n in x.shape]
        for axis, size in zip(axes, listed(sizes), strict=True):
            if axis > 1:
                wanted[axis] = size
    how = node.get("coordinate_transformation_mode", "half_pixel")
    return _resized(node, x, factors, wanted, how, node.get("nearest_mode", "round_prefer_floor"))


def _resized(
    node: Any, x: Tensor, factors: Sequence[float] | None, wanted: Sequence[int] | None, how: str, rounding: str
) -> Tensor:
    if how == "tf_crop_and_resize":
        raise node.refused("crops")
    spatial = x.ndim - 2
    old = [plain(n) for n in x.shape[2:]]
    if factors is not None:
        if any(f != 1 for f in factors[:2]):
            raise node.refused("resizes channels")
        scales = list(factors[2:])
        new = [math.floor(n * f) for n, f in zip(old, scales, strict=True)]
    else:
        assert wanted is not None
        new = [plain(n) for n in wanted[2:]]
        scales = [b / a for a, b in zip(old, new, strict=True)]
    if new == old:
        return x
    mode = node.get("mode", "nearest")
    if mode == "nearest":
        return _nearest(x, [_source(how, *each) for each in zip(old, new, scales, strict=True)], rounding)
    aligned = how == "align_corners"
    usual = aligned or how == "half_pixel" or (how == "pytorch_half_pixel" and min(new) > 1)
    kind = LINEAR.get(spatial) if mode == "linear" else "bicubic" if spatial == 2 else None
    if kind and usual and (mode == "linear" or abs(node.get("cubic_coeff_a", -0.75) + 0.75) < 1e-6):
        exact = all(n * s == m for n, s, m in zip(old, scales, new, strict=True))
        if aligned and not exact:
            raise node.refused("aligns corners by scales that give no whole size")
        if exact or factors is None:
            return F.interpolate(x, size=new, mode=kind, align_corners=aligned)
        return F.interpolate(x, scale_factor=scales, mode=kind, align_corners=False, recompute_scale_factor=False)
    if mode == "linear":
        return _linear(x, [_source(how, *each) for each in zip(old, new, scales, strict=True)])
    raise node.refused(f"is {mode} with {how} and a coefficient of {node.get('cubic_coeff_a', -0.75):g}")


def _source(how: str, old: int, new: int, scale: float) -> list[float]:
    """Where each new position lies among the old ones."""
    if how == "align_corners":
        return [i * (old - 1) / (new - 1) if new > 1 else 0.0 for i in range(new)]
    if how == "asymmetric":
        return [i / scale for i in range(new)]
    if how == "pytorch_half_pixel" and new == 1:
        return [0.0]
    if how == "half_pixel_symmetric":
        offset = old / 2 * (1 - new / (scale * old))
        return [offset + (i + 0.5) / scale - 0.5 for i in range(new)]
    return [(i + 0.5) / scale - 0.5 for i in range(new)]


ROUNDINGS = {
    "floor": math.floor, "ceil": math.ceil, "round_prefer_floor": lambda p: math.ceil(p - 0.5),
    "round_prefer_ceil": lambda p: math.floor(p + 0.5),
}  # fmt: skip


def _nearest(x: Tensor, places: Sequence[Sequence[float]], rounding: str) -> Tensor:
    """Torch's own function where it picks the same positions, else each axis' positions."""
    old, new = [plain(n) for n in x.shape[2:]], [len(p) for p in places]
    picked = [[min(max(ROUNDINGS[rounding](p), 0), n - 1) for p in axis] for axis, n in zip(places, old, strict=True)]
    for mode, offset in (("nearest", 0.0), ("nearest-exact", 0.5)):
        same = [[min(math.floor((i + offset) * n / m), n - 1) for i in range(m)] for n, m in zip(old, new, strict=True)]
        if same == picked:
            return F.interpolate(x, size=new, mode=mode)
    for axis, positions in enumerate(picked):
        x = x.index_select(axis + 2, torch.tensor(positions, device=x.device))
    return x


def _linear(x: Tensor, places: Sequence[Sequence[float]]) -> Tensor:
    """Between the two neighbours along each axis in turn."""
    for axis, positions in enumerate(places, 2):
        last = plain(x.shape[axis]) - 1
        inside = [min(max(p, 0.0), float(last)) for p in positions]
        below = [math.floor(p) for p in inside]
        above = [min(b + 1, last) for b in below]
        shape = [-1 if a == axis else 1 for a in range(x.ndim)]
        shares = [p - b for p, b in zip(inside, below, strict=True)]
        share = torch.tensor(shares, dtype=x.dtype, device=x.device).reshape(shape)
        low, high = (x.index_select(axis, torch.tensor(p, device=x.device)) for p in (below, above))
        x = low + (high - low) * share
    return x


@operator("GridSample", inputs="x grid")
def grid_sample(node: Any, x: Tensor, grid: Tensor) -> Tensor:
    """Values at given places, nearest, linear or cubic."""
    modes = {"linear": "bilinear", "cubic": "bicubic"}
    mode = node.get("mode", "bilinear" if node.opset < 20 else "linear")
    return F.grid_sample(
        x, grid, modes.get(mode, mode), node.get("padding_mode", "zeros"), bool(node.get("align_corners", 0))
    )
