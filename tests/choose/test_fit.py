"""The best widths within budgets."""

import itertools

import numpy as np
import pytest
import torch
from checks.tables import tables_of
from models.dense import Dense
from models.networks import small
from torch import nn

from padless import load_target, plan
from padless.choose import Budget, tables
from padless.choose.choices import ALLOCATIONS
from padless.choose.fit import best_widths
from padless.cost.pricing import Pricing
from padless.errors import InfeasibleError, UsageError
from padless.graph import narrowed
from padless.importance import importance
from padless.optimise import search
from padless.optimise.fronts import GivenUpError

X = torch.zeros(1, 3, 16, 16)


def gives_up(*_args, **_more):
    raise GivenUpError


@pytest.mark.parametrize(
    "budgets",
    [
        ["macs=50%"],
        ["padded_macs=70%", "weight_bytes=50%"],
        ["weight_bytes=40%"],
        ["peak_activation_bytes=60%", "macs=70%"],
    ],
)
def test_nothing_within_the_budgets_keeps_more(budgets):
    """Against every choice of widths."""
    model = small()
    quantities = [budget.split("=")[0] for budget in budgets]
    graph, _, tables = tables_of(model, "unit:4", quantities)
    found = importance(graph, model)
    made = plan(model, X, target="unit:4", budget=budgets)
    assert made.solver.status == "optimal" and made.solver.gap < 1e-6
    best = -np.inf
    for pick in itertools.product(*(range(len(w)) for w in tables.widths.values())):
        at = dict(zip(tables.widths, pick, strict=True))
        spent = {
            q: max(
                sum(float(f.table[tuple(at[v] for v in f.scope)]) for f in one)
                for one in (tables.peaks if "peak" in q else [tables.costs[q]])
            )
            for q in quantities
        }
        if all(spent[o.budget.split("=")[0]] <= o.asked for o in made.outcomes):
            best = max(best, sum(float(found.worth(id, w[at[id]][None])[0]) for id, w in tables.widths.items()))
    assert made.solver.objective == pytest.approx(best)
    for outcome in made.outcomes:
        assert outcome.table_total == outcome.compiler_total <= outcome.asked


class Fake:
    """A network's cost that is more than its tables say, by a factor that grows as it narrows."""

    def __init__(self, total):
        self.total = total

    def totals(self):
        return {"macs": self.total}


def corrected(share, factor):
    model = nn.Sequential(*(nn.Conv2d(32 if i else 3, 32, 3, padding=1) for i in range(6)), nn.Conv2d(32, 2, 1))
    graph, _, tables = tables_of(model, "unit:1")
    found = importance(graph, model)
    dense = Fake(int(sum(layer.macs for layer in graph.layers) * factor(1.0)))
    asked = []

    def price(widths, treatments):
        keep = found.strongest(graph, widths)
        macs = sum(layer.macs for layer in narrowed(graph, keep))
        asked.append(macs)
        return Fake(int(macs * factor(macs / sum(layer.macs for layer in graph.layers))))

    fixed = {g.id: g.width for g in graph.groups if g.id not in tables.widths}
    chosen = best_widths(tables, found, fixed, [Budget.parse(f"macs={share:g}%")], dense, price, time_limit=2.0)
    return chosen.cost.total / (share / 100 * dense.total), asked


@pytest.mark.parametrize("share", [70, 35])
@pytest.mark.parametrize(
    "factor", [lambda s: 1.5, lambda s: 2 - s, lambda s: 1 + s, lambda s: 1.2 + 0.05 * np.sin(90 * s)]
)
def test_what_the_compiler_says_corrects_the_tables(share, factor):
    used, asked = corrected(share, factor)
    assert 0.97 < used <= 1 and len(asked) <= 12


def test_infeasible_budgets():
    with pytest.raises(
        InfeasibleError, match=r"budget weight_bytes=1000 asks for at most 1,000; the narrowest .* costs [0-9,]+"
    ):
        plan(small(), X, target="unit:8", budget=["macs=90%", "weight_bytes=1000"])
    with pytest.raises(InfeasibleError, match="No widths of this target meet all of"):
        contradictory()
    with pytest.raises(UsageError, match="each of another quantity; got macs, macs"):
        plan(small(), X, target="unit:8", budget=["macs=90%", "macs=80%"])
    with pytest.raises(UsageError, match="each of another quantity; got none"):
        plan(small(), X, target="unit:8", budget=[])


def contradictory():
    """Two budgets that can be met alone, not together: what one saves the other pays."""
    model = nn.Sequential(nn.Conv2d(3, 16, 1), nn.Conv2d(16, 2, 1))
    graph, _, tables = tables_of(model, "unit:8", ("macs", "weight_bytes"), torch.zeros(1, 3, 4, 4))
    macs, weights = tables.costs["macs"], tables.costs["weight_bytes"]
    turned = [type(f)(f.scope, f.table.max() - f.table) for f in weights]
    tables = type(tables)(widths=tables.widths, sums={}, hard=(), costs={"macs": macs, "weight_bytes": tuple(turned)})
    found = importance(graph, model)
    with Pricing(model, (torch.zeros(1, 3, 4, 4),), load_target("unit:8")) as pricing:
        dense = pricing.dense()
    budgets = [Budget.parse("macs=60%"), Budget(quantity="weight_bytes", absolute=1)]
    best_widths(tables, found, {"1": 2}, budgets, dense, lambda *_: dense, time_limit=2.0)


@pytest.mark.parametrize("model", [Dense, small])
@pytest.mark.parametrize("share", [85, 75])
def test_no_rival_keeps_more_importance(model, share):
    torch.manual_seed(0)
    net = model()
    kept = {}
    for allocate in ALLOCATIONS:
        made = plan(net, X, target="unit:8", budget=f"padded_macs={share}%", allocate=allocate)
        assert made.after["padded_macs"] <= share / 100 * made.before["padded_macs"]
        kept[allocate] = made.importance_kept
        assert (made.solver is None) == (allocate != "optimal")
    assert all(kept["optimal"] >= other - 1e-12 for other in kept.values()), kept


def test_greedy_finds_nothing_where_nothing_fits():
    with pytest.raises(InfeasibleError, match="No widths of this target meet all of macs=101"):
        plan(small(), X, target="unit:8", budget="macs=101", allocate="greedy")


@pytest.mark.parametrize("model", [Dense, small])
@pytest.mark.parametrize("share", [85, 75, 60])
def test_no_rival_keeps_more_where_nothing_is_proven(model, share, monkeypatch):
    """As for graphs that are too entangled: every bucket is split, and no integer program helps."""
    for limit in ("WIDEST", "COMPUTED", "SPLIT", "LARGEST_ALONE"):
        monkeypatch.setattr(search, limit, 1)
    torch.manual_seed(0)
    net = model()
    kept = {
        allocate: plan(net, X, target="unit:8", budget=f"macs={share}%", allocate=allocate)
        for allocate in ("optimal", "greedy", "uniform", "global")
    }
    best = kept.pop("optimal")
    assert best.solver.status == "gap left" and best.solver.bound >= best.solver.objective
    assert best.after["macs"] <= share / 100 * best.before["macs"]
    assert all(best.importance_kept >= other.importance_kept - 1e-12 for other in kept.values())


def test_widths_between_those_offered_count_too(monkeypatch):
    """A wide group is offered few widths; uniform, which knows all, comes closer to the budget."""
    monkeypatch.setattr(tables, "MOST", 2)
    monkeypatch.setattr(search, "best_in_band", gives_up)
    monkeypatch.setattr(search, "LARGEST", 0)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 32, 1), nn.Conv2d(32, 32, 1), nn.Conv2d(32, 2, 1))
    made = plan(net, X, target="unit:1", budget="macs=50%")
    uniform = plan(net, X, target="unit:1", budget="macs=50%", allocate="uniform")
    assert made.importance_kept >= uniform.importance_kept - 1e-12
    assert made.solver.bound >= made.solver.objective and made.outcomes[0].compiler_total <= made.outcomes[0].asked
