"""Tables of what widths cost, and the best widths within budgets."""

import itertools
from itertools import pairwise

import numpy as np
import pytest
import torch
from networks import small
from torch import nn

from padless import load_target, plan, prune, trace
from padless.align import aligned_levels
from padless.choose import parse_budget, tabulate
from padless.choose.fit import optimal
from padless.choose.frontier import pareto
from padless.choose.planning import ALLOCATIONS
from padless.cost import network_cost
from padless.cost.ask import Asked
from padless.cost.cycles import Answer, Source
from padless.cost.oracles import open_oracle
from padless.cost.padding import padding
from padless.cost.pricing import Pricing
from padless.errors import InfeasibleError, OracleError, UsageError
from padless.graph import narrowed
from padless.importance import importance

X = torch.zeros(1, 3, 16, 16)


class Dense(nn.Module):
    """Three layers that each read all before them, a transition, a depthwise and a grouped layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, padding=1)
        self.layers = nn.ModuleList(nn.Conv2d(24 + 16 * i, 16, 3, padding=1) for i in range(3))
        self.join = nn.Conv2d(72, 32, 1)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.grouped = nn.Conv2d(32, 32, 3, padding=1, groups=2)
        self.head = nn.Linear(32 * 16, 5)

    def forward(self, x):
        x = self.stem(x).relu()
        for layer in self.layers:
            x = torch.cat([x, layer(x).relu()], 1)
        x = self.grouped(self.depthwise(self.join(x))).relu()
        return self.head(nn.functional.adaptive_avg_pool2d(x, 4).flatten(1))


def tables_of(model, target="unit:8", quantities=("macs", "padded_macs", "weight_bytes", "padded_weight_bytes"), x=X):
    graph, hardware = trace(model, x), load_target(target)
    asked = Asked(open_oracle("ceil", hardware)) if "cycles" in quantities else None
    levels = aligned_levels(graph, hardware)
    return graph, levels, tabulate(graph, levels, hardware, asked, quantities)


def drawn(graph, levels, tables, rng):
    """Random levels, and the widths that they are."""
    pick = {id: int(rng.integers(len(w))) for id, w in tables.widths.items()}
    widths = {g.id: int(levels.widths[g.id][-1]) for g in graph.groups}
    widths |= {id: int(w[pick[id]]) for id, w in tables.widths.items()}
    for factor in tables.hard:  # running sums follow from the widths
        if len(factor.scope) == 3:
            before, added, total = factor.scope
            (pick[total],) = np.flatnonzero(np.isfinite(factor.table[pick[before], pick[added]]))
    return pick, widths


@pytest.mark.parametrize("model", [Dense, small])
@pytest.mark.parametrize("target", ["unit:8", "unit:16x8", "ethos-u55-256"])
def test_tables_say_what_the_network_costs(model, target):
    """The sum over the tables is the cost of the narrowed network, for any levels."""
    graph, levels, tables = tables_of(model(), target)
    importances = importance(graph, model())
    rng = np.random.default_rng(0)
    for _ in range(20):
        pick, widths = drawn(graph, levels, tables, rng)
        keep = importances.strongest(graph, widths)
        cost = network_cost(graph, narrowed(graph, keep), load_target(target), levels.fixed, None)
        for quantity, factors in tables.costs.items():
            said = sum(float(f.table[tuple(pick[v] for v in f.scope)]) for f in factors)
            assert said == cost.totals()[quantity], quantity


@pytest.mark.parametrize("model", [Dense, small])
@pytest.mark.parametrize("target", ["unit:8", "ethos-u55-256"])
def test_tables_say_what_lives_at_once(model, target):
    """The most of the moments is the peak of the network that was cut, for any widths."""
    net = model().eval()
    graph, levels, tables = tables_of(net, target, ["peak_activation_bytes"])
    importances, rng = importance(graph, net), np.random.default_rng(0)
    with Pricing(net, (X,), load_target(target), oracle="ceil" if "ethos" in target else None) as pricing:
        for _ in range(10):
            pick, widths = drawn(graph, levels, tables, rng)
            said = [sum(float(f.table[tuple(pick[v] for v in f.scope)]) for f in one) for one in tables.peaks]
            assert max(said) == pricing.cut(importances.strongest(graph, widths)).peak.bytes


def test_a_dense_block_is_a_chain():
    _, _, tables = tables_of(Dense())
    assert len(tables.sums) == 3
    assert max(len(f.scope) for factors in tables.costs.values() for f in factors) == 2


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


@pytest.mark.parametrize("model", [Dense, small])
def test_a_concatenation_is_cut_aligned_and_within_the_budget(model):
    torch.manual_seed(0)
    net = model().eval()
    made = plan(net, X, target="unit:16x8", budget="padded_macs=80%")
    assert made.after["padded_macs"] <= 0.8 * made.before["padded_macs"]
    assert made.after["avoidable_macs_percent"] == 0
    prune(net, made)


def test_the_compilers_total_meets_the_budget_and_uses_it():
    """On the real compiler, with what lies between the layers, which no table has."""
    for budget in (0.8, 0.6):
        made = plan(small(), X, target="ethos-u55-256", budget=f"cycles={100 * budget:g}%")
        (outcome,) = made.outcomes
        assert outcome.compiler_total <= outcome.asked and outcome.table_total != outcome.compiler_total
        assert made.solver.rounds >= 1


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

    def price(widths):
        keep = found.strongest(graph, widths)
        macs = sum(layer.macs for layer in narrowed(graph, keep))
        asked.append(macs)
        return Fake(int(macs * factor(macs / sum(layer.macs for layer in graph.layers))))

    fixed = {g.id: g.width for g in graph.groups if g.id not in tables.widths}
    chosen = optimal(tables, found, fixed, [parse_budget(f"macs={share:g}%")], dense, price, time_limit=2.0)
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
    budgets = [parse_budget("macs=60%"), parse_budget("weight_bytes=1")]
    optimal(tables, found, {"1": 2}, budgets, dense, lambda widths: dense, time_limit=2.0)


def test_plans_repeat():
    model = small()
    first, second = (plan(model, X, target="unit:4", budget="macs=50%") for _ in range(2))
    assert first == second and first.solver.seconds >= 0


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
    with pytest.raises(InfeasibleError, match="No widths of this target meet all of macs=1"):
        plan(small(), X, target="unit:8", budget="macs=1", allocate="greedy")


def test_a_family_of_budgets():
    """Costs and importance rise together, from the least to the dense network, each as good as a plan of that budget."""
    model = small()
    points = pareto(model, X, target=load_target("unit:4"), quantity="macs", points=6)
    assert len(points) == 6 and points[-1].importance_kept == pytest.approx(1) and points[-1].share == 1
    assert all(a.cost <= b.cost and a.importance_kept <= b.importance_kept for a, b in pairwise(points))
    made = plan(model, X, target="unit:4", budget=f"macs={points[2].cost:.0f}")
    assert made.importance_kept == pytest.approx(points[2].importance_kept, rel=1e-3)
    with pytest.raises(UsageError, match="at least 2 points; got 1"):
        pareto(model, X, target=load_target("unit:4"), quantity="macs", points=1)
    with pytest.raises(UsageError, match="no oracle for cycles"):
        pareto(model, X, target=load_target("unit:4"))
    with pytest.raises(UsageError, match="add up over layers, which peak_activation_bytes does not"):
        pareto(model, X, target=load_target("unit:4"), quantity="peak_activation_bytes")
    with pytest.raises(UsageError, match="no oracle for peak_sram_bytes. Use a budget on peak_activation_bytes"):
        plan(model, X, target="unit:4", budget="peak_sram_bytes=50%")


def test_what_single_groups_may_be():
    model = small()
    free = plan(model, X, target="unit:4", budget="macs=50%")
    frozen = plan(model, X, target="unit:4", budget="macs=90%", freeze=["block.body.*"])
    assert len(free.keep["block.body.0"]) < len(frozen.keep["block.body.0"]) == 24
    assert len(frozen.keep["stem"]) == 16  # block.body.3 writes it too
    bound = plan(model, X, target="unit:4", budget="macs=50%", widths={"down": (8, 12), "stem": (12, 16)})
    assert len(bound.keep["down"]) in (8, 12) and len(bound.keep["stem"]) in (12, 16)
    for allocate in ALLOCATIONS:
        made = plan(model, X, target="unit:4", budget="macs=85%", floor=0.75, allocate=allocate)
        curves = importance(trace(model, X), model).curves
        assert all(c.kept[len(made.keep[id])] >= 0.75 for id, c in curves.items())


def test_impossible_wishes():
    for wish, message in (
        ({"freeze": ["stam"]}, "No layer is called 'stam'. Did you mean stem"),
        (
            {"widths": {"down": (1, 7)}},
            r"down cannot have from 1 to 7 channels: the target's units allow 8, 16, 24, 32\.",
        ),
        (
            {"widths": {"head": (1, 3)}},
            r"head cannot have from 1 to 3 channels: it must stay \(output of the network\)",
        ),
        ({"floor": 1.5}, "importance floor is a share from 0 to 1; got 1.5"),
    ):
        with pytest.raises(UsageError, match=message):
            plan(small(), X, target="unit:8", budget="macs=50%", **wish)


def test_layers_that_cannot_be_priced_alone_are_priced_by_their_neighbours():
    """An oracle that counts padded MACs, but refuses some shapes: what is filled in is what it would have said."""
    graph, target = trace(small(), X), load_target("unit:8")
    levels = aligned_levels(graph, target)

    refused = []

    def table(refuses):
        def oracle(shapes):
            for shape in shapes:
                cost = 10 * padding(shape, target).padded_macs
                answer = Answer(source=Source(oracle="macs"), total=cost, npu=cost)
                refused.append(shape) if refuses(shape) else None
                yield OracleError("it is too large") if refuses(shape) else answer

        return tabulate(graph, levels, target, Asked(oracle), ["cycles"]).costs["cycles"]

    widest = max(layer.c_out for layer in graph.layers)
    for plain, partly in zip(table(lambda _: False), table(lambda s: s.c_out == widest > s.c_in), strict=True):
        np.testing.assert_allclose(plain.table, partly.table)
    assert refused
    with pytest.raises(OracleError, match=r"Layer .*: it is too large"):
        table(lambda _: True)
