"""A layer's weights in closed form: from the inputs that it has now to the outputs that it should have.

Least squares over a layer's unfolded inputs is the reconstruction of He et al. ("Channel Pruning", ICCV 2017) and Luo et
al. ("ThiNet", ICCV 2017); mixing replaces each missing input channel by a linear combination of those that are left
(compare Kim et al., "Neuron Merging", NeurIPS 2020).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from padless.calls import channel_rows
from padless.hardware.rounding import ceil_div
from padless.recover.in_order import Fit
from padless.recover.moments import Rows, Sums

CHUNK = 32  # images whose inputs are unfolded at a time
SAMPLES = 16  # positions a column, at most
LEAST_SAMPLES = 16384
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)  # of the mean variance of a column; the one that holds out best is taken
ROUNDING = 1e-7  # of the outputs' squares: what float32 can tell apart
MIXING_RIDGE = 1e-3  # likewise
WIDEST = 6144  # columns of a layer that is solved for; wider ones are mixed
HELD_OUT = 8  # one image of so many chooses the ridge


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
    few = _row_count(x, y, linear, start.shape[1]) < start.shape[1]
    fit, held = gathered(x, y, arguments, linear=linear, few=few)
    found = ridged(fit, held, start, shifts=shifts)
    if found is None:
        return near
    w, shift = found
    new = w.transpose(1, 2).reshape(weight.shape).to(weight)
    return Fit(weight=new, shift=shift.flatten().to(weight) if shifts else None)


def gathered(x: Tensor, y: Tensor, arguments: Mapping[str, Any], *, linear: bool, few: bool = False) -> tuple[Any, Any]:
    """Sums (`few`: the rows) of a layer's unfolded inputs and wanted outputs: to solve with, and held out."""
    fit, held = _moments(few), _moments(few)
    width = arguments["weight"][0].numel()
    for part, columns, wanted in _columns(x, y, arguments, linear, width):
        (held if part % HELD_OUT == HELD_OUT - 1 else fit).add(columns, wanted)
    return fit, held if held.rows else fit


def ridged(fit: Any, held: Any, start: Tensor, *, shifts: bool) -> tuple[Tensor, Tensor] | None:
    """Weights [G, D, O] pulled towards `start` as strongly as suits what is held out, and shifts [G, O].

    None where `start` is as good there.
    """
    moved = fit.residual(start)
    best, ridge = held.error(start, moved if shifts else torch.zeros_like(moved)), None
    best -= ROUNDING * held.squares / held.rows
    for candidate in RIDGES:
        w, shift = fit.ridged(start, candidate, shifts)
        error = held.error(w, shift)
        if error < best:
            best, ridge = error, candidate
    if ridge is None:
        return None
    w, shift = (fit + held if held is not fit else fit).ridged(start, ridge, shifts)
    return w, shift


def _moments(few: bool) -> Any:  # the two add up with their like alone
    """Where rows are gathered, to be solved by what is less: the rows or their sums."""
    return Rows() if few else Sums()


def _row_count(x: Tensor, y: Tensor, linear: bool, width: int) -> int:
    """How many rows `_columns` yields in all."""
    return x[..., 0].numel() if linear else len(x) * _sampled(y, width)


def _sampled(y: Tensor, width: int) -> int:
    """How many of a map's positions are rows."""
    return min(y[0, 0].numel(), ceil_div(max(LEAST_SAMPLES, SAMPLES * width), len(y)))


def _columns(
    x: Tensor, y: Tensor, arguments: Mapping[str, Any], linear: bool, width: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Chunks of images: their number, X [G, rows, D] and Y [G, rows, O]."""
    generator = torch.Generator().manual_seed(0)
    groups = arguments["groups"]
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
    sampled = _sampled(y, width)
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
    rows = x.numel() // len(kept)
    few = rows < len(kept)
    moments = _moments(few)
    for a, b in zip(x.split(CHUNK), dense.split(CHUNK), strict=True):
        moments.add(channel_rows(a, linear, folded)[None], channel_rows(b, linear, folded)[None])
    weights = full.double()
    if strides:
        weights = weights.transpose(0, 1)
    per_channel = weights.reshape(len(weights), dense.numel() // rows, -1)  # [O, all, taps or places]
    replaced = _replaced_by_rows if few else _replaced_by_sums
    new, shift = replaced(moments, per_channel, kept, shifts)
    shift = None if shift is None else shift / (strides or 1)
    new = new.reshape(len(weights), -1, *weights.shape[2:])
    new = new.transpose(0, 1) if strides else new
    return Fit(weight=new.reshape(weight.shape).to(x), shift=None if shift is None else shift.to(x))


def _replaced_by_sums(sums: Sums, per_channel: Tensor, kept: Tensor, shifts: bool) -> tuple[Tensor, Tensor | None]:
    """[O, kept, taps] the weights once each channel is a combination of the kept ones, and what the outputs lack."""
    start = torch.zeros(1, len(kept), per_channel.shape[1], dtype=torch.float64, device=per_channel.device)
    there = kept >= 0
    start[0, there.nonzero()[:, 0], kept[there]] = 1.0
    m, offset = sums.ridged(start, MIXING_RIDGE, shifts)  # [1, kept, all]
    new = torch.einsum("oct,sc->ost", per_channel, m[0])
    return new, torch.einsum("oct,c->o", per_channel, offset[0]) if shifts else None


def _replaced_by_rows(rows: Rows, per_channel: Tensor, kept: Tensor, shifts: bool) -> tuple[Tensor, Tensor | None]:
    """The same from few rows, without the combinations: they are as many as kept channels times all channels."""
    x, y = (part[0] for part in rows.together())  # [rows, kept], [rows, all]
    there = kept >= 0
    off = y.clone()
    off.index_add_(1, kept[there], x[:, there], alpha=-1)
    weights = rows.row_weights(off[None], MIXING_RIDGE, shifts)[0]  # [rows, all]
    centred = x - x.mean(0) if shifts else x
    new = torch.einsum("ont,ns->ost", torch.einsum("oct,nc->ont", per_channel, weights), centred)
    new[:, there] += per_channel[:, kept[there]]
    if not shifts:
        return new, None
    offset = off.mean(0) - (x.mean(0) @ centred.T) @ weights
    return new, torch.einsum("oct,c->o", per_channel, offset)
