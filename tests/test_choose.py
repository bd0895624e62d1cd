"""Importance, widths, budgets and plans."""

import dataclasses
import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from networks import Nothing, small
from torch import nn

from padless import Plan, load_target, plan, prune, trace
from padless.align import aligned_levels, free_levels
from padless.choose import RATIOS, parse_budget
from padless.choose.planning import ALLOCATIONS
from padless.choose.ratios import FLOOR
from padless.errors import InfeasibleError, UsageError
from padless.importance import importance, weights
from padless.importance.curves import ranked

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
    assert weights.l1(graph, model)[graph.group("0").channels].tolist() == [1 + 2 + 0.25 + 3, 0.5 + 4]
    expected = [np.sqrt(1 + 4 + 0.0625 + 9), np.sqrt(0.25 + 16)]
    assert weights.l2(graph, model)[graph.group("0").channels].tolist() == pytest.approx(expected)


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
    scores = ranked(graph, np.arange(graph.channels, dtype=float), comparable=False)
    free = free_levels(graph)
    assert RATIOS["uniform"](graph, scores, free, 0.5) == {"stem": 8, "block.body.0": 12, "down": 16, "head": 4}
    whole = RATIOS["global"](graph, scores, free, 0.0)
    assert whole == {g.id: g.width for g in graph.groups}
    least = RATIOS["global"](graph, scores, free, 1.0)
    assert all(least[g.id] == max(1, round(FLOOR * g.width)) for g in graph.groups if not g.pinned)
    kept = RATIOS["global"](graph, ranked(graph, np.ones(graph.channels), comparable=False), free, 0.4)
    assert kept["head"] == 4


def test_global_threshold_is_relative_to_the_groups_mean():
    graph = trace(chain(3, 4, 4, 2), torch.zeros(1, 3, 4, 4))
    scores = np.array([1, 2, 3, 4, 100, 200, 300, 400, 1, 1], dtype=float)
    assert RATIOS["global"](graph, ranked(graph, scores, comparable=False), free_levels(graph), 0.5) == {
        "0": 2, "1": 2, "2": 2,
    }  # fmt: skip


def test_strongest_keeps_the_best_and_breaks_ties_downwards():
    graph = trace(chain(3, 4, 2), torch.zeros(1, 3, 4, 4))
    found = ranked(graph, np.array([1.0, 5.0, 5.0, 5.0, 0, 0]), comparable=True)
    keep = found.strongest(graph, {"0": 2, "1": 2})
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
@pytest.mark.parametrize("allocate", ALLOCATIONS)
@pytest.mark.parametrize("align", ["unit", "none"])
def test_budgets_are_met_after_alignment(quantity, allocate, align):
    made = plan(small(), X, target="unit:4", budget=f"{quantity}=60%", allocate=allocate, align=align)
    assert made.after[quantity] <= 0.6 * made.before[quantity]
    assert made.outcomes[0].compiler_total == made.after[quantity]
    assert made.after[quantity] > 0.35 * made.before[quantity]  # and used
    if align == "unit":
        assert made.after["avoidable_macs_percent"] == 0
    elif allocate in RATIOS:
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


class Joined(nn.Module):
    """Branches of the given widths side by side, then a convolution over all of them."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(3, w, 1) for w in widths)
        self.join, self.end = nn.Conv2d(sum(widths), 32, 1), nn.Conv2d(32, 2, 1)

    def forward(self, x):
        return self.end(self.join(torch.cat([b(x) for b in self.branches], 1)))


def levels_of(model: nn.Module, target: str, **more) -> tuple:
    graph = trace(model, torch.zeros(1, 3, 4, 4))
    return graph, aligned_levels(graph, load_target(target), **more)


def test_a_concatenation_is_aligned_by_its_sum():
    """Inputs come in 32s, outputs in 16s: 48 + 16 fill two units together, neither does alone."""
    graph, levels = levels_of(Joined(48, 16, 32), "unit:32x16")
    assert {g: w.tolist() for g, w in levels.widths.items()} == {
        "branches.0": [16, 32, 48], "branches.1": [16], "branches.2": [16, 32], "join": [32], "end": [2],
    }  # fmt: skip
    assert "join" not in levels.fixed
    for ratio in (0.0, 0.2, 0.4, 0.6, 0.9):
        widths = levels.settle({g.id: (1 - ratio) * g.width for g in graph.groups})
        assert sum(widths[f"branches.{i}"] for i in range(3)) % 32 == 0
    assert levels.settle({g.id: g.width for g in graph.groups})["branches.0"] == 48


def test_where_each_can_be_aligned_alone_nothing_is_left_to_weigh():
    _, levels = levels_of(Joined(64, 32), "unit:32x16")
    assert not levels.joint and levels.widths["branches.0"].tolist() == [32, 64]


def test_a_sum_that_nothing_aligns_is_out_of_reach():
    _, levels = levels_of(Joined(4, 4), "unit:32x4")
    assert levels.fixed["join"] == {"in"} and not levels.joint


def test_groups_of_filters_keep_whole_units_each():
    model = nn.Sequential(nn.Conv2d(3, 64, 1), nn.Conv2d(64, 96, 3, padding=1, groups=2), nn.Conv2d(96, 2, 1))
    _, levels = levels_of(model, "unit:8")
    assert levels.widths["0"].tolist() == [8, 16, 24, 32]  # of one group of two
    assert levels.widths["1"].tolist() == [8, 16, 24, 32, 40, 48]
    several = nn.Sequential(nn.Conv2d(3, 64, 1), nn.Conv2d(64, 64, 3, padding=1, groups=8), nn.Conv2d(64, 2, 1))
    graph, levels = levels_of(several, "unit:16")
    assert levels.widths["0"].tolist() == [2, 4, 6, 8]  # whole groups of eight filters
    assert levels.fixed["1"] == {"in", "out"} and graph.layers[1].drops_groups


def test_repair_goes_down_or_up():
    down, up = (levels_of(small(), "unit:16", repair=r)[1] for r in ("down", "up"))
    assert down.widths["block.body.0"].tolist() == [16]
    assert up.widths["block.body.0"].tolist() == [16, 32]
    assert up.widths["stem"].tolist() == [16]
    assert up.settle({**up.dense, "block.body.0": 23})["block.body.0"] == 32  # 24 of its own are nearer than 16
    assert up.settle({**up.dense, "block.body.0": 17})["block.body.0"] == 16


def test_repair_up_keeps_the_function_exactly():
    torch.manual_seed(0)
    model = small()
    made = plan(model, X, target="unit:16", budget="padded_macs=100%", repair="up")
    assert made.zeros == {"block.body.0": 8} and Plan.from_json(made.to_json()) == made
    assert made.after["padded_macs"] == made.before["padded_macs"]
    assert made.after["avoidable_macs_percent"] == 0 < made.before["avoidable_macs_percent"]
    wide = prune(model, made)
    x = torch.randn(2, 3, 16, 16)
    assert wide.block.body[0].out_channels == 32
    assert torch.allclose(wide(x), model(x), atol=1e-6)


def test_zeros_join_only_what_may_have_them():
    class Counts(nn.Module):
        def __init__(self, counted):
            super().__init__()
            self.a, self.b, self.counted = nn.Conv2d(3, 24, 1), nn.Conv2d(24, 2, 1), counted

        def forward(self, x):
            return self.b(self.counted(self.a(x)))

    for counted in (lambda y: y - y.mean(1, keepdim=True), lambda y: y.flip(1)):
        assert levels_of(Counts(counted), "unit:16", repair="up")[1].widths["a"].tolist() == [16]
    made = plan(small(), X, target="unit:16", budget="padded_macs=100%", repair="up")
    graph = trace(small(), X)
    for zeros, message in (
        ({"head": 8}, "gives group head 8 channels of zeros"),
        ({"stem": -1}, "gives group stem -1"),
    ):
        with pytest.raises(UsageError, match=f"{message}.*only a group that may be cut and keeps all"):
            dataclasses.replace(made, zeros=zeros).mask(graph)
    with pytest.raises(UsageError, match="repair cannot be 'sideways'"):
        plan(small(), X, target="unit:16", budget="macs=50%", repair="sideways")
