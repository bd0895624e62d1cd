"""Importance from the weights alone, and the strongest channels by it."""

import numpy as np
import pytest
import torch
from models.chain import chain
from models.networks import small

from padless import trace
from padless.errors import UsageError
from padless.importance import importance, weights
from padless.importance.curves import ranked

X = torch.zeros(1, 3, 16, 16)


def test_importance_sums_over_everything_a_channel_touches():
    model = chain(2, 2, 1)
    a, b = model
    with torch.no_grad():
        a.weight.copy_(torch.tensor([[1.0, -2.0], [0.5, 0.0]])[:, :, None, None])
        a.bias.copy_(torch.tensor([0.25, 0.0]))
        b.weight.copy_(torch.tensor([[3.0, -4.0]])[:, :, None, None])
        b.bias.zero_()
    graph = trace(model, torch.zeros(1, 2, 4, 4))
    assert weights.l1(graph, model)[graph.group("0").channels].tolist() == [1 + 2 + 0.25 + 3, 0.5 + 4]
    expected = [np.sqrt(1 + 4 + 0.0625 + 9), np.sqrt(0.25 + 16)]
    assert weights.l2(graph, model)[graph.group("0").channels].tolist() == pytest.approx(expected)


def test_unknown_importance():
    model = small()
    with pytest.raises(UsageError, match=r"Unknown importance 'l3'\. Did you mean l"):
        importance(trace(model, X), model, "l3")


def test_strongest_keeps_the_best_and_breaks_ties_downwards():
    graph = trace(chain(3, 4, 2), torch.zeros(1, 3, 4, 4))
    found = ranked(graph, np.array([1.0, 5.0, 5.0, 5.0, 0, 0]), comparable=True)
    keep = found.strongest(graph, {"0": 2, "1": 2})
    assert keep.tolist() == [False, True, True, False, True, True]
