"""Networks whose layers are treated: what they are then, what it costs, and when it cannot be."""

import copy
import threading
from importlib import import_module

import pytest
import torch
from checks.recovering import X, apart, cut_by_half, images
from models.networks import small
from torch import nn

from padless import trace, treat
from padless.errors import PadlessError, UsageError
from padless.graph.shadow import single
from padless.recover.judge import disagreement, outputs_of
from padless.treat.layers import by_layer
from padless.treat.treatment import Treatment

WHERE = import_module("padless.recover.treating")  # `padless.recover` is the function
INNER = ["block.body.0", "block.body.3", "down"]


def rounded(model, layers, treatment):
    """The same without compensation."""
    for name in layers:
        weight = model.get_submodule(name).weight
        rows = weight.data.flatten(1)
        weight.data = treatment.on_grid(rows, treatment.step(rows)).reshape(weight.shape)
    return model


@pytest.mark.parametrize("levels", [5, 9, 17])
def test_a_grid_costs_less_than_rounding(levels):
    model = small()
    other = copy.deepcopy(model)
    done = treat(other, images(128).split(32), f"grid:{levels}")
    assert list(done.layers) == INNER and set(done.layers.values()) == {f"grid:{levels}"} and done.images == 128
    for name in INNER:
        filters = other.get_submodule(name).weight.detach().flatten(1)
        assert max(len(row.unique()) for row in filters) <= levels
    changed = {n for n, t in other.state_dict().items() if not torch.equal(t, model.state_dict()[n])}
    assert not {n for n in changed if n.startswith(("stem", "head"))}
    held = images(128)[-16:]
    with torch.no_grad():
        assert disagreement([model(held)], [other(held)]) == pytest.approx(done.held_out[1], rel=1e-4)
    assert done.held_out[0] == pytest.approx(0, abs=1e-9)
    plain = rounded(copy.deepcopy(model), INNER, Treatment(levels=levels))
    fresh = images(64, seed=1)
    assert apart(other, model, fresh) < 0.5 * apart(plain, model, fresh)


def test_a_cut_network_is_brought_towards_the_dense_one():
    """Errors of the cut are made up for on the way, as far as the pattern lets them."""
    model = small()
    made, other = cut_by_half(model)
    before = {n: t.shape for n, t in other.state_dict().items()}
    done = treat(other, images(256).split(64), {"block.body.3": "2:4", "down": "2:4+grid:33"}, model=model, plan=made)
    assert done.layers == {"block.body.3": "2:4", "down": "2:4+grid:33"} and done.held_out[1] < done.held_out[0]
    assert {n: t.shape for n, t in other.state_dict().items()} == before
    for name in done.layers:
        weight = other.get_submodule(name).weight.detach()
        quads = (weight != 0).transpose(0, 1).unflatten(0, (-1, 4)).sum(1)
        assert (quads <= 2).all()
    assert max(len(row.unique()) for row in other.down.weight.detach().flatten(1)) <= 33


def test_the_mean_goes_into_the_bias():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).eval()
    other, x = copy.deepcopy(model), images(64)
    treat(other, [x], "grid:3")
    assert not torch.equal(other[2].bias, model[2].bias)
    with torch.no_grad():
        wanted, got = (m[2](other[:2](x[:56])).mean((0, 2, 3)) for m in (model, other))
    torch.testing.assert_close(got, wanted, atol=1e-2, rtol=0)


def test_which_layers_one_treatment_for_all_suits():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 6, 1), nn.Conv2d(6, 8, 1), nn.Conv2d(8, 8, 1, groups=2),
        nn.ConvTranspose2d(8, 8, 2), nn.Conv2d(8, 4, 1),
    )  # fmt: skip
    layers = trace(model, X).layers
    assert list(by_layer("grid:9", layers)) == ["2", "3"]
    assert list(by_layer("2:4", layers)) == ["2"]
    assert by_layer("int8", layers) == by_layer({"2": "int8"}, layers) == {}
    for name, text, reason in (
        ("1", "grid:9", "it has groups, for which little is stored"),
        ("3", "2:4", "it has 6 input channels, which is no multiple of 4"),
        ("5", "grid:9", "treated are convolutions of one and two dimensions and linear layers"),
    ):
        with pytest.raises(UsageError, match=rf"{name} cannot have the treatment {text}: {reason}\."):
            by_layer({name: text}, layers)
    with pytest.raises(UsageError, match=r"There is no layer '7' to treat"):
        by_layer({"7": "grid:9"}, layers)


def test_behind_a_flattened_map_two_of_four_are_channels():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=4), nn.Flatten(), nn.Linear(128, 12), nn.ReLU(), nn.Linear(12, 4)
    ).eval()
    treat(model, [images(256)], "2:4")
    quads = (model[2].weight != 0).unflatten(1, (2, 4, 16)).sum(2)  # filters, quads of channels, places
    assert (quads <= 2).all() and (quads == 2).any()


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.inner, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        return self.head(self.inner(self.inner(self.stem(x))))


def test_when_it_cannot_be_the_network_is_as_it_was():
    torch.manual_seed(0)
    model = Twice().eval()
    other, threads = copy.deepcopy(model), threading.active_count()
    with pytest.raises(
        UsageError, match="inner cannot be treated: its weights are computed or shared, it is called several times"
    ):
        treat(other, [images()], {"head": "grid:3", "inner": "grid:3"})
    with pytest.raises(UsageError, match="No images. Was the iterator used up before"):
        treat(other, iter([]), "grid:3")
    with pytest.raises(
        UsageError, match="A model is what the network was cut from. Give the plan, too, or leave the model"
    ):
        treat(other, [images()], "grid:3", model=model)
    made, _ = cut_by_half(small())
    with pytest.raises(UsageError, match="not the model cut by this plan"):
        treat(other, [images()], "grid:3", model=small(), plan=made)
    assert all(torch.equal(t, model.state_dict()[n]) for n, t in other.state_dict().items())
    assert threading.active_count() == threads


def test_nothing_is_claimed_where_nothing_is_treated():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)).eval()
    same = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, padding="same"), nn.Conv2d(8, 4, 3)).eval()
    for network, treatment in ((model, "grid:9"), (same, "grid:9"), (small(), "int8")):
        with pytest.raises(UsageError, match="No layer would be treated: the first and the last one stay"):
            treat(network, [images()], treatment)
    assert not treat(small(), [images()], {"down": "int8"}).layers


def test_a_stop_at_the_very_end_and_values_that_are_not_finite(monkeypatch):
    model = small()
    other, runs = copy.deepcopy(model), []

    def stopping(network, x, whole=outputs_of):
        runs.append(network)
        if len(runs) == 3:
            raise KeyboardInterrupt
        return whole(network, x)

    with monkeypatch.context() as patch:
        patch.setattr(WHERE, "outputs_of", stopping)
        with pytest.raises(KeyboardInterrupt):
            treat(other, [images()], "grid:3")
    bad = images(512)
    bad[230, 0, 0, 0] = torch.nan  # held out where layers are solved: no ridge sees it
    with pytest.raises(PadlessError, match="not finite on the calibration images"):
        treat(other, [bad], "grid:3")
    assert all(torch.equal(t, model.state_dict()[n]) for n, t in other.state_dict().items())


class Tied(nn.Module):
    """One weight read forwards and backwards, and one that an embedding has, too."""

    def __init__(self):
        super().__init__()
        self.stem, self.w, self.inner = nn.Conv2d(3, 8, 3), nn.Linear(8, 8, bias=False), nn.Linear(8, 8)
        self.table, self.read, self.head = nn.Embedding(8, 8), nn.Linear(8, 8, bias=False), nn.Linear(8, 4)
        self.read.weight = self.table.weight

    def forward(self, x):
        h = nn.functional.linear(self.w(self.stem(x).mean((2, 3))), self.w.weight.t()).relu()
        return self.head(self.read(self.inner(h).relu()) + self.table.weight.sum(0))


def test_weights_that_are_shared_stay():
    torch.manual_seed(0)
    model = Tied().eval()
    other = copy.deepcopy(model)
    assert list(treat(other, [images()], "grid:5").layers) == ["inner"]
    assert torch.equal(other.w.weight, model.w.weight) and torch.equal(other.table.weight, model.table.weight)
    (name,) = (layer.name for layer in trace(model, X).layers if layer.weight == "table.weight")
    with pytest.raises(UsageError, match=f"{name} cannot be treated: its weights are computed or shared"):
        treat(other, [images()], {name: "grid:5"})


def test_two_norms_behind_one_output_both_have_its_mean():
    torch.manual_seed(0)

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.mid, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, bias=False), nn.Conv2d(8, 4, 1)
            self.a, self.b = nn.BatchNorm2d(8), nn.BatchNorm2d(8)

        def forward(self, x):
            y = self.mid(self.stem(x).relu())
            return self.head(self.a(y).relu() + self.b(y).sigmoid())

    model = Branches().eval()
    other = copy.deepcopy(model)
    treat(other, [images()], "grid:3")
    moved = [getattr(other, n).running_mean - getattr(model, n).running_mean for n in "ab"]
    assert moved[0].abs().max() > 0 and torch.equal(*moved)


def test_filters_too_wide_to_be_solved_for(monkeypatch):
    monkeypatch.setattr(import_module("padless.treat.layers"), "WIDEST", 100)
    with pytest.raises(
        UsageError, match="down cannot have the treatment grid:9: its filters have 144 weights; up to 100 are"
    ):
        treat(small(), [images()], {"down": "grid:9"})


def test_half_precision():
    model = small().bfloat16()
    made, other = cut_by_half(model, X.bfloat16())
    done = treat(other, [images().bfloat16()], "grid:9", model=model, plan=made)
    assert other.down.weight.dtype is torch.bfloat16 and list(done.layers) == INNER
    assert max(len(row.unique()) for row in single(other).down.weight.detach().flatten(1)) <= 9
