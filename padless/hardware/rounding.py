"""The only rounding in padless: of whole numbers, or of arrays of them."""

from typing import overload

import numpy as np
import numpy.typing as npt

Wholes = npt.NDArray[np.int64]


@overload
def ceil_div(n: int, size: int) -> int: ...
@overload
def ceil_div(n: Wholes, size: int) -> Wholes: ...
def ceil_div(n: int | Wholes, size: int) -> int | Wholes:
    """How many parts of `size` hold `n`: 33 channels are 3 units of 16."""
    return -(-n // size)


@overload
def round_up(n: int, unit: int) -> int: ...
@overload
def round_up(n: Wholes, unit: int) -> Wholes: ...
def round_up(n: int | Wholes, unit: int) -> int | Wholes:
    """The smallest multiple of `unit` that is at least `n`: 33 channels in units of 16 occupy 48."""
    return ceil_div(n, unit) * unit
