"""Importance, widths, budgets and plans."""

import dataclasses
import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from networks import Nothing, small
from torch import nn

from padless import Plan, load_target, plan, trace
from padless.choose import ALLOCATIONS, aligned_levels, free_levels, importance, parse_budget, strongest
from padless.choose.allocate import FLOOR
from padless.errors import InfeasibleError, UsageError

X = torch.zeros(1, 3, 16, 16)


def chain(*widths: int, kernel: int = 1) -> nn.Module:
    return nn.Sequential(*(nn.Conv2d(a, b, kernel, padding=kernel // 2) for a, b in pairwise(widths)))


def test_importance_sums_over_everything_a_channel_touches():
    model = chain(2, 2, 1)
    a, b = model
    with torch.no_grad():
        a.weight.copy_(torch.tensor([[1.0, -2.0], [0.5, 0.0]])[:, :, None, None])
        a.bias.copy_(torch.tensor([0.25, 0.0]))
        b.weight.copy_(torch.tensor([[3.0, -4.0]])[:, :, None, None])
        b.bias.zero_()
    graph = trace(model, torch.zeros(1, 2, 4, 4))
    assert importance(graph, model, "l1")[graph.group("0").channels].tolist() == [1 + 2 + 0.25 + 3, 0.5 + 4]
    expected = [np.sqrt(1 + 4 + 0.0625 + 9), np.sqrt(0.25 + 16)]
    assert importance(graph, model, "l2")[graph.group("0").channels].tolist() == pytest.approx(expected)


def test_unknown_importance():
    model = small()
    with pytest.raises(UsageError, match=r"Unknown importance 'l3'\. Did you mean l"):
        importance(trace(model, X), model, "l3")


@pytest.mark.parametrize(
    ("target", "levels"),
    [
        ("unit:8", {"stem": [8, 16], "block.body.0": [8, 16, 24], "down": [8, 16, 24, 32]}),
        ("unit:16", {"stem": [16], "block.body.0": [16], "down": [16, 32]}),  # 24 is misaligned, 16 repairs it
        ("unit:16x8", {"stem": [16], "block.body.0": [16], "down": [16, 32]}),
        ("unit:32x8", {"stem": [8, 16], "block.body.0": [8, 16, 24], "down": [32]}),  # too narrow for 32: outputs align
        ("ethos-u55-256", {"stem": [8, 16], "block.body.0": [8, 16, 24], "down": [32]}),
    ],
)
def test_feasible_widths(target, levels):
    graph = trace(small(), X)
    found = {g: w.tolist() for g, w in aligned_levels(graph, load_target(target)).widths.items()}
    assert found == {**levels, "head": [4]}


def test_sides_that_no_cut_can_align():
    graph = trace(small(), X)
    assert aligned_levels(graph, load_target("unit:8")).fixed == {"stem": {"in"}, "head": {"out"}}
    fixed = aligned_levels(graph, load_target("unit:32x8")).fixed
    assert fixed["down"] == {"in"} and fixed["block.body.0"] == {"in"}


def test_flattened_features_align_over_all_positions():
    graph = trace(nn.Sequential(nn.Conv2d(3, 12, 1), nn.Flatten(), nn.Linear(12 * 4, 2)), torch.zeros(1, 3, 2, 2))
    assert aligned_levels(graph, load_target("unit:8x1")).widths["0"].tolist() == [2, 4, 6, 8, 10, 12]


def test_uniform_and_global_widths():
    graph = trace(small(), X)
    scores = np.arange(graph.channels, dtype=float)
    free = free_levels(graph)
    assert ALLOCATIONS["uniform"](graph, scores, free, 0.5) == {"stem": 8, "block.body.0": 12, "down": 16, "head": 4}
    whole = ALLOCATIONS["global"](graph, scores, free, 0.0)
    assert whole == {g.id: g.width for g in graph.groups}
    least = ALLOCATIONS["global"](graph, scores, free, 1.0)
    assert all(least[g.id] == max(1, round(FLOOR * g.width)) for g in graph.groups if not g.pinned)
    kept = ALLOCATIONS["global"](graph, np.ones(graph.channels), free, 0.4)
    assert kept["head"] == 4


def test_global_threshold_is_relative_to_the_groups_mean():
    graph = trace(chain(3, 4, 4, 2), torch.zeros(1, 3, 4, 4))
    scores = np.array([1, 2, 3, 4, 100, 200, 300, 400, 1, 1], dtype=float)
    assert ALLOCATIONS["global"](graph, scores, free_levels(graph), 0.5) == {"0": 2, "1": 2, "2": 2}


def test_strongest_keeps_the_best_and_breaks_ties_downwards():
    graph = trace(chain(3, 4, 2), torch.zeros(1, 3, 4, 4))
    keep = strongest(graph, np.array([1.0, 5.0, 5.0, 5.0, 0, 0]), {"0": 2, "1": 2})
    assert keep.tolist() == [False, True, True, False, True, True]


@pytest.mark.parametrize(
    ("text", "share", "absolute"),
    [("cycles=50%", 0.5, None), ("macs=0.5", 0.5, None), ("weight_bytes=300k", None, 300_000),
     (" padded_macs = 2M ", None, 2_000_000), ("cycles=100%", 1.0, None), ("npu_cycles=1500", None, 1500)],
)  # fmt: skip
def test_budgets(text, share, absolute):
    budget = parse_budget(text)
    assert (budget.share, budget.absolute) == (share, absolute)
    assert str(budget) == text.replace(" ", "").replace("0.5", "50%").replace("300k", "300000").replace("2M", "2000000")


@pytest.mark.parametrize(
    ("text", "message"),
    [("half", "Cannot read the budget 'half'. Write QUANTITY=SHARE"), ("cycles=1.2.3%", "Cannot read the budget"),
     ("cycle=50%", "Unknown budget 'cycle'. Did you mean cycles"), ("flops=50%", "Unknown budget 'flops'"),
     ("macs=120%", "is not a share between 0 and 100 %"), ("macs=0%", "is not a share")],
)  # fmt: skip
def test_bad_budgets(text, message):
    with pytest.raises(UsageError, match=message):
        parse_budget(text)


@pytest.mark.parametrize("quantity", ["macs", "padded_macs", "weight_bytes"])
@pytest.mark.parametrize("allocate", ["uniform", "global"])
@pytest.mark.parametrize("align", ["unit", "none"])
def test_budgets_are_met_after_alignment(quantity, allocate, align):
    made = plan(small(), X, target="unit:4", budget=f"{quantity}=60%", allocate=allocate, align=align)
    assert made.after[quantity] <= 0.6 * made.before[quantity]
    assert made.outcome.achieved == made.after[quantity]
    assert made.after[quantity] > 0.35 * made.before[quantity]  # and used
    if align == "unit":
        assert made.after["avoidable_macs_percent"] == 0
    else:
        assert made.after["avoidable_macs_percent"] > 0


def test_infeasible_budgets_say_what_is_possible():
    with pytest.raises(InfeasibleError, match=r"asks for at most 1,000; the narrowest network .* costs ([0-9,]+) \("):
        plan(small(), X, target="unit:8", budget="macs=1k")


def test_budget_in_cycles_without_an_oracle():
    with pytest.raises(UsageError, match="no oracle for cycles: .* Use a budget on padded_macs"):
        plan(small(), X, target="unit:8", budget="cycles=50%")


def test_nothing_to_prune_and_nothing_to_do():
    with pytest.raises(UsageError, match="nothing to prune.*\n.*1: output of the network"):
        plan(Nothing(), torch.zeros(1, 3, 4, 4), target="unit:8", budget="macs=50%")
    with pytest.raises(UsageError, match="Nothing to cut: the network already meets macs=100%"):
        plan(small(), X, target="unit:8", budget="macs=100%")


def test_unknown_choices():
    with pytest.raises(UsageError, match="allocate cannot be 'globall'. Did you mean global"):
        plan(small(), X, target="unit:8", budget="macs=50%", allocate="globall")
    with pytest.raises(UsageError, match="align cannot be 'units'. Did you mean unit"):
        plan(small(), X, target="unit:8", budget="macs=50%", align="units")


def test_a_plan_is_json_and_back():
    made = plan(small(), X, target="unit:8", budget="macs=50%")
    assert Plan.from_json(made.to_json()) == made
    assert json.loads(made.to_json())["keep"]["head"] == [0, 1, 2, 3]
    assert plan(small(), X, target="unit:8", budget="macs=50%").keep.keys() == made.keep.keys()


def test_bad_plans(tmp_path):
    model = small()
    made = plan(model, X, target="unit:8", budget="macs=50%")
    data = json.loads(made.to_json())
    with pytest.raises(
        UsageError, match="plan.json is not a padless plan: keep.stem.0: Input should be a valid integer"
    ):
        Plan.from_json(json.dumps({**data, "keep": {"stem": ["x"]}}), where="plan.json")
    with pytest.raises(UsageError, match="not a padless plan: extra: Unexpected"):
        Plan.from_json(json.dumps({**data, "extra": 1}))
    with pytest.raises(UsageError, match="not a padless plan: the file: Invalid JSON"):
        Plan.from_json("{")
    with pytest.raises(UsageError, match="No plan at .*plan.json. Give the folder"):
        Plan.read(tmp_path / "plan.json")
    graph = trace(model, X)
    for kept in ([], [3, 2], [0, 0], [-1], [16]):
        with pytest.raises(UsageError, match=r"keeps .* of group stem; expected ascending indices from 0 to 15"):
            dataclasses.replace(made, keep={**made.keep, "stem": kept}).mask(graph)
    with pytest.raises(UsageError, match="cuts group head, which must stay: output of the network"):
        dataclasses.replace(made, keep={**made.keep, "head": [0]}).mask(graph)
