"""How many channels each group keeps, without prices: `uniform` and `global`.

Both turn one ratio into widths. Given the feasible widths of the target they are NPU-aware; given every width they are
general pruning, the baseline of Lee et al. (ICEIC 2023).
"""

from collections.abc import Callable

import numpy as np

from padless.align.levels import Levels
from padless.graph import Graph
from padless.importance import Importance

Ratio = Callable[[Graph, Importance, Levels, float], dict[str, int]]

# A threshold over all layers can starve one of them, and no recovery brings back a layer without channels.
FLOOR = 0.1


def uniform(graph: Graph, importance: Importance, levels: Levels, ratio: float) -> dict[str, int]:
    """Every group keeps the same share, 1 - ratio, of its channels (to the nearest allowed width)."""
    return levels.settle({g.id: (1 - ratio) * g.width for g in graph.groups})


def global_threshold(graph: Graph, importance: Importance, levels: Levels, ratio: float) -> dict[str, int]:
    """One threshold over the whole network: the `ratio` least important of all channels go.

    Scores are taken relative to their group's mean, unless all groups have one unit. A group keeps at least a tenth of
    its channels. Each count then moves to the nearest allowed width.
    """
    scores = {}
    for group in graph.groups:
        curve = importance.curves[group.id]
        mine = np.diff(curve.kept)
        scores[group.id] = mine if importance.comparable else mine * group.width
    ordered = np.sort(np.concatenate([scores[g.id] for g in graph.groups if not g.pinned]))
    threshold = np.append(ordered, np.inf)[round(ratio * len(ordered))]
    kept = {g.id: int((scores[g.id] >= threshold).sum()) for g in graph.groups}
    return levels.settle({g.id: max(kept[g.id], FLOOR * g.width) for g in graph.groups})


RATIOS: dict[str, Ratio] = {"uniform": uniform, "global": global_threshold}
