"""The cheapest rivals: weights on a grid of few levels, or two of four, with every channel kept. They ask for no pruning.

Compilers that store weights entropy-coded (Arm's Vela for Ethos-U) fetch such weights in fewer bytes, so that a network
whose weights arrive slowly takes fewer cycles. Arm calls it weight clustering. Ethos-U85 skips two zeros of four. Here both
are at their best: compensated, by `padless.treat`.
"""

import copy
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from padless.graph import Graph
from padless.recover import treat
from padless.treat import Treatment
from padless.treat.layers import by_layer, round_weights

LEVELS = (129, 65, 33, 25, 17, 13, 9, 7, 5, 3)  # of a filter's weights, from the finest
GRIDS = tuple(Treatment(levels=levels) for levels in LEVELS)
SPARSE = (Treatment(sparse=True), *(Treatment(levels=levels, sparse=True) for levels in LEVELS))


def rounded(model: nn.Module, graph: Graph, treatment: Treatment) -> nn.Module:
    """A copy with each inner layer's weights at the nearest that the treatment allows: nothing makes up for it."""
    small = copy.deepcopy(model)
    round_weights(small, dict.fromkeys(by_layer(str(treatment), graph.layers), str(treatment)), graph.layers)
    return small


def finest(
    model: nn.Module,
    graph: Graph,
    images: Sequence[Tensor],
    cycles: Callable[[nn.Module], float],
    most: float,
    ladder: Sequence[Treatment] = GRIDS,
) -> tuple[nn.Module, Treatment] | None:
    """The copy of the finest treatment that takes at most so many cycles, and that treatment; None where none does.

    Rounded weights say quickly which may do; compensated ones compress a little worse, and must fit as well.
    """
    for treatment in ladder:
        if cycles(rounded(model, graph, treatment)) <= most:
            small = copy.deepcopy(model)
            treat(small, images, str(treatment))
            if cycles(small) <= most:
                return small, treatment
    return None
