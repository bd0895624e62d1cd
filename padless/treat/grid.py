"""The scales by which INT8 stores filters: where weights lie on a grid of few levels, its own."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LARGEST = 127  # code
SMALLEST = 1e-8  # scale
COARSE = 32  # levels above zero of a grid that is looked for
FEWEST = 16  # weights of a filter that are not zero: biases are stored in steps of its scale, which would be coarse
EXACT, ROUNDED = 1e-3, 8e-3  # of a level, and of a weight: bfloat16 rounds it and the largest by 0.4 % each
SOME = 64  # weights that are looked at first
OWN = 1e-13  # mean square of what float32 rounds by


def scales(filters: Floats) -> Floats:
    """[N] the symmetric INT8 scale of each filter [N, weights].

    Where a filter of 16 weights or more beside zeros has only multiples of a step, up to 32 of them, that is the step: a
    treated filter keeps few codes, which compilers store in few bits, and none of its weights is rounded again. Else, and
    where it is more exact, the largest weight becomes 127.
    """
    largest: Floats = np.abs(filters).max(1, initial=0.0)
    chosen = largest / LARGEST
    left = np.flatnonzero((filters != 0).sum(1) >= FEWEST)
    for most in range(1, COARSE + 1):
        fits = left[_whole(filters[left, :SOME], largest[left] / most)]
        fits = fits[_whole(filters[fits], largest[fits] / most)]
        fits = fits[_lost(filters[fits], largest[fits] / most) <= _lost(filters[fits], chosen[fits])]
        chosen[fits] = largest[fits] / most
        left = np.setdiff1d(left, fits)
    floored: Floats = np.maximum(chosen, SMALLEST)
    return floored


def _lost(filters: Floats, steps: Floats) -> Floats:
    """[N] the mean square that rounding loses, in squares of the largest weight, from float32's own rounding on."""
    codes = filters / steps[:, None]
    off = np.square((codes - codes.round()) * steps[:, None]).mean(1) / np.square(filters).max(1, initial=1e-300)
    lost: Floats = np.maximum(off, OWN)
    return lost


def _whole(filters: Floats, steps: Floats) -> npt.NDArray[np.bool_]:
    """[N] whether all weights are multiples of their filter's step."""
    codes = filters / steps[:, None]
    off = np.abs(codes - codes.round()) - ROUNDED * np.abs(codes)
    whole: npt.NDArray[np.bool_] = off.max(1) <= EXACT
    return whole
