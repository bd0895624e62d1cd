"""Accuracy is counted."""

import pytest
import torch
from models.digits import network
from torch import nn

from padless import Recipe, evaluate, finetune
from padless.errors import UsageError


def test_accuracy_is_counted(digits):
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.anchor = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return torch.nn.functional.one_hot(torch.full((len(x),), 3), 10).float() + self.anchor

    model = Constant().train()
    assert evaluate(model, digits) == pytest.approx(100 * float((digits.test_labels == 3).double().mean()))
    assert model.training


def test_a_network_in_half_precision_is_tested(digits):
    torch.manual_seed(0)
    model = network(10)
    single = evaluate(model, digits)
    assert evaluate(model.bfloat16(), digits) == pytest.approx(single, abs=5)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_too_few_outputs(digits):
    for act in (lambda m: evaluate(m, digits), lambda m: finetune(m, digits, Recipe(epochs=1))):
        with pytest.raises(UsageError, match="digits has labels up to 9, the network 7 outputs"):
            act(network(7))
