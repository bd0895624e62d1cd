"""Two convolutions, one behind the other."""

from itertools import pairwise

from torch import nn


def chain(*widths: int, kernel: int = 1) -> nn.Module:
    return nn.Sequential(*(nn.Conv2d(a, b, kernel, padding=kernel // 2) for a, b in pairwise(widths)))
