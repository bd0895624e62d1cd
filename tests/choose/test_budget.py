"""Budgets: what may be written."""

import pytest
import torch
from models.networks import small

from padless import inspect, load_target, plan
from padless.choose import Budget
from padless.choose.budget import amount, read_budgets
from padless.choose.frontier import pareto
from padless.cost import Answer, Source
from padless.errors import InfeasibleError, UsageError

X = torch.zeros(1, 3, 16, 16)
CEIL = {"target": "ethos-u55-64", "oracle": "ceil"}  # 500 MHz, and no compiler is needed


@pytest.mark.parametrize(
    ("text", "share", "absolute"),
    [("cycles=50%", 0.5, None), ("macs=0.5", 0.5, None), ("weight_bytes=300k", None, 300_000),
     (" padded_macs = 2M ", None, 2_000_000), ("cycles=100%", 1.0, None), ("npu_cycles=1500", None, 1500)],
)  # fmt: skip
def test_budgets(text, share, absolute):
    budget = Budget.parse(text)
    assert (budget.share, budget.absolute) == (share, absolute)
    assert str(budget) == text.replace(" ", "").replace("0.5", "50%").replace("300k", "300000").replace("2M", "2000000")


@pytest.mark.parametrize(
    ("text", "message"),
    [("half", "Cannot read the budget 'half'. Write QUANTITY=SHARE"), ("cycles=1.2.3%", "Cannot read the budget"),
     ("cycle=50%", "Unknown budget 'cycle'. Did you mean cycles"), ("flops=50%", "Unknown budget 'flops'"),
     ("macs=120%", "is not a share between 0 and 100 %"), ("macs=0%", "is not a share"),
     ("latency=5", r"A latency has a unit \(ns, us, ms, s\), as in latency=5ms, or is a share"),
     ("latency=0.5", "A latency has a unit"), ("latency=5min", "Cannot read the budget 'latency=5min'. A latency has a unit"),
     ("latency=5M", "A latency has a unit"), ("cycles=5ms", "A time is a budget of latency: latency=5ms"),
     ("cycles=5q", "Cannot read the budget 'cycles=5q'. Write"), ("latncy=5ms", "A time is a budget of latency")],
)  # fmt: skip
def test_bad_budgets(text, message):
    with pytest.raises(UsageError, match=message):
        Budget.parse(text)


@pytest.mark.parametrize(
    ("text", "nanoseconds", "again"),
    [("latency=5ms", 5_000_000, "latency=5ms"), ("latency = 2.5 ms", 2_500_000, "latency=2.5ms"),
     ("latency=750us", 750_000, "latency=0.75ms"), ("latency=1s", 10**9, "latency=1000ms"),
     ("latency=20ns", 20, "latency=0.00002ms"), ("latency=50%", None, "latency=50%")],
)  # fmt: skip
def test_latencies(text, nanoseconds, again):
    budget = Budget.parse(text)
    assert budget.absolute == nanoseconds and budget.counted == "cycles"
    assert str(budget) == again and Budget.parse(again) == budget


def test_a_latency_is_met_in_cycles_at_the_clock():
    model = small()
    totals = inspect(model, X, **CEIL).totals()
    assert totals["clock_hz"] == 500_000_000
    assert totals["milliseconds"] == pytest.approx(totals["cycles"] / 500e3, abs=1e-6)
    ms = 0.6 * totals["milliseconds"]
    timed, counted = (plan(model, X, budget=budget, **CEIL)
                      for budget in (f"latency={ms}ms", f"cycles={int(0.6 * totals['cycles'])}"))  # fmt: skip
    assert timed.keep == counted.keep
    assert timed.after["cycles"] <= 0.6 * totals["cycles"] and timed.after["milliseconds"] <= ms
    assert timed.outcomes[0].budget.startswith("latency=") and timed.outcomes[0].asked == pytest.approx(
        ms * 500e3, rel=1e-3
    )
    half = plan(model, X, budget="latency=60%", **CEIL)
    assert half.keep == plan(model, X, budget="cycles=60%", **CEIL).keep


def test_another_system_has_another_clock():
    slow = load_target("ethos-u55-64", system="Himax_WE2")
    cost = inspect(small(), X, target="ethos-u55-64", oracle="ceil")
    assert Budget.parse("latency=1ms").limit(cost) == 500_000
    faster = {**cost.totals(), "milliseconds": None, "clock_hz": None}
    assert amount("latency=1ms", 500_000, cost.totals()) == "1.000 ms (500,000 cycles)"
    assert amount("latency=1ms", 500_000, faster) == amount("cycles=500k", 500_000, cost.totals()) == "500,000"
    assert slow.clocks["Himax_WE2"] == slow.system.clock_hz == 400_000_000


def test_an_oracle_that_answers_in_time_needs_no_clock():
    def board(shapes):
        return [
            Answer(source=Source(oracle="board", unit="ns"), total=1000 * s.c_out, npu=1000 * s.c_out) for s in shapes
        ]

    dense = inspect(small(), X, target="unit:8", oracle=board)
    totals = dense.totals()
    assert totals["milliseconds"] == totals["cycles"] / 1e6 and totals["clock_hz"] is None
    made = plan(small(), X, target="unit:8", oracle=board, budget=f"latency={0.7 * totals['milliseconds']}ms")
    assert made.after["cycles"] <= 0.7 * totals["cycles"]
    assert amount("latency=1ms", 500_000, totals) == "0.500 ms"


def test_no_clock():
    with pytest.raises(
        UsageError,
        match="A latency needs a clock, and the system of gemmini-16 states none. Use a budget on cycles, or describe",
    ):
        plan(small(), X, target="gemmini-16", budget="latency=5ms")
    odd = load_target("ethos-u55-64").at(system="Ethos_U65_Embedded")  # described by no file of the catalogue
    cost = inspect(small(), X, target="ethos-u55-64", oracle="ceil")
    with pytest.raises(UsageError, match=r"Systems with a clock: Ethos_U55_High_End_Embedded \(500 MHz\), .*Himax_WE2"):
        Budget.parse("latency=5ms").limit(
            type(cost)(layers=cost.layers, cycles=cost.cycles, reach=cost.reach, target=odd)
        )
    with pytest.raises(UsageError, match="The target has no oracle for latency"):
        plan(small(), X, target="unit:8", budget="latency=5ms")


def test_an_infeasible_latency_is_told_in_milliseconds():
    with pytest.raises(
        InfeasibleError, match=r"latency=0.001ms asks for at most 0.001 ms \(500 cycles\).*costs 0.0.. ms"
    ):
        plan(small(), X, budget="latency=1us", **CEIL)
    with pytest.raises(InfeasibleError, match=r"at most 0.001 ms \(500 cycles\); the narrowest network that this"):
        plan(small(), X, budget="latency=1us", allocate="uniform", **CEIL)


def test_a_latency_and_cycles_are_one_quantity():
    with pytest.raises(UsageError, match="each of another quantity; got cycles, cycles"):
        read_budgets(["latency=5ms", "cycles=50%"])


def test_a_family_of_latencies_is_in_milliseconds():
    model = small()
    timed, counted = (pareto(model, X, quantity=quantity, points=3, **CEIL) for quantity in ("latency", "cycles"))
    assert [p.widths for p in timed] == [p.widths for p in counted]
    assert [p.cost for p in timed] == pytest.approx([p.cost / 500e3 for p in counted])
    with pytest.raises(UsageError, match="A latency needs a clock"):
        pareto(small(), X, target="gemmini-16", quantity="latency", points=3)
