"""How many channels each group keeps, and which: `uniform` and `global`.

Both turn one ratio into widths. Given the feasible widths of the target they are NPU-aware; given every width they are
general pruning, the baseline of Lee et al. (ICEIC 2023).
"""

from collections.abc import Callable, Mapping

import numpy as np

from padless.choose.importance import Scores, relative
from padless.choose.levels import Levels
from padless.cost import Keep
from padless.graph import Graph

Allocation = Callable[[Graph, Scores, Levels, float], dict[str, int]]

# A threshold over all layers can starve one of them, and no recovery brings back a layer without channels.
FLOOR = 0.1


def uniform(graph: Graph, scores: Scores, levels: Levels, ratio: float) -> dict[str, int]:
    """Every group keeps the same share, 1 - ratio, of its channels (to the nearest allowed width)."""
    return levels.settle({g.id: (1 - ratio) * g.width for g in graph.groups})


def global_threshold(graph: Graph, scores: Scores, levels: Levels, ratio: float) -> dict[str, int]:
    """One threshold over the whole network: the `ratio` least important of all channels go.

    Scores are taken relative to their group's mean. A group keeps at least a tenth of its channels. Each count then
    moves to the nearest allowed width.
    """
    free = np.concatenate([np.arange(graph.channels)[g.channels] for g in graph.groups if not g.pinned])
    score = relative(graph, scores)
    ordered = np.sort(score[free])
    threshold = np.append(ordered, np.inf)[round(ratio * len(ordered))]
    kept = {g.id: int((score[g.channels] >= threshold).sum()) for g in graph.groups}
    return levels.settle({g.id: max(kept[g.id], FLOOR * g.width) for g in graph.groups})


ALLOCATIONS: dict[str, Allocation] = {"uniform": uniform, "global": global_threshold}


def strongest(graph: Graph, scores: Scores, widths: Mapping[str, int]) -> Keep:
    """The channels to keep: in each group its most important ones, ties to the lower index.

    A width above the group's own is made up with zeros behind its last channel.
    """
    keep = np.zeros(graph.channels, dtype=np.int64)
    for group in graph.groups:
        order = np.argsort(-scores[group.channels], kind="stable")
        keep[group.first + order[: widths[group.id]]] = 1
        keep[group.first + group.width - 1] += max(0, widths[group.id] - group.width)
    return keep
