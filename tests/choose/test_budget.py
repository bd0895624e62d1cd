"""Budgets: what may be written."""

import pytest
import torch
from models.networks import small
from torch import nn

from padless import inspect, load_target, plan
from padless.choose import Budget
from padless.choose.budget import QUANTITIES, amount, read_budgets
from padless.choose.frontier import pareto
from padless.cost import Answer, Source
from padless.errors import InfeasibleError, UsageError

X = torch.zeros(1, 3, 16, 16)
SHORT = {"sram": "peak_sram_bytes", "flash": "flash_bytes"}
BYTES = [*(quantity for quantity in QUANTITIES if quantity.endswith("_bytes")), *SHORT]
CEIL = {"target": "ethos-u55-64", "oracle": "ceil"}  # 500 MHz, and no compiler is needed


@pytest.mark.parametrize(
    ("text", "share", "absolute"),
    [("cycles=50%", 0.5, None), ("macs=0.5", 0.5, None), ("weight_bytes=300k", None, 300_000),
     (" padded_macs = 2M ", None, 2_000_000), ("cycles=100%", 1.0, None), ("npu_cycles=1500", None, 1500),
     ("cycles=1.0", 1.0, None), ("macs=5e6", None, 5_000_000), ("cycles=1_000_000", None, 10**6), ("macs=.5", 0.5, None),
     ("macs=1.5k", None, 1500), ("macs=2Ki", None, 2048)],
)  # fmt: skip
def test_budgets(text, share, absolute):
    budget = Budget.parse(text)
    assert (budget.share, budget.absolute) == (share, absolute)
    assert Budget.parse(str(budget)) == budget and str(budget).startswith(text.strip().partition("=")[0].strip())


@pytest.mark.parametrize("quantity", BYTES)
@pytest.mark.parametrize(
    ("written", "number"),
    [("100kB", 100_000), ("100KB", 100_000), ("100k", 100_000), ("100K", 100_000), ("100KiB", 102_400), ("100Ki", 102_400),
     ("100kiB", 102_400), ("0.5MiB", 524_288), ("2MB", 2_000_000), ("1GiB", 2**30), ("100000", 100_000), ("300B", 300)],
)  # fmt: skip
def test_bytes(quantity, written, number):
    """Alike for all that is counted in bytes, `sram` and `flash` among them."""
    budget = Budget.parse(f"{quantity}={written}")
    assert (budget.quantity, budget.absolute) == (SHORT.get(quantity, quantity), number)


@pytest.mark.parametrize("quantity", [*QUANTITIES, *SHORT])
def test_shares_are_written_alike_for_all_quantities(quantity):
    for written in ("50%", "0.5", "50.0 %"):
        assert Budget.parse(f"{quantity}={written}").share == 0.5
    assert Budget.parse(f"{quantity}=1.0").share == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [("half", "Cannot read the budget 'half'. Write a share, such as cycles=50% or macs=0.5"),
     ("cycles=1.2.3%", "Cannot read the budget"), ("cycles=%", "Cannot read the budget"), ("macs=1e999", "Cannot read"),
     ("cycles=1", r"'cycles=1': no network costs so little. Write cycles=1% for a share of the dense network's, 100% for all "
                  "of it, or a number with its unit, such as cycles=300k"),
     ("sram=50", r"no network costs so little. Write peak_sram_bytes=50% for a share of the dense network's, or a number"),
     ("macs=0", "no network costs so little. Write macs=0.5 or 50% for"), ("macs=100", "Write macs=100% for a share"),
     ("cycles=5kB", "cycles are no bytes. Write a share"), ("sram=5m", "'m' is no unit: there are %, k, M, G, Ki, Mi, Gi and"),
     ("sram=5iB", "'iB' is no unit"),
     ("cycle=50%", "Unknown budget 'cycle'. Did you mean cycles"), ("flops=50%", "Unknown budget 'flops'"),
     ("macs=120%", "is not a share between 0 and 100 %"), ("macs=0%", "is not a share"),
     ("latency=5", r"A latency has a unit \(ns, us, ms, s\), as in latency=5ms, or is a share"),
     ("latency=5min", "Cannot read the budget 'latency=5min'. A latency has a unit"),
     ("latency=5M", "A latency has a unit"), ("cycles=5ms", "A time is a budget of latency: latency=5ms"),
     ("cycles=5q", "Cannot read the budget 'cycles=5q'. 'q' is no unit"), ("latncy=5ms", "Unknown budget 'latncy'. Did you")],
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
    assert amount("latency=1ms", 500_000, cost.totals()) == "1 ms (500,000 cycles)"
    assert amount("latency=1ms", 500_000, faster) == amount("cycles=500k", 500_000, cost.totals()) == "500,000"
    assert slow.clocks["Himax_WE2"] == slow.system.clock_hz == 400_000_000


def test_an_oracle_that_answers_in_time_needs_no_clock():
    def board(shapes):
        return [
            Answer(source=Source(oracle="board", unit="ns"), total=1000 * s.c_out, npu=1000 * s.c_out) for s in shapes
        ]

    dense = inspect(small(), X, target="unit:8", oracle=board)
    totals = dense.totals()
    assert totals["nanoseconds"] == 1000 * sum(row.layer.c_out for row in dense.layers)
    assert totals["milliseconds"] == totals["nanoseconds"] / 1e6
    assert totals["cycles"] is totals["npu_cycles"] is totals["clock_hz"] is None
    asked = {"target": "unit:8", "oracle": board}
    made = plan(small(), X, budget=f"latency={0.7 * totals['milliseconds']}ms", **asked)
    assert made.after["nanoseconds"] <= 0.7 * totals["nanoseconds"] and made.after["cycles"] is None
    assert made.outcomes[0].asked == pytest.approx(0.7 * totals["nanoseconds"])
    assert amount("latency=1ms", 500_000, totals) == "0.5 ms"
    for quantity in ("cycles", "npu_cycles"):
        with pytest.raises(
            UsageError,
            match=f"board answers in nanoseconds, so there are no {quantity} to budget. Ask for latency, such as",
        ):
            plan(small(), X, budget=f"{quantity}=50%", **asked)
    with pytest.raises(
        UsageError, match="no oracle for peak_sram_bytes: none that is asked knows memory. Use a budget on"
    ):
        plan(small(), X, budget="sram=50%", **asked)


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
        InfeasibleError, match=r"latency=0.001ms asks for at most 0.001 ms \(500 cycles\).*costs 0.0\d+ ms"
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


@pytest.mark.parametrize("allocate", ["optimal", "uniform"])
def test_memory_that_cannot_be_had_names_the_layer_and_the_maps(allocate):
    """A residual block at 16x16: its input, the map inside and its output live at once, each at its narrowest."""
    with pytest.raises(InfeasibleError) as error:
        plan(small(), X, target="unit:8", budget="peak_activation_bytes=4KiB", allocate=allocate)
    first, *_, last = str(error.value).splitlines()
    assert "asks for at most 4,096; the" in first and "costs 6,144 (42.9 % of dense)" in first
    assert last == (
        "At their narrowest, layer block.body.3 binds with 6,144 bytes of activations (by live ranges): the maps 8x16x16 of "
        "stem (2,048 bytes), 8x16x16 of block.body.0 (2,048 bytes), 8x16x16 of block.body.3 (2,048 bytes) are there at once. "
        "The target stores channels in blocks of 8: fewer than that save nothing. A smaller input, or a stride or a pool "
        "before that layer, makes these maps smaller."
    )
    with pytest.raises(InfeasibleError, match="costs") as error:
        plan(small(), X, target="unit:8", budget="padded_macs=1k", allocate=allocate)
    assert "binds" not in str(error.value)


def test_what_stays_where_memory_binds():
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 40, 1))
    with pytest.raises(InfeasibleError, match=r"40x4x4 of 2 \(640 bytes\), 1x4x4 of 0 \(16 bytes\) are there") as error:
        plan(model, torch.zeros(1, 3, 4, 4), target="unit:1", budget="peak_activation_bytes=200")
    assert "Channels that stay: 2 (output of the network). A smaller input" in str(error.value)
    many = nn.ModuleList(nn.Conv2d(3, 8, 1) for _ in range(6))

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.many = many

        def forward(self, x):
            maps = [torch.sigmoid(branch(x)) for branch in self.many]
            return sum(each.mean((2, 3)).sum(1) for each in maps)

    with pytest.raises(InfeasibleError, match=r" and \d smaller ones are there at once"):
        plan(Branches(), torch.zeros(1, 3, 4, 4), target="unit:1", budget="peak_activation_bytes=10B")
