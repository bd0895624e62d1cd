"""What lies around a plan, on a network whose tables can be looked at."""

import numpy as np
import pytest
import torch
from models.networks import small

from padless import Choices
from padless.choose import Budget
from padless.choose.around import around
from padless.choose.frontier import pareto
from padless.choose.planning import make_plan, scored
from padless.cost.pricing import Pricing
from padless.hardware import load_target

X = torch.zeros(1, 3, 16, 16)


def planned(budget="macs=60%", target="unit:4", **choices):
    """A plan, what lies around it, and how to price other widths."""
    torch.manual_seed(0)
    pricing, chosen = Pricing(small(), (X,), load_target(target)), Choices(**choices)
    curves, dense = scored(pricing, chosen, (), []), pricing.dense()
    made = make_plan(pricing, budget, chosen, dense=dense)
    return made, around(pricing, made, chosen, curves, dense), pricing, curves, dense


def test_steps_are_what_other_widths_cost():
    made, near, pricing, curves, _ = planned()
    widths = {id: len(kept) for id, kept in made.keep.items()}
    assert near.quantity == "macs" and near.spent == made.after["macs"] and near.dense == made.before["macs"]
    assert near.kept == pytest.approx(made.importance_kept)
    for id, steps in near.steps.items():
        now = steps.costs[steps.widths.index(widths[id])]
        for width, cost, worth in zip(steps.widths, steps.costs, steps.worths, strict=True):
            other = pricing.cut(curves.strongest(pricing.graph, {**widths, id: width}), whole=False)
            assert other.totals()["macs"] - made.after["macs"] == pytest.approx(cost - now)
            assert worth == curves.worth(id, np.array([width]))[0]
        assert steps.kept[-1] == pytest.approx(1) and list(steps.kept) == sorted(steps.kept)


def test_the_family_holds_the_best_plans_of_other_budgets():
    _, near, _, _, dense = planned()
    shares = [point.cost / near.dense for point in near.family]
    assert shares == sorted(shares) and len(shares) > 3
    best = pareto(small_again(), X, target="unit:4", quantity="macs", points=30)
    for point in near.family:
        same = [other for other in best if other.cost <= point.cost + 1e-6]
        assert not same or max(other.importance_kept for other in same) <= point.kept + 1e-9
    limit = Budget.parse("macs=60%").limit(dense)
    cheaper = [point for point in near.family if point.cost <= limit]
    assert near.price > 0 and cheaper


def small_again():
    torch.manual_seed(0)
    return small()


def test_budgets_on_peaks_are_shown_in_padded_macs_and_unknown_importance_is_not_told():
    made, near, pricing, _, dense = planned("peak_activation_bytes=80%")
    assert near.quantity == "padded_macs" and near.steps and near.family and near.price == 0  # nothing asks for it
    blind = around(pricing, made, Choices(), None, dense)
    assert (blind.family, blind.price, blind.kept) == ((), 0.0, None)
    assert {id: steps.costs for id, steps in blind.steps.items()} == {
        id: steps.costs for id, steps in near.steps.items()
    }
    assert all(steps.worths == steps.kept == () for steps in blind.steps.values())


def test_ratios_on_what_an_oracle_counts_have_no_tables():
    made, near, *_ = planned("macs=60%", allocate="uniform")
    assert near.quantity == "macs"
    torch.manual_seed(0)
    with Pricing(small(), (X,), load_target("unit:8"), oracle=lambda shapes: [s.macs for s in shapes]) as pricing:
        dense = pricing.dense()
        made = make_plan(pricing, "cycles=70%", Choices(allocate="uniform"), dense=dense)
        assert around(pricing, made, Choices(allocate="uniform"), None, dense) is None
