"""A layer's weights in closed form: from the inputs that it has now to the outputs that it should have.

Least squares over a layer's unfolded inputs is the reconstruction of He et al. ("Channel Pruning", ICCV 2017) and Luo et
al. ("ThiNet", ICCV 2017); mixing replaces each missing input channel by a linear combination of those that are left
(compare Kim et al., "Neuron Merging", NeurIPS 2020).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from padless.calls import channel_rows
from padless.errors import PadlessError
from padless.hardware.rounding import ceil_div

CHUNK = 32  # images whose inputs are unfolded at a time
SAMPLES = 16  # positions a column, at most
LEAST_SAMPLES = 16384
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)  # of the mean variance of a column; the one that holds out best is taken
ROUNDING = 1e-7  # of the outputs' squares: what float32 can tell apart
MIXING_RIDGE = 1e-3  # likewise
WIDEST = 6144  # columns of a layer that is solved for; wider ones are mixed
HELD_OUT = 8  # one image of so many chooses the ridge


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """New weights of a layer and what to add to its outputs."""

    weight: Tensor  # as the layer's own
    shift: Tensor | None  # [c_out]


@dataclass(slots=True, kw_only=True)
class Sums:
    """Second moments of a layer's columns X [rows, D] and wanted outputs Y [rows, O], a set a group of filters, float64."""

    rows: int = 0
    xx: Any = 0.0  # [G, D, D]
    xy: Any = 0.0  # [G, D, O]
    yy: Any = 0.0  # [G, O]
    x: Any = 0.0  # [G, D]
    y: Any = 0.0  # [G, O]

    def add(self, x: Tensor, y: Tensor) -> None:
        self.rows += x.shape[1]
        self.xx += (x.transpose(1, 2) @ x).double()
        self.xy += (x.transpose(1, 2) @ y).double()
        self.yy += y.square().sum(1, dtype=torch.float64)
        self.x += x.sum(1, dtype=torch.float64)
        self.y += y.sum(1, dtype=torch.float64)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            rows=self.rows + other.rows, xx=self.xx + other.xx, xy=self.xy + other.xy, yy=self.yy + other.yy,
            x=self.x + other.x, y=self.y + other.y,
        )  # fmt: skip

    def error(self, w: Tensor, shift: Tensor) -> float:
        """The mean squared error of Y ~ X w + shift, w [G, D, O], summed over outputs."""
        fitted = self.xx @ w
        squares = self.yy - 2 * (w * self.xy).sum(1) + (w * fitted).sum(1) + self.rows * shift.square()
        squares = squares - 2 * shift * (self.y - (w * self.x[:, :, None]).sum(1))
        return float(squares.sum()) / max(1, self.rows)


def least_squares(
    x: Tensor, y: Tensor, arguments: Mapping[str, Any], near: Fit | None, *, linear: bool, shifts: bool
) -> Fit | None:
    """The weights that bring a layer's outputs on x [N, ...] nearest to y [N, ...].

    A ridge pulls towards `near`, else to the weights that are there; how strongly is decided on images that are held out,
    where nothing better is found on them, the answer is `near`. What gains no more than the rounding of the outputs is
    no better. With `shifts` the outputs may also be moved by a constant each. Positions are sampled, so that time and
    memory are bounded by the columns: 16 rows a column, at least 16,384.
    """
    weight = arguments["weight"]
    towards = (near.weight if near else weight).double().flatten(1)
    start = towards.unflatten(0, (arguments["groups"], -1)).transpose(1, 2)  # [G, D, O]
    fit, held = Sums(), Sums()
    for part, columns, wanted in _columns(x, y, arguments, linear, start.shape[1]):
        (held if part % HELD_OUT == HELD_OUT - 1 else fit).add(columns, wanted)
    if not held.rows:
        held = fit
    none = torch.zeros_like(fit.y)
    best, ridge = held.error(start, fit.y / fit.rows - _through(start, fit) if shifts else none), None
    best -= ROUNDING * float(held.yy.sum()) / held.rows
    for candidate in RIDGES:
        w, shift = _ridged(fit, start, candidate, shifts)
        error = held.error(w, shift)
        if error < best:
            best, ridge = error, candidate
    if ridge is None:
        return near
    w, shift = _ridged(fit + held if held is not fit else fit, start, ridge, shifts)
    new = w.transpose(1, 2).reshape(weight.shape).to(weight)
    return Fit(weight=new, shift=shift.flatten().to(weight) if shifts else None)


def _through(w: Tensor, sums: Sums) -> Tensor:
    """[G, O] the mean of X w."""
    mean: Tensor = (w * sums.x[:, :, None]).sum(1) / sums.rows
    return mean


def _ridged(sums: Sums, start: Tensor, ridge: float, shifts: bool) -> tuple[Tensor, Tensor]:
    """w [G, D, O] and the shift [G, O]. A Cholesky that fails gets a ridge ten times as high."""
    xx, xy = sums.xx / sums.rows, sums.xy / sums.rows
    if shifts:
        mean_x, mean_y = sums.x / sums.rows, sums.y / sums.rows
        xx = xx - mean_x[:, :, None] * mean_x[:, None]
        xy = xy - mean_x[:, :, None] * mean_y[:, None]
    if not (xx.isfinite().all() and xy.isfinite().all()):
        raise PadlessError(
            "A layer's inputs or outputs are not finite on the calibration images. Check them and the weights."
        )
    scale = xx.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-12)[:, None, None]
    eye = torch.eye(xx.shape[1], dtype=xx.dtype, device=xx.device)
    while True:
        factor, failed = torch.linalg.cholesky_ex(xx + ridge * scale * eye)
        if not failed.any():
            break
        ridge *= 10
    w = torch.cholesky_solve(xy + ridge * scale * start, factor)
    return w, mean_y - _through(w, sums) if shifts else torch.zeros_like(sums.y)


def _columns(
    x: Tensor, y: Tensor, arguments: Mapping[str, Any], linear: bool, width: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Chunks of images: their number, X [G, rows, D] and Y [G, rows, O]."""
    generator = torch.Generator().manual_seed(0)
    groups = arguments["groups"]
    most = max(LEAST_SAMPLES, SAMPLES * width)
    size = min(CHUNK, max(1, len(x) // HELD_OUT))
    parts = zip(x.split(size), y.split(size), strict=True)
    if linear:
        for i, (a, b) in enumerate(parts):
            yield i, a.reshape(1, -1, a.shape[-1]), b.reshape(1, -1, b.shape[-1])
        return
    spatial = arguments["weight"].ndim - 2
    kernel = pair(arguments["weight"].shape[2:], 1, spatial)
    stride, padding, dilation = (
        pair(arguments[k], row, spatial) for k, row in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    places = y[0, 0].numel()
    sampled = min(places, ceil_div(most, len(x)))
    for i, (a, b) in enumerate(parts):
        at = torch.randperm(places, generator=generator)[:sampled].to(x.device)
        a = a if spatial == 2 else a[:, :, None]
        unfolded = F.unfold(a, kernel, dilation, padding, stride)[:, :, at]  # [n, C * taps, sampled]
        wanted = b.flatten(2)[:, :, at]
        yield i, _by_group(unfolded, groups), _by_group(wanted, groups)


def pair(value: Any, row: int, spatial: int) -> tuple[int, int]:
    """A window's number for rows and columns; a map of one dimension is one row, whose number is `row`."""
    numbers = tuple(value) if isinstance(value, tuple | list | torch.Size) else (value,) * spatial
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else (row, int(numbers[0]))


def _by_group(x: Tensor, groups: int) -> Tensor:
    """[n, G * D, places] as [G, n * places, D]"""
    grouped: Tensor = x.unflatten(1, (groups, -1)).permute(1, 0, 3, 2).flatten(1, 2)
    return grouped


def mixed(
    x: Tensor, dense: Tensor, weight: Tensor, full: Tensor, kept: Tensor, folded: int, *,
    linear: bool, strides: int | None, shifts: bool,
) -> Fit:  # fmt: skip
    """The weights with each missing input channel replaced by a linear combination of those that are there.

    `dense` [N, ...] is the input with all channels, `full` are the weights over all of them (for the outputs that are
    there), `kept` [c_in] says which of them the inputs are (-1: none, zeros). `folded` neighbouring inputs of a linear
    layer are one channel. `strides` is how many output positions a transposed convolution makes of one; None for others.
    For layers of one group.
    """
    sums = Sums()
    for a, b in zip(x.split(CHUNK), dense.split(CHUNK), strict=True):
        sums.add(channel_rows(a, linear, folded)[None], channel_rows(b, linear, folded)[None])
    width = len(kept)
    start = torch.zeros(1, width, sums.xy.shape[2], dtype=torch.float64, device=x.device)
    there = kept >= 0
    start[0, there.nonzero()[:, 0], kept[there]] = 1.0
    m, offset = _ridged(sums, start, MIXING_RIDGE, shifts)  # [1, kept, all]
    weights = full.double()
    if strides:
        weights = weights.transpose(0, 1)
    per_channel = weights.reshape(len(weights), sums.xy.shape[2], -1)  # [O, all, taps or places]
    new = torch.einsum("oct,sc->ost", per_channel, m[0])
    shift = torch.einsum("oct,c->o", per_channel, offset[0]) / (strides or 1) if shifts else None
    new = new.reshape(len(weights), -1, *weights.shape[2:])
    new = new.transpose(0, 1) if strides else new
    return Fit(weight=new.reshape(weight.shape).to(x), shift=None if shift is None else shift.to(x))
