"""A layer's inputs as columns, one for each of a filter's weights, and their moments beside the outputs that are wanted."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from padless.hardware.rounding import ceil_div
from padless.moments.sums import Rows, Sums

CHUNK = 32  # images whose inputs are unfolded at a time
SAMPLES = 16  # positions a column, at most
LEAST_SAMPLES = 16384
HELD_OUT = 8  # one image of so many is held out
WIDEST = 6144  # columns of a layer whose moments are taken


def gathered(x: Tensor, y: Tensor, arguments: Mapping[str, Any], *, linear: bool, few: bool = False) -> tuple[Any, Any]:
    """Sums (`few`: the rows) of a layer's unfolded inputs and wanted outputs: to solve with, and held out."""
    fit, held = empty(few), empty(few)
    width = arguments["weight"][0].numel()
    for part, rows, wanted in columns(x, y, arguments, linear, width):
        (held if part % HELD_OUT == HELD_OUT - 1 else fit).add(rows, wanted)
    return fit, held if held.rows else fit


def empty(few: bool) -> Any:  # the two add up with their like alone
    """Where rows are gathered, to be solved by what is less: the rows or their sums."""
    return Rows() if few else Sums()


def row_count(x: Tensor, y: Tensor, linear: bool, width: int) -> int:
    """How many rows `columns` yields in all."""
    return x[..., 0].numel() if linear else len(x) * _sampled(y, width)


def _sampled(y: Tensor, width: int) -> int:
    """How many of a map's positions are rows."""
    return min(y[0, 0].numel(), ceil_div(max(LEAST_SAMPLES, SAMPLES * width), len(y)))


def columns(
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
    places = y[0, 0].numel()
    sampled = _sampled(y, width)
    for i, (a, b) in enumerate(parts):
        at = torch.randperm(places, generator=generator)[:sampled].to(x.device)
        yield i, _by_group(unfolded(a, arguments)[:, :, at], groups), _by_group(b.flatten(2)[:, :, at], groups)


def unfolded(x: Tensor, arguments: Mapping[str, Any]) -> Tensor:
    """[N, C * taps, places] what a convolution of one or two dimensions with these arguments multiplies its weights by."""
    spatial = arguments["weight"].ndim - 2
    kernel = pair(arguments["weight"].shape[2:], 1, spatial)
    stride, padding, dilation = (
        pair(arguments[k], row, spatial) for k, row in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    return F.unfold(x if spatial == 2 else x[:, :, None], kernel, dilation, padding, stride)


def pair(value: Any, row: int, spatial: int) -> tuple[int, int]:
    """A window's number for rows and columns; a map of one dimension is one row, whose number is `row`."""
    numbers = tuple(value) if isinstance(value, tuple | list | torch.Size) else (value,) * spatial
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else (row, int(numbers[0]))


def _by_group(x: Tensor, groups: int) -> Tensor:
    """[n, G * D, places] as [G, n * places, D]"""
    grouped: Tensor = x.unflatten(1, (groups, -1)).permute(1, 0, 3, 2).flatten(1, 2)
    return grouped
