"""A family of budgets."""

from itertools import pairwise

import pytest
import torch
from models.networks import small

from padless import inspect, load_target, plan, trace
from padless.choose.frontier import pareto
from padless.cost import Answer, Cycles, Oracle, Source
from padless.errors import UsageError

X = torch.zeros(1, 3, 16, 16)


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
    with pytest.raises(
        UsageError,
        match="no oracle for peak_sram_bytes: none that is asked knows memory. Use a budget on peak_activation_bytes",
    ):
        plan(model, X, target="unit:4", budget="peak_sram_bytes=50%")


def test_the_dense_total_is_that_of_inspect_and_no_row_comes_twice():
    """By an oracle that prices whole networks at twice the sum of their layers."""

    class Whole(Oracle):
        def __call__(self, shapes):
            return [Answer(source=Source(oracle="whole"), total=s.macs, npu=s.macs // 2) for s in shapes]

        def network(self, graph, model):
            macs = sum(layer.macs for layer in graph.layers)
            return Cycles(source=Source(oracle="whole"), total=2 * macs, npu=macs)

    for quantity in ("cycles", "npu_cycles"):
        points = pareto(small(), X, target="unit:8", quantity=quantity, points=40, oracle=Whole())
        dense = inspect(small(), X, target="unit:8", oracle=Whole()).totals()[quantity]
        assert points[-1].cost == pytest.approx(dense) and points[-1].share == pytest.approx(1)
        assert all(point.share == pytest.approx(point.cost / dense) for point in points)
        widths = [tuple(point.widths.values()) for point in points]
        assert len(set(widths)) == len(widths) < 40
        assert list(points[0].widths) == [group.id for group in trace(small(), X).groups]
