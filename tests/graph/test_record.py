"""Recording: the model is left alone, and what cannot be recorded is said."""

import pytest
import torch
from models.networks import Reads, Small
from torch import nn

from padless import trace
from padless.errors import TraceError


def test_a_model_that_cannot_be_copied():
    model = Small()
    model.kept = model.stem(torch.zeros(1, 3, 16, 16))
    with pytest.raises(TraceError, match="cannot be copied: .*\n.*keep a computed tensor"):
        trace(model, torch.zeros(1, 3, 16, 16))


def test_tracing_leaves_the_model_alone():
    model = Small().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    trace(model, torch.zeros(1, 3, 16, 16))
    assert model.training and all(m.training for m in model.modules())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_forward_that_fails_names_operator_module_and_line():
    with pytest.raises(
        TraceError, match=r"input 1x5x16x16 in aten\.convolution\S*, module stem, line .*networks\.py:\d+"
    ):
        trace(Small(), torch.zeros(1, 5, 16, 16))
    with pytest.raises(TraceError, match=r"module inner\.1, line .*networks\.py:\d+"):
        trace(Reads(), torch.zeros(1, 3, 4, 4))


def test_a_model_without_tensor_outputs():
    class Empty(nn.Module):
        def forward(self, x):
            return None

    with pytest.raises(TraceError, match="returned NoneType without any tensor"):
        trace(Empty(), torch.zeros(1, 3))
