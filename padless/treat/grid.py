"""The scales by which INT8 stores filters: where weights lie on a grid of few levels, its own."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LARGEST = 127  # code
SMALLEST = 1e-8  # scale
COARSE = 32  # levels above zero of a grid that is looked for
FEWEST = 32  # weights of a filter that is asked whether it lies on one: any few do
EXACT = 1e-3  # of a level


def scales(filters: Floats) -> Floats:
    """[N] the symmetric INT8 scale of each filter [N, weights].

    Where every filter's weights are multiples of a step, up to 32 of them, that is its step: a treated layer keeps few
    codes, which compilers store in few bits, and none of its weights is rounded again. Else the largest becomes 127.
    """
    steps = _steps(filters)
    chosen: Floats = np.maximum(np.abs(filters).max(1, initial=0.0) / LARGEST if steps is None else steps, SMALLEST)
    return chosen


def _steps(filters: Floats) -> Floats | None:
    """[N] the widest step of which each filter's weights are multiples; None where one has none."""
    largest: Floats = np.abs(filters).max(1, initial=0.0)
    left = np.flatnonzero(largest)
    if filters.shape[1] < FEWEST or not len(left):
        return None
    shares = filters[left[0]] / largest[left[0]]
    if len(np.unique(np.abs(shares).round(5))) > COARSE + 1:  # most layers need no more than this
        return None
    steps = largest.copy()
    for most in range(1, COARSE + 1):
        codes = filters[left] * (most / largest[left])[:, None]
        fits = np.abs(codes - codes.round()).max(1) < EXACT
        steps[left[fits]] = largest[left[fits]] / most
        left = left[~fits]
        if not len(left):
            return steps
    return None
