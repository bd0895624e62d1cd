"""A criterion of one's own, found by its module's name."""

import numpy as np


def halves_last(graph, model, images):
    scores = np.ones(graph.channels)
    for group in graph.groups:
        scores[group.first : group.first + group.width // 2] = 0.5
    return scores
