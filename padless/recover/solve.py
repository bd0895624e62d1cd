"""A layer's weights in closed form: from the inputs that it has now to the outputs that it should have.

Least squares over a layer's unfolded inputs is the reconstruction of He et al. ("Channel Pruning", ICCV 2017) and Luo et
al. ("ThiNet", ICCV 2017); mixing replaces each missing input channel by a linear combination of those that are left
(compare Kim et al., "Neuron Merging", NeurIPS 2020).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from padless.calls import channel_rows
from padless.moments.columns import CHUNK, empty, gathered, row_count
from padless.moments.sums import Rows, Sums
from padless.recover.in_order import Fit

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)  # of the mean variance of a column; the one that holds out best is taken
ROUNDING = 1e-7  # of the outputs' squares: what float32 can tell apart
MIXING_RIDGE = 1e-3  # likewise


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
    few = row_count(x, y, linear, start.shape[1]) < start.shape[1]
    fit, held = gathered(x, y, arguments, linear=linear, few=few)
    found = ridged(fit, held, start, shifts=shifts)
    if found is None:
        return near
    w, shift = found
    new = w.transpose(1, 2).reshape(weight.shape).to(weight)
    return Fit(weight=new, shift=shift.flatten().to(weight) if shifts else None)


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
    moments = empty(few)
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
