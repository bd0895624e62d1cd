"""Sliced equals masked: on random networks, on the networks people use, and refused where it does not hold."""

import copy

import numpy as np
import pytest
import torch
from checks.cutting import check
from hypothesis import given, settings
from hypothesis import strategies as st
from models import blocks_staying
from models.blocks import BLOCKS, build, networks
from models.networks import Small, shaken, small
from torch import nn

from padless import load_target, plan, prune, trace
from padless.cut import cut, equivalence_error
from padless.cut.equivalence import compare
from padless.cut.reference import Reference
from padless.errors import EquivalenceError, UsageError
from padless.importance import importance
from padless.importance.curves import ranked
from padless.importance.weights import l1
from padless.inputs import load_model

X = torch.zeros(1, 3, 16, 16)
TARGETS = ("unit:4", "unit:2x3", "unit:8x4", "unit:8", "unit:16", "unit:32x16", "ethos-u55-256")


@settings(max_examples=500)
@given(networks(), st.sampled_from(TARGETS), st.integers(0, 2**16))
def test_random_networks(network, target, seed):
    check(*network, load_target(target), seed)


@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_by_itself(name):
    torch.manual_seed(0)
    for width, choose in ((8, min), (12, max)):
        check(build([name], width, choose), torch.zeros(1, 2, 8, 8), load_target("unit:2x4"), seed=1)


@pytest.mark.parametrize("name", [name for name, make in BLOCKS.items() if make.__module__ == blocks_staying.__name__])
@pytest.mark.parametrize("target", ["unit:8", "unit:16", "unit:32x16"])
def test_what_must_stay_leaves_no_avoidable_waste(name, target):
    for seed, choose in enumerate((min, max, lambda options: options[1])):
        torch.manual_seed(seed)
        model, x = build([name], 8, choose), torch.zeros(1, 2, 8, 8)
        check(model, x, load_target(target), seed)
        made = plan(model, x, target=target, budget="macs=80%")
        assert made.after["avoidable_macs_percent"] == 0


@pytest.mark.parametrize("name", ["cifar10/vgg16_bn", "cifar10/resnet18", "torchvision/resnet50", "torchvision/mobilenet_v2",
                                  "torchvision/mobilenet_v3_small", "torchvision/densenet121", "torchvision/efficientnet_b0",
                                  "torchvision/resnext50_32x4d", "torchvision/squeezenet1_1"])  # fmt: skip
def test_networks_that_people_use(name):
    size = 32 if name.startswith("cifar10") else 64
    source = load_model(name)
    check(shaken(source.model), torch.zeros(1, 3, size, size), load_target("unit:8"), seed=1)


def test_prune_returns_an_ordinary_smaller_model_and_leaves_the_callers_alone():
    model = small().train()
    before = copy.deepcopy(model.state_dict())
    made = plan(model, X, target="unit:8", budget="macs=50%", allocate="global")
    pruned = prune(model, made)
    assert type(pruned) is Small
    assert [type(m) for m in pruned.modules()] == [type(m) for m in model.modules()]
    assert pruned.stem.out_channels == pruned.stem.weight.shape[0] == pruned.down.in_channels < 16
    assert pruned.norm.num_features == len(pruned.norm.running_mean)
    assert pruned.head.in_features == pruned.head.weight.shape[1]
    assert pruned.head.out_features == 4
    assert model.training and all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    pruned.stem.weight.data.zero_()
    assert torch.equal(model.stem.weight, before["stem.weight"])


def test_the_reference_hides_removed_channels_from_sums_and_statistics():
    """By hand: a convolution and a layer norm over three channels of which the middle one goes."""
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Conv2d(3, 1, 1, bias=False))
    graph = trace(model, torch.zeros(1, 1, 1, 1))
    x, keep = torch.ones(1, 1, 1, 1), np.array([True, False, True, True])
    a, b = (m.weight.detach().flatten() for m in model)
    expected = ((a + model[0].bias) * b)[[0, 2]].sum()
    assert torch.allclose(Reference(graph, keep).run(model, [x])[0].flatten(), expected)

    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.norm, self.out = nn.Linear(1, 3), nn.LayerNorm(3), nn.Linear(3, 1)

        def forward(self, x):
            return self.out(self.norm(self.fc(x)))

    model = Normed()
    y = model.fc(torch.ones(1))[[0, 2]]
    y = (y - y.mean()) / (y.var(correction=0) + 1e-5).sqrt()
    expected = (y * model.out.weight[0, [0, 2]]).sum() + model.out.bias
    found = Reference(trace(model, torch.zeros(1, 1)), keep).run(model, [torch.ones(1, 1)])[0]
    assert torch.allclose(found.flatten(), expected, atol=1e-5)


def test_a_wrong_cut_is_refused():
    model = small()
    graph = trace(model, X)
    widths = {g.id: g.width if g.pinned else g.width // 2 for g in graph.groups}
    scores = l1(graph, model)
    keep = ranked(graph, scores, comparable=True).strongest(graph, widths)
    other = cut(model, graph, ranked(graph, -scores, comparable=True).strongest(graph, widths))
    with pytest.raises(EquivalenceError, match=r"differs from the masked original by .* The cut is refused"):
        equivalence_error(model, other, graph, keep)


def test_a_forward_with_a_channel_count_inside_is_refused():
    def insists(x):
        if str(x.shape[1]) != "8":
            raise ValueError("eight channels, please")
        return x

    with pytest.raises(EquivalenceError, match="does not run: eight channels.*\n.*holds a channel count as a number"):
        halved(Two(between=insists), torch.zeros(1, 3, 4, 4))


def test_a_forward_that_insists_on_what_a_module_stores_is_cut_with_it():
    class Insists(Two):
        def __init__(self):
            super().__init__(between=self.check)
            self.width, self.sizes = 8, (8, 3)

        def check(self, x):
            if x.size(1) != self.width or self.sizes[0] != x.shape[1]:
                raise ValueError("not mine")
            return x

    small = halved(Insists(), torch.zeros(1, 3, 4, 4))
    assert small.width == small.a.out_channels == 4 and small.sizes == (4, 3)


def test_a_forward_that_insists_on_float32_is_checked_in_it():
    class Cast(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x):
            return self.b(self.a(x).float())

    model, x = Cast(), torch.zeros(1, 3, 4, 4)
    graph = trace(model, x)
    keep = importance(graph, model).strongest(graph, {"a": 4, "b": 4})
    assert 0 <= equivalence_error(model, cut(model, graph, keep), graph, keep) < 1e-5


class Two(nn.Module):
    """Two convolutions around something."""

    def __init__(self, between=lambda x: x, after=lambda x: x, norm=None):
        super().__init__()
        self.a, self.b, self.norm = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1), norm or nn.Identity()
        self.between, self.after = between, after

    def forward(self, x):
        return self.after(self.b(self.norm(self.between(self.a(x)))))


def halved(model: nn.Module, x: torch.Tensor) -> nn.Module:
    return prune(model, plan(model, x, target="unit:2", budget="macs=60%", allocate="uniform"))


def test_odd_outputs_and_types_are_checked_too():
    x = torch.zeros(1, 3, 4, 4)
    assert halved(Two(after=lambda y: (y, y > 0)), x).a.out_channels == 4
    assert halved(Two().double(), x.double()).a.out_channels == 4
    assert halved(Two().bfloat16(), x.bfloat16()).a.weight.dtype == torch.bfloat16
    with pytest.raises(EquivalenceError, match="runs neither in float64 nor in float32"):
        halved(Two(between=lambda y: y.bfloat16()).bfloat16(), x.bfloat16())


def test_norms_without_parameters_learn_their_width():
    small = halved(Two(norm=nn.BatchNorm2d(8, affine=False)), torch.zeros(1, 3, 4, 4))
    assert small.norm.num_features == len(small.norm.running_mean) == 4


def test_tied_depthwise_convolutions_are_both_cut():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)
            self.first, self.second = (nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False) for _ in range(2))
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.b(self.second(self.first(self.a(x))))

    small = halved(Tied(), torch.zeros(1, 3, 4, 4))
    assert small.second.weight is small.first.weight
    assert small.second.groups == small.second.out_channels == small.first.groups == small.a.out_channels < 8


def test_a_branch_that_ends_in_zeros_hides_nothing():
    """With its last norm at zero a wrong cut inside the branch would not show."""

    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.inner, self.out = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
            self.norm, self.head = nn.BatchNorm2d(8), nn.Conv2d(8, 2, 1)
            nn.init.zeros_(self.norm.weight)

        def forward(self, x):
            y = self.a(x)
            hidden = self.inner(y)
            return self.head(y + self.norm(self.out(hidden / float(str(hidden.shape[1])))))

    model = Branch()
    graph = trace(model, torch.zeros(1, 3, 4, 4))
    keep = importance(graph, model).strongest(graph, {"a": 8, "inner": 4, "head": 2})
    assert equivalence_error(model, cut(model, graph, keep), graph, keep) < 1e-10
    with pytest.raises(EquivalenceError, match="differs from the masked original"):
        halved(model, torch.zeros(1, 3, 4, 4))


def test_outputs_that_cannot_be_compared():
    ones = [torch.ones(2)]
    with pytest.raises(EquivalenceError, match=r"changed an output's shape from \(2,\) to \(3,\)"):
        compare(ones, [torch.ones(3)], 1e-10)
    with pytest.raises(EquivalenceError, match="An output of the original is not finite"):
        compare([torch.tensor([1.0, float("nan")])], ones, 1e-10)
    with pytest.raises(
        EquivalenceError, match="cut model is not finite where the masked original's is. The cut is refused"
    ):
        compare(ones, [torch.tensor([1.0, float("inf")])], 1e-10)
    assert compare([torch.zeros(0)], [torch.zeros(0)], 1e-10) == 0
    assert compare([torch.tensor([2.0]).double()], [torch.tensor([2.0]).double() + 2e-11], 1e-10) == pytest.approx(
        1e-11, rel=1e-3
    )


def test_a_plan_for_another_network_is_refused():
    made = plan(small(), X, target="unit:8", budget="macs=50%")
    with pytest.raises(UsageError, match="made on a network with structure .* Build the original network"):
        prune(nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1)), made)
