"""Sparsity before the cut."""

import pytest
import torch
from models.digits import seeded
from torch import nn

from padless import Recipe, finetune, trace
from padless.errors import UsageError
from padless.train.sparsity import GroupSparsity


def test_sparsity_sums_the_norms_of_channels(few):
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Conv2d(2, 3, 1, bias=False))
    graph = trace(model, torch.zeros(1, 1, 4, 4))
    first, last = model[0], model[2]
    expected = sum(
        (first.weight[c].square().sum() + first.bias[c] ** 2 + last.weight[:, c].square().sum()).sqrt()
        for c in range(2)
    )
    torch.testing.assert_close(GroupSparsity(graph, model)(), expected, rtol=1e-5, atol=1e-6)


def test_sparsity_empties_channels(few):
    def total(weight):
        model = seeded()
        graph = trace(model, torch.zeros(1, 1, 16, 16))
        finetune(model, few, Recipe(epochs=4, batch=20, peak_lr=0.05, sparsity=weight, clip=0.0), graph=graph)
        return GroupSparsity(graph, model)().item()

    assert total(0.05) < 0.8 * total(0.0)
    with pytest.raises(UsageError, match="takes the model's graph"):
        finetune(seeded(), few, Recipe(sparsity=1.0))
