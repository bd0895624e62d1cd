"""Planning: budgets are met, and what cannot be is said."""

import pytest
import torch
from models.dense import Dense
from models.networks import Nothing, small

from padless import plan, prune
from padless.choose import RATIOS
from padless.choose.choices import ALLOCATIONS
from padless.errors import InfeasibleError, UsageError

X = torch.zeros(1, 3, 16, 16)


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


def test_plans_repeat():
    model = small()
    first, second = (plan(model, X, target="unit:4", budget="macs=50%") for _ in range(2))
    assert first == second and first.solver.seconds >= 0
