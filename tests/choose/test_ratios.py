"""Widths by one ratio or one threshold."""

import numpy as np
import torch
from models.chain import chain
from models.networks import small

from padless import trace
from padless.align import free_levels
from padless.choose import RATIOS
from padless.choose.ratios import FLOOR
from padless.importance.curves import ranked

X = torch.zeros(1, 3, 16, 16)


def test_uniform_and_global_widths():
    graph = trace(small(), X)
    scores = ranked(graph, np.arange(graph.channels, dtype=float), comparable=False)
    free = free_levels(graph)
    assert RATIOS["uniform"](graph, scores, free, 0.5) == {"stem": 8, "block.body.0": 12, "down": 16, "head": 4}
    whole = RATIOS["global"](graph, scores, free, 0.0)
    assert whole == {g.id: g.width for g in graph.groups}
    least = RATIOS["global"](graph, scores, free, 1.0)
    assert all(least[g.id] == max(1, round(FLOOR * g.width)) for g in graph.groups if not g.pinned)
    kept = RATIOS["global"](graph, ranked(graph, np.ones(graph.channels), comparable=False), free, 0.4)
    assert kept["head"] == 4


def test_global_threshold_is_relative_to_the_groups_mean():
    graph = trace(chain(3, 4, 4, 2), torch.zeros(1, 3, 4, 4))
    scores = np.array([1, 2, 3, 4, 100, 200, 300, 400, 1, 1], dtype=float)
    assert RATIOS["global"](graph, ranked(graph, scores, comparable=False), free_levels(graph), 0.5) == {
        "0": 2, "1": 2, "2": 2,
    }  # fmt: skip
