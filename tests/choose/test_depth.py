"""Whole branches among the widths of one choice."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from checks.coded import Coded, cost
from checks.recovering import images
from checks.tables import at, best_of_all, random_losses
from models.networks import Small, SqueezeExcite, shaken
from torch import nn

from padless import Choices, load_target, plan, prune, trace
from padless.align import aligned_levels
from padless.choose import tabulate
from padless.choose.budget import Budget
from padless.choose.frontier import pareto
from padless.choose.peaks import problem_of
from padless.choose.treated import Offered
from padless.cost import CachedOracle
from padless.cut.branches import branches
from padless.errors import InfeasibleError, UsageError
from padless.graph import narrowed
from padless.importance import importance
from padless.optimise import solve

X = torch.zeros(1, 3, 16, 16)


class Gated(nn.Module):
    """A residual branch with a gate in it, and one of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 16, 3, 2, 1), nn.Linear(16, 4)
        self.gated = nn.Sequential(nn.Conv2d(16, 24, 1), nn.ReLU(), SqueezeExcite(24, 16), nn.Conv2d(24, 16, 3, 1, 1))
        self.deep = nn.Sequential(
            nn.Conv2d(16, 16, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 1, 1), nn.ReLU(), nn.Conv2d(16, 16, 1)
        )

    def forward(self, x):
        x = self.stem(x)
        x = x + self.gated(x)
        return self.head((x + self.deep(x)).mean((2, 3)))


def gated():
    torch.manual_seed(0)
    return shaken(Gated())


def tables(net, offered=None, quantities=("cycles",), depth=True):
    graph, hardware = trace(net, X), load_target("unit:8")
    levels = aligned_levels(graph, hardware)
    levels = replace(levels, branches=branches(graph, net)) if depth else levels
    oracle = CachedOracle(Coded())
    made = tabulate(graph, levels, hardware, oracle, quantities, Offered(treatments=offered or {}))
    return graph, made, oracle


@pytest.mark.parametrize("quantity", ["cycles", "macs", "weight_bytes", "peak_activation_bytes"])
def test_tables_say_what_is_left(quantity):
    """At every choice: what the layers that are left cost, and nothing for those that went."""
    graph, made, oracle = tables(gated(), quantities=(quantity,))
    assert {id for id, widths in made.widths.items() if widths[0] == 0} == {
        "gated.0", "gated.2.fc1", "deep.0", "deep.2"
    }  # fmt: skip
    rng = np.random.default_rng(0)
    for _ in range(60):
        pick = {v: int(rng.integers(size)) for v, size in made.sizes.items()}
        if np.isinf(at(made.hard, pick)):
            continue
        keep = np.ones(graph.channels, dtype=np.int64)
        for group in graph.groups:
            if group.id in made.widths:
                keep[group.first + int(made.widths[group.id][pick[group.id]]) : group.first + group.width] = 0
        left = narrowed(graph, keep)
        if quantity == "peak_activation_bytes":
            assert all(np.isfinite(at(moment, pick)) for moment in made.peaks)
            continue
        wanted = {
            "cycles": lambda ly: cost(ly, 255)["total"],
            "macs": lambda ly: ly.macs,
            "weight_bytes": lambda ly: ly.c_in * ly.c_out // ly.groups * ly.kernel[0] * ly.kernel[1],
        }[quantity]
        assert at(made.costs[quantity], pick) == pytest.approx(sum(wanted(layer) for layer in left))
    assert not any(shape.removed for shape in oracle.oracle.asked)


def test_what_only_lives_on_a_branch_goes_with_it():
    _, made, _ = tables(gated())
    for pick in itertools.product(*(range(made.sizes[id]) for id in ("gated.0", "gated.2.fc1", "deep.0", "deep.2"))):
        hidden, gate, first, second = (made.widths[id][level] for id, level in
                                       zip(("gated.0", "gated.2.fc1", "deep.0", "deep.2"), pick, strict=True))  # fmt: skip
        full = {v: size - 1 for v, size in made.sizes.items()}
        chosen = full | dict(zip(("gated.0", "gated.2.fc1", "deep.0", "deep.2"), pick, strict=True))
        allowed = (hidden or not gate) and bool(first) == bool(second)
        assert np.isfinite(at(made.hard, chosen)) == bool(allowed)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_within_the_budget_is_better(seed):
    """Against every choice of widths, branches and treatments; and never worse than widths alone."""
    net, rng = gated(), np.random.default_rng(seed)
    offered = {"gated.3": ("grid:5", "int8"), "deep.2": ("2:4", "grid:9", "int8")}
    graph, made, _ = tables(net, offered)
    curves = importance(graph, net, lambda graph, *_: rng.random(graph.channels))
    curves = replace(curves, comparable=True, treated=random_losses(offered, rng))
    widest = {v: size - 1 for v, size in made.sizes.items()}
    limit = float(rng.uniform(0.1, 0.7)) * at(made.costs["cycles"], widest)
    problem = replace(problem_of(made, curves, [Budget.parse("cycles=50%")]), limits=[limit])
    solution = solve(problem)
    assert solution.status == "optimal" and solution.gap < 1e-6
    assert solution.objective == pytest.approx(best_of_all(made, curves, offered, limit))
    alone = tables(net, offered, depth=False)[1]
    narrower = solve(replace(problem_of(alone, curves, [Budget.parse("cycles=50%")]), limits=[limit]))
    assert solution.objective >= narrower.objective - 1e-9 if narrower.pick else True


def made(net, budget="cycles=20%", **choices):
    asked = {"oracle": Coded(), "images": [images(64)], "depth": True, **choices}
    return plan(net, X, target="unit:8", budget=budget, **asked)


@pytest.mark.parametrize("treat", [(), ("grid", "2:4")])
@pytest.mark.parametrize("align", [None, "cost", "none"])
def test_budgets_that_no_widths_meet_come_within_reach(treat, align):
    net = gated()
    budget = "cycles=8%" if align == "none" else "cycles=20%"
    try:
        narrow = made(net, budget, depth=False, align=align, treat=treat)
    except InfeasibleError:
        narrow = None
    planned = made(net, budget, align=align, treat=treat)
    assert align == "none" or any(not kept for kept in planned.keep.values())
    assert planned.after["cycles"] <= float(budget[7:-1]) / 100 * planned.before["cycles"]
    assert narrow is None or planned.solver.objective >= narrow.solver.objective - 1e-9
    small = prune(net, planned)
    gone = {layer.name for layer in trace(net, X).layers} - {layer.name for layer in trace(small, X).layers}
    assert bool(gone) == any(not kept for kept in planned.keep.values())
    assert not gone & planned.treatments.keys()


def test_it_is_named_where_widths_do_not_suffice():
    with pytest.raises(InfeasibleError, match=r"Ask for that or more, or let whole branches go \(--depth\), or cut"):
        made(gated(), "cycles=2%", depth=False)
    with pytest.raises(InfeasibleError) as error:
        made(gated(), "cycles=2%")
    assert "--depth" not in str(error.value)
    with pytest.raises(InfeasibleError) as error:
        made(gated(), "cycles=2%", depth=False, importance="l1")  # which does not say what a branch is worth
    assert "--depth" not in str(error.value)
    with pytest.raises(InfeasibleError) as error:
        made(gated(), "peak_activation_bytes=1%", depth=True)
    assert "No network" not in str(error.value)


def test_what_is_frozen_or_limited_stays():
    net = gated()
    free = made(net, "cycles=10%").keep
    assert free["deep.0"] == free["deep.2"] == free["gated.0"] == []
    planned = made(net, "cycles=32%", freeze=["deep.2"])
    assert planned.keep["deep.0"] and len(planned.keep["deep.2"]) == 16
    with pytest.raises(InfeasibleError):
        made(net, "cycles=10%", widths={"gated.0": (8, 8)})


def test_a_family_of_budgets_has_shallow_networks_too():
    net = gated()
    choices = Choices(depth=True)
    points = pareto(net, X, target="unit:8", oracle=Coded(), images=[images(64)], points=8, choices=choices)
    assert points[0].widths["gated.0"] == points[0].widths["deep.0"] == 0 < points[-1].widths["deep.0"]
    narrow = pareto(net, X, target="unit:8", oracle=Coded(), images=[images(64)], points=8)
    assert points[0].cost < narrow[0].cost


def test_what_does_not_go_with_depth():
    net = gated()
    for choices, message in (
        ({"allocate": "uniform"}, "allocate 'uniform' narrows all groups alike. Use optimal, or leave depth out."),
        (
            {"importance": "l1"},
            "The importance l1 has no unit in common with that of a whole branch. Use reconstruction",
        ),
        (
            {"floor": 0.1},
            "No branch of this network may go altogether: .* Leave depth out, or freeze, limit and floor.",
        ),
        (
            {"freeze": ["*"]},
            "No branch of this network may go altogether: .* Leave depth out, or freeze, limit and floor.",
        ),
        ({"depth": "yes"}, "depth is a str; expected bool. Write True or False."),
    ):
        with pytest.raises(UsageError, match=message):
            made(net, **choices)
    torch.manual_seed(0)
    chain = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 3))
    with pytest.raises(UsageError, match="No branch of this network may go altogether.*Leave depth out.$"):
        made(chain)


def test_small_keeps_its_answer_where_no_branch_needs_to_go():
    torch.manual_seed(0)
    net = shaken(Small())
    assert made(net, "cycles=90%").keep["block.body.0"] != []
