"""Criteria: what they score, on networks small enough to know it."""

import numpy as np
import pytest
import torch
from checks.criteria import halves_last
from models.networks import SqueezeExcite, small
from torch import nn

from padless import plan, trace
from padless.errors import UsageError
from padless.importance import CRITERIA, WATCHING, importance
from padless.importance.curves import ranked
from padless.importance.observed import loss_of, observe, weight_gradients

X = torch.zeros(1, 3, 16, 16)


def images(count: int = 48, seed: int = 0) -> list[torch.Tensor]:
    return list(torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed)).split(16))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_gives_curves_that_never_fall(criterion):
    torch.manual_seed(0)
    model = small()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    graph = trace(model, X)
    found = importance(graph, model, criterion, images() if criterion in WATCHING else ())
    for group in graph.groups:
        curve = found.curves[group.id]
        assert sorted(curve.order) == list(range(group.width)) and curve.kept.shape == (group.width + 1,)
        assert curve.kept[0] == 0 and (np.diff(curve.kept) >= -1e-9 * curve.kept[-1]).all()
        assert group.pinned or curve.kept[-1] > 0
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    again = importance(graph, model, criterion, images() if criterion in WATCHING else ())
    assert all(np.array_equal(found.curves[g].order, again.curves[g].order) for g in found.curves)


def dead_channel() -> nn.Module:
    """Channel 2 of the first layer never fires; channel 1 is twice channel 0."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(),
                          nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)).eval()  # fmt: skip
    with torch.no_grad():
        model[0].weight[2], model[0].bias[2] = 0.0, -100.0
        model[0].weight[1], model[0].bias[1] = 2 * model[0].weight[0], 2 * model[0].bias[0]
    return model


@pytest.mark.parametrize("criterion", ["reconstruction", "activation", "apoz"])
def test_a_dead_channel_goes_first(criterion):
    model = dead_channel()
    curve = importance(trace(model, X), model, criterion, images()).curves["0"]
    assert curve.order[-1] == 2 and curve.kept[-1] == pytest.approx(curve.kept[-2], rel=1e-3)


def test_reconstruction_knows_what_the_others_make_up_for():
    """One of two proportional channels costs next to nothing; without the other it costs what both did."""
    model = dead_channel()
    curve = importance(trace(model, X), model, "reconstruction", images()).curves["0"]
    assert {*curve.order[-2:]} <= {0, 1, 2} and curve.order[-1] == 2
    lost = curve.kept[-1] - curve.kept
    assert lost[4] < 0.05 * lost[3]


def gradients_of_maps(channels):
    """[64, 4, 4, channels] of the loss for outputs that are no class scores, two batches of 32."""
    generator = torch.Generator().manual_seed(0)
    signs = torch.cat([torch.randint(0, 2, (32, channels, 4, 4), generator=generator) * 2 - 1 for _ in range(2)])
    return signs.movedim(1, -1).double() / (16 * channels) ** 0.5


def test_reconstruction_is_what_the_least_squares_update_leaves():
    """What the best affine fit from the remaining channels does to each image's loss, squared: positions agree or cancel."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU(), nn.Conv2d(5, 4, 1)).eval()
    graph, xs = trace(model, torch.zeros(1, 3, 4, 4)), [torch.randn(64, 3, 4, 4)]
    curve = importance(graph, model, "reconstruction", xs).curves["0"]
    gradients = gradients_of_maps(4)
    with torch.no_grad():
        x = model[1](model[0](xs[0])).movedim(1, -1).reshape(-1, 5).double()
        y = x @ model[2].weight[:, :, 0, 0].double().T
        for width in range(1, 5):
            some = torch.cat([x[:, curve.order[:width].copy()], torch.ones(len(x), 1).double()], 1)
            rest = y - some @ torch.linalg.lstsq(some, y).solution
            effects = (gradients * rest.reshape(64, 4, 4, 4)).sum((1, 2, 3))
            expected = 0.5 * float(effects.square().mean())
            assert curve.kept[-1] - curve.kept[width] == pytest.approx(expected, rel=0.05)  # the ridge


class Joined(nn.Module):
    """Two maps side by side, read by one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.read = nn.Conv2d(16, 4, 1), nn.Conv2d(16, 8, 1), nn.Conv2d(12, 6, 1)

    def forward(self, x):
        return self.read(torch.cat([self.a(x), self.b(x)], 1).relu())


def test_channels_of_other_groups_make_up_too():
    """The best affine fit from all channels that are left, whichever group they are of."""
    torch.manual_seed(0)
    model = Joined().eval()
    graph, x = trace(model, torch.zeros(1, 16, 4, 4)), torch.randn(64, 16, 4, 4)
    found = importance(graph, model, "reconstruction", [x]).curves
    gradients = gradients_of_maps(6)
    with torch.no_grad():
        weight = model.read.weight[:, :, 0, 0].double()
        read = torch.cat([model.a(x), model.b(x)], 1).relu().movedim(1, -1).reshape(-1, 12).double()
    for id, first, width in (("a", 0, 4), ("b", 4, 8)):
        curve = found[id]
        for kept in range(0, width, width // 4):
            left = [*range(first), *range(first + width, 12), *(first + curve.order[:kept])]
            some = torch.cat([read[:, left], torch.ones(len(read), 1).double()], 1)
            gone = [first + int(c) for c in curve.order[kept:]]
            rest = (read[:, gone] - some @ torch.linalg.lstsq(some, read[:, gone]).solution) @ weight[:, gone].T
            effects = (gradients * rest.reshape(64, 4, 4, 6)).sum((1, 2, 3))
            expected = 0.5 * float(effects.square().mean())
            assert curve.kept[-1] - curve.kept[kept] == pytest.approx(expected, rel=0.05)  # the ridge


def test_dead_channels_do_not_make_live_ones_free():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 64, 1), nn.ReLU(), nn.Conv2d(64, 8, 3)).eval()
    with torch.no_grad():
        model[0].weight[:32], model[0].bias[:32] = 0.0, -1.0
    curve = importance(
        trace(model, torch.zeros(1, 3, 8, 8)), model, "reconstruction", [torch.randn(64, 3, 8, 8)]
    ).curves["0"]
    errors = curve.kept[-1] - curve.kept
    assert errors[40] < 1e-3 * errors[0] and errors[24] > 1e-8 * errors[0]


class Tokens(nn.Module):
    """Positions of all images on the first axis of one consumer's input, beside a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.line, self.side = nn.Conv2d(3, 8, 1), nn.Linear(8, 4), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        x = self.stem(x).relu()
        tokens = self.line(x.permute(0, 2, 3, 1).flatten(0, 2)).reshape(len(x), -1, 4).mean(1)
        return tokens + self.side(x).mean((2, 3))


def test_tokens_are_counted_by_their_images():
    torch.manual_seed(0)
    model = Tokens().eval()
    graph = trace(model, torch.zeros(1, 3, 6, 6))
    curve = importance(graph, model, "reconstruction", [torch.randn(40, 3, 6, 6)]).curves["stem"]
    assert curve.kept[-1] > 0 and np.isfinite(curve.kept).all()


def test_gradients_of_drawn_labels_are_the_fisher_information():
    """For a softmax over W x the expected squared gradient is known: p (1 - p) x^2 summed over classes."""
    model = nn.Linear(3, 5)
    x = torch.randn(4000, 3)
    _, squares = weight_gradients(model, [x])
    p = model(x).softmax(1)
    exact = torch.einsum("nk,nc->kc", p * (1 - p), x.square()) / len(x)
    assert torch.allclose(squares["weight"], exact, rtol=0.3, atol=0.02)


def test_the_loss_of_probabilities_is_that_of_their_scores():
    scores = 5 * torch.randn(4096, 3)  # few rows are split evenly

    def loss(outputs):
        return float(loss_of(outputs, torch.Generator().manual_seed(0)))

    assert loss(scores.softmax(1)) == pytest.approx(loss(scores), rel=1e-4)
    assert loss(2 * scores.softmax(1)) != pytest.approx(loss(scores), rel=1e-1)  # no probabilities
    certain = torch.tensor([[0.0, 1.0]])
    assert loss(certain) == 0.0


def test_a_loss_for_any_outputs():
    generator = torch.Generator().manual_seed(0)
    outputs = {"a": torch.ones(2, 3, 4, requires_grad=True), "b": [torch.ones(2, 2, requires_grad=True), None]}
    loss = loss_of(outputs, generator)
    loss.backward()
    assert outputs["a"].grad.abs().sum() == pytest.approx(24 / 12**0.5) and outputs["b"][0].grad is not None


def test_outputs_without_a_batch_axis_are_seen():
    class Squeezed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

        def forward(self, x):
            return self.fc(self.conv(x).mean((2, 3)).squeeze())

    torch.manual_seed(0)
    model, x = Squeezed().eval(), torch.randn(33, 3, 4, 4)  # 32 at a time, so that the last one is alone
    seen = observe(trace(model, x[:2]), model, [x])["fc.weight"]
    assert seen.outputs == 33 and len(seen.gradient_squares) == 2
    assert seen.output_squares.tolist() == pytest.approx(model(x).double().square().sum(0).tolist(), rel=1e-5)


def test_every_way_to_call_a_layer_is_seen():
    torch.manual_seed(0)
    model = nn.Sequential(SqueezeExcite(4, 2), nn.ConvTranspose2d(4, 6, 2, stride=2), nn.Conv2d(6, 6, 3, groups=2),
                          nn.Conv2d(6, 6, 3, groups=6), nn.Flatten(), nn.Linear(6 * 16, 3)).eval()  # fmt: skip
    graph = trace(model, torch.zeros(1, 4, 4, 4))
    seen = observe(graph, model, [torch.randn(8, 4, 4, 4)])
    assert {n: (s.rows, len(s.total)) for n, s in seen.items()} == {
        "0.fc1.weight": (8, 4), "0.fc2.weight": (8, 2), "1.weight": (8 * 16, 4), "2.weight": (8 * 64, 6),
        "5.weight": (8 * 16, 6),
    }  # fmt: skip
    found = importance(graph, model, "reconstruction", [torch.randn(8, 4, 4, 4)])
    assert all(found.curves[g.id].kept[-1] > 0 for g in graph.groups if not g.pinned)


def test_shares_multiply_and_losses_add():
    model = small()
    graph = trace(model, X)
    scores = np.ones(graph.channels)
    halves = {g.id: max(1, g.width // 2) for g in graph.groups}
    assert ranked(graph, scores, comparable=False).kept(halves) == pytest.approx(0.5)
    assert ranked(graph, scores, comparable=True).kept(halves) == pytest.approx(0.5)
    uneven = {**{g.id: g.width for g in graph.groups}, "block.body.0": 6}
    share = ranked(graph, scores, comparable=False).kept(uneven)
    assert share == pytest.approx(0.25 ** (1 / 5))  # of five layers; stem's group is written by two


@pytest.mark.parametrize("criterion", [halves_last, "checks.criteria:halves_last"])
def test_your_own(criterion):
    made = plan(small(), X, target="unit:8", budget="macs=50%", importance=criterion)
    assert set(range(16, 32)) <= set(made.keep["down"]) != set(range(32))
    assert made.importance.endswith("halves_last")


def test_bad_criteria():
    model = small()
    graph = trace(model, X)
    with pytest.raises(UsageError, match="importance fisher watches calibration images. Give --data"):
        importance(graph, model, "fisher")
    with pytest.raises(UsageError, match="No importance ':f': .*Write package.module:function"):
        importance(graph, model, ":f")
    with pytest.raises(UsageError, match="No importance 'nowhere:f'.*Write package.module:function"):
        importance(graph, model, "nowhere:f")
    with pytest.raises(UsageError, match=r"gave scores of shape \[3\]; expected 76 finite scores"):
        importance(graph, model, lambda *_: np.ones(3))
    with pytest.raises(UsageError, match=r"gave scores of shape \[76\], some negative or not finite"):
        importance(graph, model, lambda *_: np.full(76, -1.0))
    with pytest.raises(UsageError, match="No calibration images: this importance watches"):
        observe(graph, model, [])
    with pytest.raises(UsageError, match="No calibration images: this importance needs gradients"):
        weight_gradients(model, [])
