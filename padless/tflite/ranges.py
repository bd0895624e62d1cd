"""Which range of numbers each activation is given, from what was seen of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

BINS: Final = 2048
METHODS: Final = ("mse", "percentile", "minmax")
SHARE: Final = 0.9999  # of the numbers that `percentile` keeps
STEPS: Final = 40  # ends that `mse` tries on each side
Histogram = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """An activation over the calibration images: its extremes, and how often it lay in each of `BINS` equal steps."""

    low: float
    high: float
    counts: Histogram


def chosen(seen: Mapping[int, Seen], method: str, bits: int = 8) -> dict[int, tuple[float, float]]:
    """The range of each activation, by its index; zero always lies in it.

    `minmax` takes the extremes, `percentile` what is left without the outermost ten-thousandth, `mse` the range whose
    rounding and clipping together have the smallest mean square, over the histogram.
    """
    return {index: _of(observed, method, bits) for index, observed in seen.items()}


def _of(seen: Seen, method: str, bits: int) -> tuple[float, float]:
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    if method == "minmax" or seen.high <= seen.low or not seen.counts.any():
        return low, high
    edges = np.linspace(seen.low, seen.high, BINS + 1)
    if method == "percentile":
        return _percentile(seen.counts, edges)
    return _least_square(seen.counts, edges, low, high, bits)


def _percentile(counts: Histogram, edges: npt.NDArray[np.float64]) -> tuple[float, float]:
    below = np.cumsum(counts) / counts.sum()
    tail = (1 - SHARE) / 2
    low = edges[int(np.searchsorted(below, tail, side="right"))]
    high = edges[int(np.searchsorted(below, 1 - tail)) + 1]
    return min(float(low), 0.0), max(float(high), 0.0)


def _least_square(
    counts: Histogram, edges: npt.NDArray[np.float64], low: float, high: float, bits: int
) -> tuple[float, float]:
    """Each end in turn, the other one held, twice: the error is nearly convex in both."""
    centres = (edges[:-1] + edges[1:]) / 2
    filled = counts > 0
    values, weights = centres[filled], counts[filled].astype(float)
    levels = 2**bits - 1

    def errors(lows: npt.NDArray[np.float64], highs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """For each range the mean square of what is clipped, and a uniform rounding error within."""
        a, b = lows[:, None], highs[:, None]
        outside = np.maximum(a - values, 0) + np.maximum(values - b, 0)
        rounding = ((b - a) / levels) ** 2 / 12
        return np.asarray(np.where(outside > 0, outside**2, rounding) @ weights)

    shares = np.linspace(1, 1 / STEPS, STEPS)
    for _ in range(2):
        if high > 0:
            tried = high * shares
            high = float(tried[errors(np.full(STEPS, low), tried).argmin()])
        if low < 0:
            tried = low * shares
            low = float(tried[errors(tried, np.full(STEPS, high)).argmin()])
    return low, high
