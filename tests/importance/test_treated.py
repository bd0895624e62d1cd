"""What the loss suffers when weights are treated."""

import pytest
import torch
from checks.recovering import images
from models.networks import Small, shaken, small
from torch import nn

from padless import trace, treat
from padless.errors import UsageError
from padless.importance.treated import _Changes, treatment_losses
from padless.moments.columns import unfolded
from padless.treat.treatment import Treatment, offers

X = torch.zeros(1, 3, 16, 16)


def test_an_effect_is_the_change_of_an_images_loss():
    """To first order, with the columns' mean made up for; against the gradient of each image's loss by the weights."""
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 5, 3, 2, padding=1)
    x, change = torch.randn(4, 6, 9, 9), torch.randn(3, 5, 54)
    arguments = {"weight": conv.weight, "stride": (2, 2), "padding": (1, 1), "dilation": (1, 1)}
    columns = unfolded(x, arguments)
    mean = columns.mean((0, 2))
    kinds = tuple(Treatment(levels=n) for n in (3, 5, 7))
    outputs = conv(x)
    gradient = torch.randn_like(outputs)
    effects = _Changes(kinds, change.flatten(1), mean).effects(columns, gradient.flatten(2))
    for n in range(4):
        for t in range(3):
            moved = nn.functional.conv2d(x[n : n + 1], change[t].reshape(5, 6, 3, 3), None, 2, 1)[0]
            moved = moved - (change[t] @ mean)[:, None, None]
            assert float(effects[n, t]) == pytest.approx(float((moved * gradient[n]).sum()), rel=1e-4, abs=1e-4)


def test_fewer_values_lose_more():
    torch.manual_seed(0)
    model = small()
    graph = trace(model, X)
    losses = treatment_losses(graph, model, [images(96)], offers(["grid", "2:4"]))
    assert set(losses) == {"block.body.0", "block.body.3", "down"}
    for lost in losses.values():
        assert lost["grid:5"] > lost["grid:9"] > lost["grid:33"] > 0
        assert min(lost["2:4+grid:9"], lost["2:4"]) > lost["grid:33"] and "int8" not in lost


def test_layers_whose_weights_are_shared_get_none():
    class Twice(Small):
        def forward(self, x):
            x = self.block(self.block(self.stem(x).relu()))
            return self.head(self.norm(self.down(x)).relu().mean((2, 3)))

    torch.manual_seed(0)
    model = shaken(Twice())
    assert set(treatment_losses(trace(model, X), model, [images(32)], offers(["grid"]))) == {"down"}


def test_the_estimate_is_of_the_size_of_what_is_lost():
    """The divergence of a network with one treated layer lies near the estimate."""
    torch.manual_seed(0)
    model = small()
    with torch.no_grad():
        model.head.weight.mul_(10)
    graph, x = trace(model, X), images(512)
    losses = treatment_losses(graph, model, list(x.split(64)), offers(["grid:5"]))
    for layer, lost in losses.items():
        other = small()
        other.load_state_dict(model.state_dict())
        done = treat(other, list(x.split(64)), {layer: "grid:5"})
        assert 0.3 < done.held_out[1] / lost["grid:5"] < 3


def test_two_images_are_needed():
    model = small()
    for given in ([], [images(1)]):
        with pytest.raises(
            UsageError, match=r"Treatments are weighed on calibration images, two or more\. Give --data"
        ):
            treatment_losses(trace(model, X), model, given, offers(["grid"]))
