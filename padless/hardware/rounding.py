"""The only rounding in padless."""


def round_up(n: int, unit: int) -> int:
    """The smallest multiple of `unit` that is at least `n`: 33 channels in units of 16 occupy 48."""
    return -(-n // unit) * unit
