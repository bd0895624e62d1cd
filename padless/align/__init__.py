"""Which widths fill whole units on a target."""

from padless.align.joint import JointAxis
from padless.align.levels import Levels, aligned_levels, free_levels, priced_levels

__all__ = ["JointAxis", "Levels", "aligned_levels", "free_levels", "priced_levels"]
