"""Layers without a group of channels say why, where nothing can be cut and in what `inspect` shows."""

import warnings

import pytest
import torch
from rich.console import Console
from torch import nn
from torch.nn import functional as F

from padless import inspect, plan, trace
from padless.cost.fixed import fixed_layers
from padless.errors import UsageError
from padless.report.inspection import inspection
from padless.report.tables import staying

X = torch.zeros(1, 3, 16, 16)


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 1)).eval()


def patched() -> nn.Module:
    model, other = net(), net()
    model.forward = lambda x: other(x)
    return model


def prepared() -> nn.Module:
    from torch.ao.quantization import get_default_qat_qconfig_mapping
    from torch.ao.quantization.quantize_fx import prepare_qat_fx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return prepare_qat_fx(net().train(), get_default_qat_qconfig_mapping("qnnpack"), (X,)).eval()


class Computed(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 16, 1), nn.Linear(16, 4)

    def forward(self, x):
        x = F.conv2d(x, self.first.weight * x.mean()).mean((2, 3))
        return F.linear(x, self.head.weight.t().contiguous().t() * x[:1].mean())


class Literal(nn.Sequential):
    def forward(self, x):
        return self[2](self[0](x).view(1, 4, 4, 14, 14).flatten(1, 2))


COMPILED = "belongs to a compiled module"
CASES = {
    "traced": (lambda: torch.jit.trace(net(), X), [f"0, 2: {COMPILED} .torch.jit.; prune the network before"]),
    "scripted": (lambda: torch.jit.script(net()), [f"0, 2: {COMPILED}"]),
    "past the model": (patched, ["aten.convolution: has a weight that is no parameter of the model: .* a lambda"]),
    "quantised": (prepared, ["0, 2: has a weight that aten._fused_moving_avg_obs_fq_helper quantises; prune first, then"]),
    "computed": (Computed, ["first, head: has a weight that aten.mul computes$"]),
    "literal": (lambda: Literal(*net()), ["0: aten.view splits .* by sizes in the source text", "2: output of the network"]),
    "nothing": (nn.Identity, ["the whole network: it has no convolution or linear layer"]),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", CASES)
def test_where_nothing_can_be_cut_every_reason_is_told(name):
    make, reasons = CASES[name]
    model = make()
    for reason in reasons:
        with pytest.raises(UsageError, match=rf"(?ms)There is nothing to prune.*\n  {reason}"):
            plan(model, X, target="unit:8", budget="macs=60%")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["traced", "past the model", "quantised", "computed"])
def test_inspect_shows_layers_without_channels(name):
    cost = inspect(CASES[name][0](), X, target="unit:8")
    rows = inspection(cost)["reach"]["fixed"]
    assert [row["width"] for row in rows] == ([16] if name == "past the model" else [16, 4])
    console = Console(width=200)
    with console.capture() as capture:
        console.print(staying(cost))
    assert "Can be cut: 0.0 %" in capture.get() and rows[0]["reason"][:30] in capture.get()


def test_an_ordinary_network_has_none():
    assert fixed_layers(trace(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 14 * 14, 4)), X)) == ()
