"""Closed-form recovery: against the formulas, on random networks, and what happens when it fails."""

import copy
import threading

import numpy as np
import pytest
import torch
from blocks import networks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import small
from test_cut import random_keep
from torch import nn

from padless import load_target, plan, prune, recover, trace
from padless.align import aligned_levels
from padless.cut import cut
from padless.errors import PadlessError, UsageError
from padless.importance.curves import ranked
from padless.importance.weights import l1
from padless.recover import recovery
from padless.recover.closed_form import reconstruct
from padless.recover.recovery import disagreement
from padless.recover.solve import RIDGES, Sums, least_squares

X = torch.zeros(1, 3, 16, 16)
FULL = {"bias": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}


def images(count=64, shape=(3, 16, 16), seed=0):
    """Smooth ones, as images are: neighbours agree."""
    noise = torch.randn(
        count, shape[0], *(n // 4 + 1 for n in shape[1:]), generator=torch.Generator().manual_seed(seed)
    )
    return nn.functional.interpolate(noise, size=shape[1:], mode="bilinear")


def cut_by_half(model, x=X, target="unit:4", share="50%"):
    made = plan(model, x, target=target, budget=f"macs={share}")
    return made, prune(model, made).eval()


def apart(a, b, x):
    with torch.no_grad():
        return float((a(x) - b(x)).square().mean())


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


@pytest.mark.parametrize("shifts", [True, False])
def test_the_weights_are_those_of_the_ridge_regression(shifts):
    torch.manual_seed(0)
    x, weight, true = torch.randn(400, 6), torch.randn(3, 6), torch.randn(3, 6)
    y = x @ true.T + 0.5 + 0.1 * torch.randn(400, 3)
    fit = least_squares(x, y, {**FULL, "weight": weight}, None, linear=True, shifts=shifts)
    xs, ys = x.double(), y.double()
    if shifts:
        xs, ys = xs - xs.mean(0), ys - ys.mean(0)
    found = []
    for ridge in RIDGES:
        much = ridge * 400 * float((xs.square().mean(0)).mean())
        found.append(torch.linalg.solve(xs.T @ xs + much * torch.eye(6), xs.T @ ys + much * weight.double().T).T)
    assert min(float((fit.weight - w).abs().max()) for w in found) < 1e-5
    if shifts:
        assert torch.allclose(
            fit.shift.double(), y.double().mean(0) - fit.weight.double() @ x.double().mean(0), atol=1e-5
        )
    else:
        assert fit.shift is None


def test_what_is_no_better_on_images_held_out_is_left_alone():
    """Fewer rows than columns, and nothing but noise to learn."""
    torch.manual_seed(0)
    x, y = torch.randn(64, 50), torch.randn(64, 30)
    assert least_squares(x, y, {**FULL, "weight": torch.zeros(30, 50)}, None, linear=True, shifts=False) is None


@pytest.mark.parametrize(("off", "learnt"), [(1e-4, False), (1e-2, True)])
def test_what_differs_by_rounding_is_left_alone(off, learnt):
    """Outputs of the same weights, rounded otherwise, are nothing to learn from."""
    torch.manual_seed(0)
    x, weight = torch.randn(256, 12, 8, 8), torch.randn(12, 1, 3, 3)
    y = nn.functional.conv2d(x, weight * (1 + off * torch.randn(weight.shape)), padding=1, groups=12)
    given = {**FULL, "weight": weight, "groups": 12, "padding": (1, 1), "stride": (1, 1), "dilation": (1, 1)}
    assert (least_squares(x, y, given, None, linear=False, shifts=True) is not None) == learnt


def test_errors_are_counted_from_sums():
    torch.manual_seed(0)
    x, y, w, shift = (
        torch.randn(2, 50, 4),
        torch.randn(2, 50, 3),
        torch.randn(2, 4, 3).double(),
        torch.randn(2, 3).double(),
    )
    sums = Sums()
    sums.add(x[:, :20], y[:, :20])
    sums.add(x[:, 20:], y[:, 20:])
    exact = (y.double() - x.double() @ w - shift[:, None]).square().sum((0, 2)).mean()
    assert sums.error(w, shift) == pytest.approx(float(exact), rel=1e-5)


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


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
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


def test_auto_takes_what_agrees_best_on_images_held_out():
    model = small()
    made, cut_small = cut_by_half(model)
    found = recover(cut_small, model, made, images(128).split(32))
    assert set(found.held_out) == {"none", "bn", "mix", "mix+bn", "least-squares", "least-squares+bn"}
    assert found.method == min(found.held_out, key=found.held_out.__getitem__) and found.images == 128
    held = images(128)[-16:]
    with torch.no_grad():
        assert disagreement([model(held)], [cut_small(held)]) == pytest.approx(found.held_out[found.method], rel=1e-5)
    assert found.held_out[found.method] < 0.5 * found.held_out["none"]


@pytest.mark.parametrize("method", ["none", "bn", "mix", "least-squares"])
def test_each_method_by_itself(method):
    model = small()
    made, other = cut_by_half(model)
    before = copy.deepcopy(other.state_dict())
    other.train()
    found = recover(other, model, made, [images(64)], method=method)
    changed = {n for n, t in other.state_dict().items() if not torch.equal(t, before[n]) and "num_batches" not in n}
    assert other.training and not model.training
    if method == "none":
        assert found.method == "none" and not changed
    elif method == "bn":
        assert found.method in ("none", "bn") and all("running" in n for n in changed)
    else:
        assert found.method in (method, f"{method}+bn") and "head.weight" in changed


def test_a_recovered_network_trains_from_what_it_is():
    """The statistics of its norms are those of its inputs, where nothing was re-estimated."""
    model = small()
    made, other = cut_by_half(model)
    found = recover(other, model, made, [images(64)], method="mix")
    assert found.method == "mix"
    x = images(64)[:56]  # those that it was solved on
    with torch.no_grad():
        evaluated, trained = other.eval()(x), copy.deepcopy(other).train()(x)
    assert torch.allclose(evaluated, trained, atol=0.02 * float(evaluated.abs().max()))


def test_norms_that_share_a_scale_stay():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 3, bias=False),
                          nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU(),
                          nn.Conv2d(8, 4, 1))  # fmt: skip
    model[7].weight = model[4].weight
    model.train()(images(64))
    made, other = cut_by_half(model.eval())
    found = recover(other, model, made, [images(64)], method="mix")
    held = images(64)[-8:]
    with torch.no_grad():
        assert disagreement([model(held)], [other(held)]) == pytest.approx(found.held_out[found.method], rel=1e-5)


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


def test_the_images_that_fit_are_taken(monkeypatch):
    model = small()
    made, other = cut_by_half(model)
    monkeypatch.setattr(recovery, "LIVE_BYTES", 2 << 20)
    assert 8 <= recover(other, model, made, [images(512)], method="bn").images < 100


def test_what_cannot_be_recovered():
    model = small()
    made, other = cut_by_half(model)
    before = copy.deepcopy(other.state_dict())
    threads = threading.active_count()
    with pytest.raises(UsageError, match=r"Unknown recovery 'mixed'\. Did you mean mix\?"):
        recover(other, model, made, [images()], method="mixed")
    with pytest.raises(UsageError, match="No images to recover on"):
        recover(other, model, made, iter([]))
    with pytest.raises(UsageError, match=r"not the model cut by this plan: .* is \[\d+, .*the plan makes it \["):
        recover(model, model, made, [images()])
    with pytest.raises(UsageError, match="not the model cut by this plan: .* is missing"):
        recover(other.stem, model, made, [images()])
    broken = copy.deepcopy(model)
    broken.head.forward = lambda x: (_ for _ in ()).throw(KeyboardInterrupt)
    other.head.forward = broken.head.forward
    with pytest.raises(KeyboardInterrupt):
        recover(other, model, made, [images()], method="mix")
    assert all(torch.equal(t, before[n]) for n, t in other.state_dict().items())
    assert threading.active_count() == threads


def cut_first(model, layer, count, x=X):
    graph = trace(model, x)
    keep = np.ones(graph.channels, dtype=np.int64)
    group = graph.group(layer)
    keep[group.first : group.first + count] = 0
    return graph, keep, cut(model, graph, keep).eval()


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


def test_images_that_are_not_finite():
    model = small()
    made, other = cut_by_half(model)
    bad = images()
    bad[3, 0, 0, 0] = torch.nan
    threads = threading.active_count()
    with pytest.raises(PadlessError, match="not finite on the calibration images"):
        recover(other, model, made, [bad])
    assert threading.active_count() == threads


def test_windows_of_one_dimension():
    """Whole numbers for stride and padding, as `torch.nn.functional` takes them."""
    torch.manual_seed(0)
    x, weight = torch.randn(64, 4, 20), torch.randn(5, 4, 3)
    given = {**FULL, "weight": torch.zeros(5, 4, 3), "padding": 1}
    fit = least_squares(x, nn.functional.conv1d(x, weight, padding=1), given, None, linear=False, shifts=False)
    assert torch.allclose(fit.weight, weight, atol=0.01)


class Either(nn.Module):
    """Takes one of two ways by what its tensors hold."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 1)
        self.turn = False

    def forward(self, x):
        x = self.stem(x)
        return self.b(self.a(x)) if self.turn else self.a(x)


def test_networks_that_part_ways():
    model = Either().eval()
    graph = trace(model, X)
    keep = np.ones(graph.channels, dtype=np.int64)
    keep[graph.group("stem").first] = 0
    made = cut(model, graph, keep)
    dense = nn.Sequential()
    with pytest.raises(PadlessError, match="The dense network runs to its end where the cut one runs stem.weight"):
        reconstruct(made, dense, graph, keep, images(), "mix")
