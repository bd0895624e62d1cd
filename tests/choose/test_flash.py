"""Budgets on flash: bytes as a compiler stores them."""

from dataclasses import replace

import pytest
import torch
from checks.coded import Coded
from checks.recovering import images
from models.networks import Small, shaken

from padless import inspect, plan, prune, treat
from padless.choose.budget import Budget
from padless.errors import UsageError
from padless.report.limits import limits_of

X = torch.zeros(1, 3, 16, 16)


def model():
    torch.manual_seed(0)
    return shaken(Small())


def made(budget, **choices):
    return plan(model(), X, target="unit:8", oracle=Coded(), budget=budget, images=[images(64)], **choices)


def test_a_budget_of_stored_bytes_is_met_and_used():
    planned = made("flash=50%")
    (outcome,) = planned.outcomes
    assert outcome.budget == "flash_bytes=50%" and planned.solver.status == "optimal"
    assert 0.4 * planned.before["flash_bytes"] < planned.after["flash_bytes"] <= 0.5 * planned.before["flash_bytes"]
    assert outcome.compiler_total == planned.after["flash_bytes"]
    both = made(["flash=70%", "cycles=60%"])
    assert both.after["flash_bytes"] <= 0.7 * both.before["flash_bytes"]
    assert both.after["cycles"] <= 0.6 * both.before["cycles"]


def test_fewer_values_take_fewer_bytes():
    """So fewer channels go; and the network that was treated is as small as was said."""
    alone, planned = made("flash=40%"), made("flash=40%", treat=["grid"])
    assert planned.treatments and planned.solver.objective > alone.solver.objective
    assert planned.after["macs"] > alone.after["macs"]
    net = model()
    small = prune(net, planned)
    treat(small, [images(64)], planned.treatments, model=net, plan=planned)
    now = inspect(small, X, target="unit:8", oracle=Coded()).totals()["flash_bytes"]
    assert now <= 0.4 * planned.before["flash_bytes"]


def test_zeros_that_are_stored_save_no_flash():
    """Here 2:4 makes computing cheaper and nothing smaller."""
    made("cycles=80%", treat=["2:4"])
    with pytest.raises(
        UsageError, match=r"Treatments do not pay on unit:8: with 2:4 .* 100.0 % of their flash. Leave treat"
    ):
        made("flash=80%", treat=["2:4"])


class Silent(Coded):
    """Knows flash for whole networks alone."""

    def __call__(self, shapes):
        for answer in super().__call__(shapes):
            yield replace(answer, flash_bytes=None)


class Ignorant(Silent):
    def network(self, graph, net):
        return replace(super().network(graph, net), flash_bytes=None)


def test_who_does_not_know_flash():
    with pytest.raises(UsageError, match="The oracle says nothing of flash for layers alone, only for whole networks"):
        plan(model(), X, target="unit:8", oracle=Silent(), budget="flash=50%")
    with pytest.raises(
        UsageError, match="no oracle for flash_bytes: none that is asked knows how constants are stored. Use a"
    ):
        plan(model(), X, target="unit:8", oracle=Ignorant(), budget="flash=50%")


def test_it_is_the_limit_of_the_report():
    planned = made("flash=4kB")
    assert Budget.parse(planned.outcomes[0].budget).absolute == 4000
    from padless import load_target

    (limit,) = limits_of(load_target("unit:8"), ["flash_bytes=4000"])
    assert (limit.of, limit.bytes, limit.source) == ("flash", 4000, "the budget")


def test_arm_s_compiler_says_it():
    pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")
    planned = plan(model(), X, target="ethos-u55-256", budget="flash=60%", align="cost", importance="l1")
    assert planned.after["flash_bytes"] <= 0.6 * planned.before["flash_bytes"]
    small = prune(model(), planned)
    assert inspect(small, X, target="ethos-u55-256").cycles.flash_bytes == planned.after["flash_bytes"]
