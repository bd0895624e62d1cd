"""Tables of what widths cost."""

import numpy as np
import pytest
import torch
from checks.tables import drawn, tables_of
from models.dense import Dense
from models.networks import small

from padless import load_target
from padless.cost import network_cost
from padless.cost.pricing import Pricing
from padless.graph import narrowed
from padless.importance import importance

X = torch.zeros(1, 3, 16, 16)


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
