"""Reconstruction, layer by layer: on networks whose answer is known, and on random ones."""

import weakref

import numpy as np
import pytest
import torch
from checks.cutting import random_keep
from checks.recovering import X, apart, cut_first, images
from hypothesis import given, settings
from hypothesis import strategies as st
from models.blocks import networks
from torch import nn

from padless import load_target, trace
from padless.align import aligned_levels
from padless.cut import cut
from padless.importance.curves import ranked
from padless.importance.weights import l1
from padless.recover.closed_form import reconstruct


def test_channels_that_others_determine_are_made_up_for():
    """Half of the channels are sums of the other half behind the last nonlinearity: mixing loses nothing but the border."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 1, bias=False), nn.Conv2d(8, 5, 3)).eval()
    with torch.no_grad():
        model[2].weight[4:] = model[2].weight[:4] + model[2].weight[:4].flip(0)
        model[2].weight[:4] *= 10
    x = images()
    graph = trace(model, X)
    keep = np.ones(graph.channels, dtype=np.int64)
    group = graph.group("2")
    keep[group.first + 4 : group.first + 8] = 0
    for mode in ("mix", "least-squares"):
        made = cut(model, graph, keep)
        before = apart(made, model, images(seed=1))
        assert reconstruct(made, model, graph, keep, x, mode) == 1
        assert apart(made, model, images(seed=1)) < 1e-3 * before


class Kinds(nn.Module):
    """Every kind of layer: strided, dilated, depthwise, grouped, transposed, one-dimensional, behind a flatten, a join."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.point = nn.Conv2d(16, 16, 1)
        self.grouped = nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=2)
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.mirrored = nn.Conv2d(8, 8, 3, 2, 1, padding_mode="reflect")
        self.line = nn.Conv1d(8, 8, 3, padding=1)
        self.head = nn.Linear(8 * 64, 10)

    def forward(self, x):
        x = self.norm(self.stem(x)).relu()
        x = x + self.point(self.depthwise(x)).relu()
        x = self.mirrored(self.up(self.grouped(x).relu()).relu()).relu()
        return self.head(self.line(x.flatten(2)).relu().flatten(1))


@pytest.mark.parametrize("mode", ["mix", "least-squares"])
def test_every_kind_of_layer_comes_nearer(mode):
    torch.manual_seed(0)
    model = Kinds().eval()
    graph = trace(model, X)
    keep = ranked(graph, l1(graph, model), comparable=True).strongest(
        graph, {g.id: g.width if g.pinned else max(1, 3 * g.width // 4) for g in graph.groups}
    )
    before, after = cut(model, graph, keep).eval(), cut(model, graph, keep).eval()
    solved = reconstruct(after, model, graph, keep, images(256), mode)
    assert solved == (5 if mode == "mix" else 6)  # of 8: two have the dense inputs; mixing leaves groups alone
    fresh = images(256, seed=1)
    assert apart(after, model, fresh) < 0.35 * apart(before, model, fresh)


@pytest.mark.parametrize("last", [nn.Conv3d(8, 5, 3), nn.ConvTranspose3d(8, 5, 2)])
@pytest.mark.parametrize("mode", ["mix", "least-squares"])
def test_three_dimensional_layers_are_mixed(mode, last):
    """As above: half of the channels are sums of the other half."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv3d(3, 4, 3), nn.ReLU(), nn.Conv3d(4, 8, 1, bias=False), last).eval()
    with torch.no_grad():
        model[2].weight[4:] = model[2].weight[:4] + model[2].weight[:4].flip(0)
        model[2].weight[:4] *= 10
    x = torch.rand(32, 3, 6, 6, 6)
    graph = trace(model, x[:1])
    keep = np.ones(graph.channels, dtype=np.int64)
    group = graph.group("2")
    keep[group.first + 4 : group.first + 8] = 0
    before, after = cut(model, graph, keep), cut(model, graph, keep)
    assert reconstruct(after, model, graph, keep, x, mode) == 1
    fresh = torch.rand(32, 3, 6, 6, 6)
    assert apart(after, model, fresh) < 1e-3 * apart(before, model, fresh)


@settings(max_examples=40)
@given(networks(), st.integers(0, 2**16))
def test_random_networks_are_solved_and_stay_of_their_shape(network, seed):
    model, x = network
    graph = trace(model, x)
    keep = random_keep(graph, aligned_levels(graph, load_target("unit:2")), seed)
    calibration = images(16, tuple(x.shape[1:]), seed)
    for mode in ("mix", "least-squares"):
        made = cut(model, graph, keep).eval()
        shapes = {n: t.shape for n, t in made.state_dict().items()}
        reconstruct(made, model, graph, keep, calibration, mode)
        assert {n: t.shape for n, t in made.state_dict().items()} == shapes
        assert all(torch.isfinite(t).all() for t in made.state_dict().values() if t.is_floating_point())


def test_a_shift_goes_where_the_layer_can_take_it():
    """To the running mean behind a convolution without a bias, else to the bias; nowhere where there is neither."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3, bias=False), nn.BatchNorm2d(8),
                          nn.Conv2d(8, 8, 1, bias=False), nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()  # fmt: skip
    graph = trace(model, X)
    keep = np.ones(graph.channels, dtype=np.int64)
    keep[graph.group("0").first : graph.group("0").first + 8] = 0
    made = cut(model, graph, keep)
    reconstruct(made, model, graph, keep, images(), "mix")
    means = [model[3].running_mean, made[3].running_mean]
    assert not torch.equal(*means) and torch.equal(model[3].running_var, made[3].running_var)
    with torch.no_grad():
        fresh = images(seed=1)
        assert torch.allclose(made[:4](fresh).mean((0, 2, 3)), model[:4](fresh).mean((0, 2, 3)), atol=0.05)


def test_the_mean_that_a_transposed_layer_misses_is_not_added_for_every_tap():
    """A missing channel that is nearly constant, which the others cannot mix: only the shift can make up for it."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.ConvTranspose2d(6, 4, 2, 2)).eval()
    with torch.no_grad():
        model[0].weight[0], model[0].bias[0] = 0.0, 5.0
    graph, keep, made = cut_first(model, "0", 1)
    before = apart(made, model, images())
    reconstruct(made, model, graph, keep, images(), "mix")
    assert apart(made, model, images()) < before
    with torch.no_grad():
        assert torch.allclose(made(images()).mean((0, 2, 3)), model(images()).mean((0, 2, 3)), atol=1e-3)


def test_channels_of_zeros_stay_zeros():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 1), nn.ReLU(), nn.Conv2d(6, 4, 1)).eval()
    graph = trace(model, X)
    keep = np.ones(graph.channels, dtype=np.int64)
    keep[graph.group("0").first] = 0
    keep[graph.group("2").first + 5] = 3
    for mode in ("mix", "least-squares"):
        made = cut(model, graph, keep).eval()
        reconstruct(made, model, graph, keep, images(), mode)
        assert made[2].weight.shape[0] == 8 and not made[2].weight[6:].any() and not made[2].bias[6:].any()
        assert made[2].weight[:6].any() and apart(made, model, images(seed=1)) < 1


class Joined(nn.Module):
    """A bias that is put together from two parameters, as in BEiT's attention; a norm behind an in-place ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.plain = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 1, bias=False)
        self.norm, self.weight = nn.BatchNorm2d(6), nn.Parameter(torch.randn(4, 6))
        self.a, self.b = nn.Parameter(torch.randn(2)), nn.Parameter(torch.randn(2))

    def forward(self, x):
        x = self.norm(self.plain(self.stem(x).relu()).relu_())
        return nn.functional.linear(x.mean((2, 3)), self.weight, torch.cat([self.a, self.b]))


def test_shifts_that_have_no_place_are_not_made():
    torch.manual_seed(0)
    model = Joined().eval()
    graph, keep, made = cut_first(model, "stem", 3)
    reconstruct(made, model, graph, keep, images(), "mix")
    assert torch.equal(made.a, model.a) and torch.equal(made.norm.running_mean, model.norm.running_mean)
    assert not torch.equal(made.weight, model.weight)


@pytest.mark.parametrize("mode", ["mix", "least-squares"])
def test_outputs_are_let_go_once_they_were_read(mode):
    """What a norm takes from its mean is remembered of outputs; those of a large network do not fit together."""
    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(6)]
    model = nn.Sequential(nn.Conv2d(3, 8, 3), *layers, nn.Conv2d(8, 4, 1)).eval()
    graph = trace(model, X)
    keep = np.ones(graph.channels, dtype=np.int64)
    for group in graph.groups:
        keep[group.first + 4 : group.first + group.width] = 1 if group.pinned else 0
    small, given, alive = cut(model, graph, keep), [], []
    for block in small[1:-1]:
        block[0].register_forward_hook(lambda module, x, y: given.append(weakref.ref(y)))
    small[-1].register_forward_pre_hook(lambda module, x: alive.extend(ref() is not None for ref in given))
    means = [block[1].running_mean.clone() for block in small[1:-1]]
    reconstruct(small, model, graph, keep, images(), mode)
    assert alive[-6:] == [False] * 6  # of the last run, on all images
    assert not any(torch.equal(block[1].running_mean, mean) for block, mean in zip(small[1:-1], means, strict=True))
