"""Any method brought to the same cost."""

import copy

import pytest
import torch
from models.networks import small
from torch import nn

from padless import InfeasibleError, PadlessError, UsageError, inspect, match, plan, prune
from padless.cost import Answer, Source

X = torch.zeros(1, 3, 16, 16)
MODEL = nn.Sequential(nn.Conv2d(3, 200, 1), nn.ReLU(), nn.Conv2d(200, 8, 1)).eval()
X8 = torch.zeros(1, 3, 8, 8)


def narrowed(ratio, width=200):
    keep = max(1, round((1 - ratio) * width))
    return nn.Sequential(nn.Conv2d(3, keep, 1), nn.ReLU(), nn.Conv2d(keep, 8, 1))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_a_method_reaches_its_share_of_the_macs(share):
    """To one channel of two hundred, which are as many parts of the MACs."""
    found = match(MODEL, X8, method=narrowed, budget=f"macs={share}")
    assert found.dense == 64 * 200 * 11 and found.asked == share * found.dense
    assert share - 1 / 200 <= found.share <= share
    assert (
        found.reached
        == 64 * 11 * found.model[0].out_channels
        == inspect(found.model, X8, target="unit:1").totals()["macs"]
    )
    assert str(found).startswith(f"macs={100 * share:g}%: at most {found.asked:,.0f}, reached {found.reached:,}")
    assert "networks tried" in str(found) and not found.model.training


def test_bisection_ends_where_it_is_close():
    tried = []
    match(MODEL, X8, method=lambda ratio: tried.append(ratio) or narrowed(ratio), budget="macs=51.5%")
    assert len(set(tried)) == 1  # the first ratio leaves 51.5 %


def test_the_network_that_was_counted_is_the_answer():
    asked = set()

    def lots(ratio):
        """Asked again, it draws another network."""
        again = ratio in asked
        asked.add(ratio)
        return copy.deepcopy(MODEL) if again else narrowed(ratio)

    found = match(MODEL, X8, method=lots, budget="macs=37%")
    assert found.reached == inspect(found.model, X8, target="unit:1").totals()["macs"] <= found.asked


def test_ours_and_torch_prunings_at_equal_macs():
    tp = pytest.importorskip("torch_pruning")
    model = small()

    def theirs(ratio):
        cut = copy.deepcopy(model)
        importance = tp.importance.GroupMagnitudeImportance(p=2)
        tp.pruner.BasePruner(cut, X, importance=importance, pruning_ratio=ratio, ignored_layers=[cut.head]).step()
        return cut

    def ours(ratio):
        made = plan(model, X, target="unit:1", budget=f"padded_macs={max(1 - ratio, 0.1):.4f}", allocate="uniform")
        return prune(model, made)

    for method in (theirs, ours):
        found = match(model, X, method=method, budget="macs=60%")
        assert 0.5 < found.share <= 0.6
        assert found.model(X).shape == (1, 4)


def test_equal_time_by_an_oracle():
    def clock(shapes):
        return [Answer(source=Source(oracle="clock", unit="ns"), total=1000 * s.c_out, npu=1) for s in shapes]

    found = match(MODEL, X8, method=narrowed, budget="latency=60%", oracle=clock)
    assert found.reached == 1000 * (found.model[0].out_channels + 8) <= 0.6 * 208_000
    assert f"reached {found.reached / 1e6:g} ms (" in str(found) and "cycles" not in str(found)


def test_a_method_that_cannot_go_so_far():
    """None, and networks that do not run, are too far; the nearest that was reached is told."""
    stops = match(MODEL, X8, method=lambda ratio: narrowed(ratio) if ratio < 0.6 else None, budget="macs=45%")
    assert 0.44 < stops.share <= 0.45
    broken = nn.Sequential(nn.Conv2d(5, 8, 1))
    breaks = match(MODEL, X8, method=lambda ratio: narrowed(ratio) if ratio < 0.6 else broken, budget="macs=45%")
    assert breaks.ratio == stops.ratio
    with pytest.raises(
        InfeasibleError, match=r"at most 14,080; the method reaches at its least [\d,]+. Ask for more, or give"
    ):
        match(MODEL, X8, method=lambda ratio: narrowed(min(ratio, 0.8)), budget="macs=10%")
    with pytest.raises(InfeasibleError, match="the method reaches no network that runs"):
        match(MODEL, X8, method=lambda ratio: None)


def test_what_is_no_method():
    with pytest.raises(UsageError, match="method is a float; expected a function from a ratio to a cut network"):
        match(MODEL, X8, method=0.5)
    with pytest.raises(UsageError, match="The method returned a int; expected a torch.nn.Module, or None"):
        match(MODEL, X8, method=lambda ratio: 3)
    with pytest.raises(UsageError, match="highest is a str; expected int or float. Write a ratio"):
        match(MODEL, X8, method=narrowed, highest="all")
    with pytest.raises(UsageError, match="The highest ratio lies between 0 and 1; got 1"):
        match(MODEL, X8, method=narrowed, highest=1.0)
    with pytest.raises(PadlessError, match="The method failed at ratio 0.485: ZeroDivisionError: division by zero"):
        match(MODEL, X8, method=lambda ratio: 1 / 0)


def test_a_method_that_cuts_in_place():
    model = copy.deepcopy(MODEL)
    with pytest.raises(UsageError, match="The method changed the network itself. Let it cut a copy"):
        match(model, X8, method=lambda ratio: model)

    def shrinks(ratio):
        model[0] = nn.Conv2d(3, 100, 1)
        return narrowed(ratio)

    with pytest.raises(UsageError, match="The method changed the network itself"):
        match(model, X8, method=shrinks)

    fresh = copy.deepcopy(MODEL)

    def masks(ratio):
        with torch.no_grad():
            fresh[0].weight[0] = 0
        return narrowed(ratio)

    with pytest.raises(UsageError, match="The method changed the network itself"):
        match(fresh, X8, method=masks)
