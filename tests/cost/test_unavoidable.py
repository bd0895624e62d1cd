"""Which padding no cut removes: claims that follow from the graph stand, others do not."""

import itertools

import pytest
import torch
from torch import nn

from padless import load_target, plan, trace
from padless.align import aligned_levels
from padless.cost import unavoidable as module
from padless.cost.unavoidable import unavoidable


class Joined(nn.Module):
    """An image beside branches of the given widths, then a convolution over all of them."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(3, w, 1) for w in widths)
        self.join, self.end = nn.Conv2d(3 + sum(widths), 32, 1), nn.Conv2d(32, 2, 1)

    def forward(self, x):
        return self.end(self.join(torch.cat([x, *(b(x) for b in self.branches)], 1)))


def traced(model):
    return trace(model, torch.zeros(1, 3, 4, 4))


def test_sides_on_which_nothing_can_be_cut():
    graph = traced(Joined(20))
    assert unavoidable(graph, load_target("unit:8"), {"branches.0": {"in"}, "end": {"out"}, "none": {"in"}}) == {
        "branches.0": {"in"},
        "end": {"out"},
    }


def test_a_side_that_some_width_fills_is_within_reach():
    graph = traced(Joined(20))
    claimed = {"join": {"in"}, "end": {"in"}, "branches.0": {"out"}}
    assert unavoidable(graph, load_target("unit:8"), claimed) == {}
    assert unavoidable(traced(Joined(4)), load_target("unit:8"), {"join": {"in"}}) == {"join": {"in"}}  # at most 7


def test_of_two_sides_that_ask_for_different_widths_one_is_out_of_reach():
    """16 filters fill units of 8, and with the image's channels 13 or 21 would."""
    graph = traced(Joined(24))
    assert unavoidable(graph, load_target("unit:8"), {"join": {"in"}}) == {"join": {"in"}}
    assert unavoidable(graph, load_target("unit:8"), {"branches.0": {"out"}}) == {"branches.0": {"out"}}


@pytest.mark.parametrize("widths", [(4, 5), (7, 2), (3, 3), (2, 2)])
@pytest.mark.parametrize("target", ["unit:4x1", "unit:4x2", "unit:6x2", "unit:8x3", "unit:16x1"])
def test_sums_are_those_of_every_choice(widths, target):
    graph = traced(Joined(*widths))
    unit = load_target(target).active
    choices = [c for c in itertools.product(*(range(1, w + 1) for w in widths))
               if all(n % unit.output_unit == 0 for n in c)]  # fmt: skip
    outputs = {f"branches.{i}": {"out"} for i, w in enumerate(widths) if w < unit.output_unit}
    reachable = any((3 + sum(c)) % unit.input_unit == 0 for c in choices)
    if not outputs:
        assert ("join" not in unavoidable(graph, load_target(target), {"join": {"in"}})) == reachable


def test_claims_with_too_many_sums_are_taken_as_they_are(monkeypatch):
    graph = traced(Joined(20, 20))
    assert unavoidable(graph, load_target("unit:8x1"), {"join": {"in"}}) == {}
    monkeypatch.setattr(module, "STATES", 2)
    assert unavoidable(graph, load_target("unit:8x1"), {"join": {"in"}}) == {"join": {"in"}}


def test_whole_groups_of_filters_keep_their_inner_width():
    model = nn.Sequential(nn.Conv2d(3, 64, 1), nn.Conv2d(64, 64, 3, groups=8), nn.Conv2d(64, 2, 1))
    claimed = {"1": {"in", "out"}, "0": {"out"}}
    assert unavoidable(traced(model), load_target("unit:16"), claimed) == {"1": {"in", "out"}}


def test_levels_that_give_up_too_much_show_as_avoidable(monkeypatch):
    """Who claims that nothing can be aligned reports all of its waste."""
    model, x = Joined(20), torch.zeros(1, 3, 4, 4)
    honest = plan(model, x, target="unit:8x1", budget="macs=80%")
    assert honest.after["avoidable_macs_percent"] == 0
    assert aligned_levels(traced(model), load_target("unit:8x1")).widths["branches.0"].tolist() == [5, 13]
    general = plan(model, x, target="unit:8x1", budget="macs=80%", align="none", allocate="uniform")
    assert general.after["avoidable_macs_percent"] > 0
