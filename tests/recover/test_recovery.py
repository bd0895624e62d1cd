"""Recovering a network: which method is taken, and what happens when it fails."""

import copy
import threading

import numpy as np
import pytest
import torch
from checks.recovering import X, cut_by_half, images
from models.networks import small
from torch import nn

from padless import recover, trace
from padless.cut import cut
from padless.errors import PadlessError, UsageError
from padless.recover import judge
from padless.recover.closed_form import reconstruct
from padless.recover.judge import disagreement


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


def test_a_network_that_ends_in_a_softmax_is_judged_as_without_it():
    def held_out(*ending):
        torch.manual_seed(0)
        model = nn.Sequential(small(), *ending)
        made, other = cut_by_half(model)
        return recover(other, model, made, images(128).split(32)).held_out

    plain, ending = held_out(), held_out(nn.Softmax(1))
    assert dict(ending) == pytest.approx(dict(plain), rel=1e-3)


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


def test_the_images_that_fit_are_taken(monkeypatch):
    model = small()
    made, other = cut_by_half(model)
    monkeypatch.setattr(judge, "LIVE_BYTES", 2 << 20)
    assert 8 <= recover(other, model, made, [images(512)], method="bn").images < 100


def test_what_cannot_be_recovered():
    model = small()
    made, other = cut_by_half(model)
    before = copy.deepcopy(other.state_dict())
    threads = threading.active_count()
    with pytest.raises(UsageError, match=r"Unknown recovery 'mixed'\. Did you mean mix\?"):
        recover(other, model, made, [images()], method="mixed")
    with pytest.raises(UsageError, match="No images. Was the iterator used up before"):
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


def test_images_that_are_not_finite():
    model = small()
    made, other = cut_by_half(model)
    bad = images()
    bad[3, 0, 0, 0] = torch.nan
    threads = threading.active_count()
    with pytest.raises(PadlessError, match="not finite on the calibration images"):
        recover(other, model, made, [bad])
    assert threading.active_count() == threads


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
