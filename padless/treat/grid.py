"""The scales by which INT8 stores filters: where weights lie on a grid of few levels, its own."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LARGEST = 127  # code
SMALLEST = 1e-8  # scale
COARSE = 32  # levels above zero of a grid that is looked for
FEWEST = 32  # weights of a filter: fewer lie on a coarse grid by chance, and biases have steps of it, too
EXACT, ROUNDED = 1e-3, 8e-3  # of a level, and of a weight: bfloat16 rounds it and the largest by 0.4 % each
SOME = 64  # weights that are looked at first


def scales(filters: Floats) -> Floats:
    """[N] the symmetric INT8 scale of each filter [N, weights].

    Where a filter of 32 weights or more has only multiples of a step, up to 32 of them, that is the step: a treated filter
    keeps few codes, which compilers store in few bits, and none of its weights is rounded again. Else the largest weight
    becomes 127.
    """
    largest: Floats = np.abs(filters).max(1, initial=0.0)
    chosen = largest / LARGEST
    left = np.flatnonzero(largest) if filters.shape[1] >= FEWEST else np.empty(0, np.int64)
    for most in range(1, COARSE + 1):
        fits = left[_whole(filters[left, :SOME], largest[left] / most)]
        fits = fits[_whole(filters[fits], largest[fits] / most)]
        chosen[fits] = largest[fits] / most
        left = np.setdiff1d(left, fits)
    floored: Floats = np.maximum(chosen, SMALLEST)
    return floored


def _whole(filters: Floats, steps: Floats) -> npt.NDArray[np.bool_]:
    """[N] whether all weights are multiples of their filter's step."""
    codes = filters / steps[:, None]
    off = np.abs(codes - codes.round()) - ROUNDED * np.abs(codes)
    whole: npt.NDArray[np.bool_] = off.max(1) <= EXACT
    return whole
