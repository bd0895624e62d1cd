"""Weights on a grid of few levels: the rival that cuts nothing."""

import pytest
import torch
from models.tiny import Tiny
from torch import nn

from padless import trace
from padless.reproduction.grid import GRIDS, LEVELS, SPARSE, finest, rounded
from padless.reproduction.store import read_results
from padless.treat import Treatment
from padless.treat.treatment import LADDER


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8)
        self.middle = nn.Conv2d(8, 16, 3)
        self.last = nn.Linear(16, 4)

    def forward(self, x):
        return self.last(self.middle(self.depthwise(self.first(x))).mean((2, 3)))


@pytest.mark.parametrize("levels", LEVELS)
def test_each_filter_has_so_many_levels(levels):
    model, x = Mixed().eval(), torch.zeros(1, 3, 12, 12)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    after = rounded(model, trace(model, x), Treatment(levels=levels)).state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [name for name, tensor in after.items() if not torch.equal(tensor, before[name])] == ["middle.weight"]
    for filter, original in zip(after["middle.weight"], before["middle.weight"], strict=True):
        values = filter.unique()
        most = original.abs().max()
        step = most / (levels // 2)
        assert 1 < len(values) <= levels and torch.allclose(filter.abs().max(), most)
        assert torch.allclose(values / step, (values / step).round(), atol=1e-4)
        assert (filter - original).abs().max() <= step / 2 + 1e-6


def test_the_finest_that_fits_is_taken():
    model = Mixed().eval()
    graph = trace(model, torch.zeros(1, 3, 12, 12))

    def values(network):
        return max(len(filter.unique()) for filter in network.middle.weight)

    images = [torch.randn(32, 3, 12, 12)]
    small, found = finest(model, graph, images, values, 9)
    assert values(small) <= 9 and found in GRIDS
    finer = GRIDS[GRIDS.index(found) - 1]
    assert values(rounded(model, graph, finer)) > 9
    assert finest(model, graph, images, values, 1) is None
    plain = rounded(model, graph, found)
    with torch.no_grad():
        wanted, got, near = (network(images[0]) for network in (model, small, plain))
    assert (got - wanted).square().sum() < (near - wanted).square().sum()


def test_two_of_four_are_tried_before_a_grid_beside_them():
    model = Mixed().eval()
    graph, images = trace(model, torch.zeros(1, 3, 12, 12)), [torch.randn(32, 3, 12, 12)]

    def weights(network):
        return network.middle.weight.count_nonzero().item()

    small, found = finest(model, graph, images, weights, model.middle.weight.numel() / 2, SPARSE)
    assert str(found) == "2:4" and weights(small) == model.middle.weight.numel() / 2
    coarse = finest(model, graph, images, lambda network: len(network.middle.weight[0].unique()), 9, SPARSE)
    assert coarse is not None and coarse[1].sparse and coarse[1].levels in LEVELS


def test_it_is_a_method_at_equal_cycles(run, tmp_path):
    options = ("--methods", "grid alone", "--ratios", "", "--out", "r")
    assert run(*options, "--budgets", "97,10")[0] == 0
    met, missed = [r for r in read_results(tmp_path / "r" / "results.json")["rows"] if r["part"] == "equal cycles"]
    assert met["cycles_percent"] <= 97 and met["macs_percent"] == 100 and met["levels"] in LEVELS
    assert met["widths"]["second.0"] == [Tiny().second[0].in_channels, Tiny().second[0].out_channels]
    assert missed["accuracy"] is None  # no levels bring it so low
    assert read_results(tmp_path / "r" / "results.json")["staircase"] == []


def test_both_in_one_program_are_a_method_at_equal_cycles(run, tmp_path):
    options = ("--methods", "padless on grids", "--ratios", "", "--out", "r")
    assert run(*options, "--budgets", "97,10")[0] == 0
    met, missed = [r for r in read_results(tmp_path / "r" / "results.json")["rows"] if r["part"] == "equal cycles"]
    assert met["cycles_percent"] <= 97 and set(met["treatments"]) <= {f"grid:{levels}" for levels in LADDER}
    assert missed["accuracy"] is None


def test_names_of_methods_may_have_commas(run):
    code, _, err = run("--methods", "Torch-Pruning global, rounded, grid only")
    assert code == 2 and "No method 'grid only'. Did you mean grid alone?" in " ".join(err.split())
