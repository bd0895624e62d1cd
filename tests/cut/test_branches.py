"""Whole branches that go: which may, what stands in their place, and that nothing else changes."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from checks.recovering import images
from models.networks import Residual, Small, SqueezeExcite, shaken
from torch import nn

from padless import Plan, load, plan, prune, recover, save, trace
from padless.cut import cut, equivalence_error
from padless.cut.branches import Branches, branches
from padless.cut.hollow import Constant, Removed, Settled
from padless.cut.removable import removable
from padless.errors import UsageError
from padless.recover.judge import apart

X = torch.zeros(1, 3, 16, 16)


def found(model: nn.Module, x=X) -> Branches:
    return branches(trace(model, x), model)


def without(model: nn.Module, *gone: str, x=X) -> tuple[nn.Module, float]:
    """`model` without some groups, and how far it lies from the masked original."""
    graph = trace(model, x)
    keep = np.ones(graph.channels, dtype=np.int64)
    for id in gone:
        keep[graph.group(id).channels] = 0
    small = cut(model, graph, keep)
    return small, equivalence_error(model, small, graph, keep)


def body(*layers: nn.Module) -> nn.Module:
    """Layers of 16 channels beside a way on, between a stem and a head."""

    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.body, self.head = nn.Conv2d(3, 16, 3, 2, 1), nn.Sequential(*layers), nn.Linear(16, 4)

        def forward(self, x):
            x = self.stem(x)
            return self.head((x + self.body(x)).mean((2, 3)))

    torch.manual_seed(0)
    return shaken(Beside())


class SideBySide(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)
        self.a = nn.Sequential(nn.Conv2d(8, 12, 1), nn.ReLU(), nn.Conv2d(12, 8, 1))
        self.b = nn.Sequential(nn.Conv2d(8, 20, 1), nn.ReLU(), nn.Conv2d(20, 8, 1))

    def forward(self, x):
        x = self.stem(x)
        return self.head(self.a(x) + self.b(x))


def test_only_what_the_network_can_go_on_without():
    assert found(shaken(Small())).groups == ("block.body.0",)
    chain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    assert found(chain) == Branches()


def test_of_two_branches_side_by_side_one_stays():
    model = SideBySide()
    assert found(model).groups == ("a.0",)
    assert without(model, "b.0")[1] < 1e-10  # either may go
    with pytest.raises(
        UsageError, match=r"No channel is kept of a.0, b.0, .* an output would not depend on the inputs"
    ):
        without(model, "a.0", "b.0")


def test_what_feeds_only_a_branch_or_lives_on_it_goes_with_it():
    bottleneck = body(nn.Conv2d(16, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, 16, 1))
    assert found(bottleneck).implied == {"body.0": {"body.2"}, "body.2": {"body.0"}}
    squeezed = body(nn.Conv2d(16, 24, 1), SqueezeExcite(24, 6), nn.Conv2d(24, 16, 1))
    assert found(squeezed).groups == ("body.0", "body.1.fc1")
    assert found(squeezed).implied == {"body.0": {"body.1.fc1"}}  # a gate may go alone
    for gone in (("body.0", "body.1.fc1"), ("body.1.fc1",), ("body.0",)):
        assert without(squeezed, *gone)[1] < 1e-10
    left = found(squeezed).without(["body.1.fc1"])  # which stays, and with it what would take it along
    assert left == Branches()


@pytest.mark.parametrize("layers", [
    (nn.Conv2d(16, 12, 3, padding="same"), nn.ReLU(inplace=True), nn.Conv2d(12, 16, 1, bias=False)),
    (nn.Conv2d(16, 12, 1), nn.Conv2d(12, 12, 3, 1, 1, groups=12, bias=False), nn.BatchNorm2d(12), nn.Conv2d(12, 16, 1),
     nn.BatchNorm2d(16), nn.ReLU(inplace=True)),
    (nn.Conv2d(16, 12, (3, 1), padding="valid"), nn.AdaptiveAvgPool2d(4), nn.Conv2d(12, 16, 4, 4)),
    (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 12), nn.ReLU(inplace=True), nn.Linear(12, 16, bias=False),
     nn.BatchNorm1d(16, affine=False), nn.Unflatten(1, (16, 1, 1))),
    (nn.Conv2d(16, 12, 3, 2, 2, dilation=2), nn.Hardswish(inplace=True), nn.Conv2d(12, 16, 3, 1, 1),
     nn.Upsample(scale_factor=2)),
])  # fmt: skip
def test_constants_stand_for_what_was_removed(layers):
    model = body(*layers)
    (group,) = found(model).groups
    small, error = without(model, group)
    assert error < 1e-10
    assert not any(isinstance(module, nn.Conv2d | nn.Linear) for module in small.body.modules())
    assert {Removed, Constant} <= {type(module) for module in small.body.modules()}
    assert sum(p.numel() for p in small.body.parameters()) <= 16 * 3 + 2
    assert [ly.name for ly in trace(small, X).layers] == ["stem", "head"]
    small.train()(torch.randn(2, 3, 16, 16)).square().sum().backward()  # it can be trained
    assert all((p.grad is not None) == p.requires_grad for p in small.parameters()) and small.stem.weight.requires_grad


@pytest.mark.parametrize("layers", [
    (nn.Conv2d(16, 12, 1), nn.GroupNorm(1, 12), nn.Conv2d(12, 16, 1)),
    (nn.Conv2d(16, 12, 1), nn.Softmax(1), nn.Conv2d(12, 16, 1)),
    (nn.ConvTranspose2d(16, 12, 1), nn.Conv2d(12, 16, 1)),
    (nn.utils.parametrizations.weight_norm(nn.Conv2d(16, 12, 1)), nn.Conv2d(12, 16, 1)),
])  # fmt: skip
def test_what_cannot_go(layers):
    model = body(*layers)
    assert found(model) == Branches()
    graph = trace(model, X)
    id = next(group.id for group in graph.groups if group.id.startswith("body"))
    with pytest.raises(
        UsageError,
        match=f"No channel is kept of {id}, which must keep some: {id} goes only where it has its axes to itself",
    ):
        without(model, id)


def test_a_layer_with_a_hook_or_two_calls_stays():
    hooked = shaken(Small())
    hooked.block.body[0].register_forward_hook(lambda *_: None)
    assert found(hooked) == Branches()
    layer = nn.Conv2d(16, 16, 1)
    assert found(body(layer, nn.ReLU(), layer)) == Branches()


def test_what_only_fed_a_branch_is_not_trained():
    """Trainers on several processes wait for a gradient of each parameter that asks for one."""
    before = body(
        nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 12, 1), nn.BatchNorm2d(12), nn.PReLU(12), nn.Conv2d(12, 16, 1)
    )
    small, error = without(before, "body.2")
    assert error < 1e-10 and all(p.requires_grad for p in before.parameters())
    assert [name for name, p in small.named_parameters() if p.requires_grad] == [
        "stem.weight", "stem.bias", "body.5.bias", "head.weight", "head.bias"
    ]  # fmt: skip
    small.train()(torch.randn(2, 3, 16, 16)).square().sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in small.parameters())


def test_in_training_the_norm_behind_a_constant_gives_what_it_gave():
    """By the statistics of a batch of constants it would give its shift."""
    small, _ = without(shaken(Small()), "block.body.0")
    norm, x = small.block.body[4], torch.randn(2, 3, 16, 16)
    assert isinstance(norm, Settled)
    before = small.eval().block.body(small.stem(x))
    assert torch.equal(small.train().block.body(small.stem(x)), before)
    assert torch.equal(norm.running_mean, small.eval().block.body[4].running_mean)


def shallow(model: nn.Module, group: str) -> Plan:
    """A plan in which a group has nothing left, and another is narrower."""
    planned = plan(model, X, target="unit:8", budget="macs=60%", importance="l1")
    return replace(planned, keep={**planned.keep, group: []})


def test_a_plan_without_a_branch_is_kept_and_rebuilt(tmp_path):
    model = shaken(Small())
    planned = shallow(model, "block.body.0")
    assert Plan.from_json(planned.to_json()) == planned
    small = prune(model, planned)
    save(tmp_path / "run", small, planned)
    again = load(tmp_path / "run", Small())
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(again(x), small(x))
    layers = {name: module for name, module in again.named_modules() if isinstance(module, nn.Conv2d)}
    assert set(layers) == {"stem", "down"}


def test_recovery_brings_constants_to_their_means():
    model = shaken(Small())
    planned, x = shallow(model, "block.body.0"), images(64)
    for method in ("mix", "least-squares"):
        small = prune(model, planned)
        done = recover(small, model, planned, [x], method=method)
        assert done.method.startswith(method)
        solved_on = apart(x)[0]
        mean = model.block.body(model.stem(solved_on).relu()).mean((0, 2, 3))[planned.keep["stem"]]
        given = small.block.body(small.stem(x[:1]).relu())[0, :, 0, 0]
        assert torch.allclose(given, mean, atol=1e-5)
        assert (
            min(done.held_out.values())
            < recover(prune(model, planned), model, planned, [x], method="none").held_out["none"]
        )


@pytest.mark.parametrize("norm", [(), (nn.BatchNorm2d(16, affine=False),), (nn.BatchNorm2d(16, bias=False),)])
def test_a_constant_whose_norm_has_no_shift_is_moved_itself(norm):
    model = body(nn.Conv2d(16, 12, 1), nn.ReLU(), nn.Conv2d(12, 16, 1, bias=False), *norm)
    planned, x = shallow(model, "body.0"), images(64)
    small = prune(model, planned)
    recover(small, model, planned, [x], method="mix")
    mean = model.body(model.stem(apart(x)[0])).mean((0, 2, 3))[planned.keep["stem"]]
    assert torch.allclose(small.body(small.stem(x[:1]))[0, :, 0, 0], mean, atol=1e-5)


def test_residual_ends_after_removal_equal_a_network_without_the_block():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), Residual(8, 12), nn.Conv2d(8, 4, 1)).eval()
    small, error = without(model, "1.body.0")
    x = torch.randn(2, 3, 16, 16)
    norm = model[1].body[4]
    constant = norm(model[1].body[3].bias.reshape(1, -1, 1, 1))
    assert error < 1e-10 and torch.allclose(small(x), model[2](torch.relu(model[0](x) + constant)), atol=1e-6)


class ByParts(nn.Module):
    """What it computes is written into parts of a tensor: the only way on leads through views."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b = nn.Conv2d(3, 16, 3, 1, 1), nn.Conv2d(16, 24, 3, 1, 1), nn.Conv2d(24, 16, 3, 1, 1)
        self.head = nn.Conv2d(16, 4, 1)

    def forward(self, x):
        x = self.stem(x)
        out, y = torch.zeros_like(x), self.b(self.a(x).relu())
        out[:, :, 1:] = y[:, :, :-1]
        out[:, :, :1] = y[:, :, :1]
        return self.head(out)


class Activated(nn.BatchNorm2d):
    """A norm of one's own: it does more than its base."""

    def forward(self, x):
        return super().forward(x).relu()


class Reads(SideBySide):
    """One behind the other; the weight of a layer is read beside calling it."""

    def forward(self, x):
        x = self.stem(x)
        x = x + self.a(x.to(self.a[0].weight.dtype))
        return self.head(x + self.b(x))


def test_the_only_way_on_may_lead_through_parts_of_a_tensor():
    model = ByParts()
    assert found(model) == Branches()
    with pytest.raises(UsageError, match="an output would not depend on the inputs"):
        without(model, "a")


def test_a_norm_of_ones_own_keeps_what_it_does():
    model = body(nn.Conv2d(16, 12, 1), Activated(12), nn.Conv2d(12, 16, 1), Activated(16))
    small, error = without(model, "body.0")
    assert error < 1e-10 and type(small.body[3]) is Activated


def test_what_reads_a_weight_that_would_be_gone_is_not_offered():
    model = Reads()
    graph = trace(model, X)
    assert branches(graph, model).groups == ("a.0", "b.0") and removable(graph, model).groups == ("b.0",)
    with pytest.raises(
        UsageError, match="No channel is kept of a.0, and the network does not run without: .* Keep some"
    ):
        without(model, "a.0")
    encoder = nn.Sequential(nn.Linear(3, 16), nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), nn.Linear(16, 4))
    assert removable(trace(encoder, torch.zeros(1, 5, 3)), encoder.eval()) == Branches()


class Held(nn.Module):
    """Layers in a plain list, called by keyword, asked for their sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1)
        self.a, self.b = nn.Conv2d(8, 12, 1), nn.Conv2d(12, 8, 1)
        self.again = self.b
        self.order = [self.a, self.b]

    def forward(self, x):
        x = y = self.stem(x)
        for layer in self.order:
            y = layer(input=y).relu()
        return self.head(x + y / self.order[1].out_channels)


def test_whoever_holds_a_layer_holds_what_became_of_it():
    small, error = without(Held(), "a")
    assert error < 1e-10
    assert (
        small.order[0] is small.a and type(small.a) is Removed and small.again is small.b and type(small.b) is Constant
    )


def test_what_leaves_the_network_stays():
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.a, self.b = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 24, 1), nn.Conv2d(24, 16, 1)

        def forward(self, x):
            x = self.stem(x)
            y = self.a(x).relu()
            return x + self.b(y), y

    model = Both()
    assert branches(trace(model, X, outputs=[0]), model) == Branches()


def test_what_another_layer_shares_stays():
    model = body(nn.Conv2d(16, 12, 1), nn.ReLU(), nn.Conv2d(12, 16, 1))
    assert found(model).groups == ("body.0",)
    model.other = nn.Conv2d(16, 16, 1)
    model.other.bias = model.body[2].bias
    assert found(model) == Branches()
    norm = nn.BatchNorm2d(16)
    model = body(nn.Conv2d(16, 12, 1), nn.ReLU(), nn.Conv2d(12, 16, 1), norm)
    model.other = nn.BatchNorm2d(16)
    model.other.bias = norm.bias
    small, error = without(model, "body.0")
    assert error < 1e-10 and type(small.body[3]) is nn.BatchNorm2d


def test_pictures_without_a_batch_and_other_tracers():
    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.a, self.b = (
                nn.Conv2d(3, 8, 3),
                nn.Conv2d(8, 12, 3, 2),
                nn.Conv2d(12, 8, (3, 1), padding="same"),
            )

        def forward(self, x):
            x = self.stem(x)
            return x.mean((2, 3)) + torch.stack([self.b(self.a(i).relu()).mean((1, 2)) for i in x.unbind(0)])

    assert without(Single(), "a")[1] < 1e-10
    small, _ = without(shaken(Small()), "block.body.0")
    x = torch.randn(2, 3, 16, 16)
    for again in (torch.jit.script(small), torch.fx.symbolic_trace(small), copy.deepcopy(small)):
        assert torch.allclose(again(x), small(x), atol=1e-6)
