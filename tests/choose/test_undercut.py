"""Alignment by cost: a compiler's prices say which widths are aligned."""

import numpy as np
import pytest
import torch
from torch import nn

from padless import Budget, Choices, load_target, plan, prune, trace
from padless.choose import Plan
from padless.choose.frontier import pareto
from padless.choose.tables import Tables
from padless.choose.undercut import charged_sides, not_undercut
from padless.cost import Answer, Cycles, Oracle, Source
from padless.cost.pricing import Pricing
from padless.errors import InfeasibleError, UsageError
from padless.optimise.buckets import Factor

X = torch.zeros(1, 3, 4, 4)
SOURCE = Source(oracle="steps")


class Steps(Oracle):
    """A compiler that charges for inputs in steps of 16 and for outputs in steps of 8, whatever the target says."""

    compiles = True

    def __call__(self, shapes):
        for s in shapes:
            cost = 100 * -(-s.c_in // 16) * -(-s.c_out // 8)
            yield Answer(source=SOURCE, total=cost, npu=cost)


def chain(width=64):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, 8, 1)
    )


def made(target="unit:64x8", budget="cycles=50%", **choices) -> Plan:
    return plan(chain(), X, target=target, budget=budget, oracle=Steps(), **choices)


def test_a_compiler_decides_where_whole_units_do_not_reach_the_budget(capsys):
    in_units = made(target="unit:32x8")
    assert in_units.align == "unit" and made(target="unit:32x8", align="unit").keep == in_units.keep
    assert "costs align" not in capsys.readouterr().err
    by_cost = made(target="unit:32x8", budget="cycles=15%")
    assert "Whole units do not reach the budget: the compiler's costs align instead" in capsys.readouterr().err
    assert (by_cost.align, made(target="unit:32x8", budget="cycles=15%", align="cost").keep) == ("cost", by_cost.keep)
    assert {len(kept) % 16 for kept in by_cost.keep.values() if len(kept) > 8} == {0}  # 8 more inputs cost as much
    assert by_cost.after["cycles"] <= 0.15 * by_cost.before["cycles"]
    assert by_cost.after["avoidable_macs_percent"] == 0
    assert made(budget="macs=50%", target="unit:8").align == "unit"
    assert made(target="unit:8", allocate="uniform").align == "unit"
    assert plan(chain(), X, target="ethos-u55-256", oracle="ceil", budget="cycles=60%").align == "unit"  # no compiler


def test_a_budget_out_of_reach_names_the_unit_that_binds():
    with pytest.raises(InfeasibleError, match="Ask for that or more, or cut in finer steps .--align cost.") as error:
        made(target="unit:32x8", budget="cycles=5%", align="unit")
    first, second = str(error.value).splitlines()[1:3]
    assert first == "  2: 32 of 64 channels at least, as inputs of layer 4, in units of 32"  # its layers compute more
    assert second == "  0: 32 of 64 channels at least, as inputs of layer 2, in units of 32"
    with pytest.raises(
        InfeasibleError, match="more, or cut outside the units .--align none..\n  2: 8 of 64 .* outputs of layer 2"
    ):
        made(budget="cycles=1%", align="cost")
    with pytest.raises(InfeasibleError, match="of dense.. Ask for that or more.$"):
        made(budget="cycles=1%", align="none")
    with pytest.raises(InfeasibleError, match="of dense.. Ask for that or more, or cut outside .*\n  2: 32 of 64"):
        made(target="unit:32x8", budget="cycles=5%", allocate="uniform")
    with pytest.raises(InfeasibleError, match="one width.*Use --align cost, which lets .*, or use --align none"):
        made(target="unit:64", budget="cycles=50%", align="unit")


def test_where_costs_cannot_decide():
    with pytest.raises(
        UsageError, match="align 'cost' an oracle's cycles say .* the budget is on macs. Use align 'unit'"
    ):
        made(budget="macs=50%", align="cost")
    with pytest.raises(
        UsageError, match="With allocate 'global' no costs are asked that could align. Use align 'unit'."
    ):
        Choices(allocate="global", align="cost")


def test_whole_units_are_tried_too():
    """A network as a whole may cost otherwise than its layers say: with 32 and 32 channels this one costs next to nothing."""

    class Whole(Steps):
        def network(self, graph, model):
            widths = {layer.c_out for layer in graph.layers[:2]}
            total = 100 if widths == {32} else sum(answer.total for answer in self([ly.shape for ly in graph.layers]))
            return Cycles(source=SOURCE, total=total, npu=total)

    def at(share, align):
        return plan(chain(), X, target="unit:32x8", budget=f"cycles={share}", oracle=Whole(), align=align)

    unit, cost = at(0.05, "unit"), at(0.05, "cost")
    assert cost.keep == unit.keep and cost.align == "cost" and len(cost.keep["0"]) == 32
    assert cost.solver.bound >= cost.solver.objective == pytest.approx(unit.solver.objective)


@pytest.mark.parametrize(("align", "target"), [("unit", "unit:8"), ("cost", "unit:64x8")])
def test_a_run_measures_avoidable_waste_as_its_plan_does(align, target):
    by_plan = made(target=target, budget="cycles=70%", align=align)
    with Pricing(chain(), (X,), load_target(target), oracle=Steps()) as pricing:
        small = prune(pricing.model, by_plan)
        sides = pricing.dense(), pricing.whole(small, trace(small, X))
        by_units = [cost.totals()["avoidable_macs_percent"] for cost in sides]
        sides = charged_sides(pricing, [Budget.parse("cycles=70%")], by_plan, *sides)
    told = [cost.totals()["avoidable_macs_percent"] for cost in sides]
    assert told == [side["avoidable_macs_percent"] for side in (by_plan.before, by_plan.after)]
    assert (told == by_units) == (align == "unit")


def test_widths_between_limits_that_no_unit_fills():
    assert len(made(budget="cycles=60%", widths={"0": (40, 40)}).keep["0"]) == 40
    with pytest.raises(UsageError, match="0 cannot have from 40 to 40 channels: the target's units allow 64"):
        made(budget="cycles=60%", widths={"0": (40, 40)}, align="unit")


def test_a_family_of_budgets_has_the_same_widths():
    by_cost = Choices(align="cost")
    points = pareto(chain(), X, target="unit:64x8", points=4, oracle=Steps(), choices=by_cost)
    assert len({point.widths["0"] for point in points}) > 2
    assert all(width % 16 == 0 or width == 8 for point in points for id, width in point.widths.items() if id != "4")


def test_only_levels_that_a_larger_width_undercuts_everywhere_go():
    widths = {"a": np.array([8, 16, 24]), "b": np.array([1, 2])}
    costs = np.array([[4.0, 4.0], [5.0, 3.0], [4.0, 6.0]])  # 16 is cheaper than 24 with b = 2 only
    tables = Tables(widths=widths, sums={}, hard=(), costs={"cycles": (Factor(("a", "b"), costs),)})
    left = not_undercut(tables)
    assert (left.widths["a"].tolist(), left.widths["b"].tolist()) == ([8, 16, 24], [1, 2])
    cheap = Tables(widths=widths, sums={}, hard=(), costs={"cycles": (Factor(("a", "b"), costs * [1, 0]),)})
    left = not_undercut(cheap)
    assert (left.widths["a"].tolist(), left.widths["b"].tolist()) == ([24], [2])
    assert left.costs["cycles"][0].table.tolist() == [[0.0]]
    bytes_too = Tables(
        widths=widths, sums={}, hard=(),
        costs={"cycles": cheap.costs["cycles"], "weight_bytes": (Factor(("a",), np.array([1.0, 2.0, 3.0])),)},
    )  # fmt: skip
    assert not_undercut(bytes_too).widths["a"].tolist() == [8, 16, 24]  # a budget on bytes may need them
    tied = Tables(widths=widths, sums={}, hard=(Factor(("a",), np.zeros(3)),), costs=cheap.costs)
    assert not_undercut(tied).widths["a"].tolist() == [8, 16, 24]


def keyword_spotting():
    """A small DS-CNN: 49x10 MFCC, a convolution of 10x4, four depthwise-separable blocks, all 64 wide, 12 classes."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 64, (10, 4), stride=2, padding=(4, 1)), nn.ReLU()]
    for _ in range(4):
        layers += [nn.Conv2d(64, 64, 3, padding=1, groups=64), nn.ReLU(), nn.Conv2d(64, 64, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12))


def test_keyword_spotting_meets_budgets_that_its_units_do_not():
    pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")
    model, x = keyword_spotting(), torch.zeros(1, 1, 49, 10)
    for share in (0.5, 0.4):
        by_cost = plan(model, x, target="ethos-u55-128", budget=f"cycles={share}")
        assert by_cost.align == "cost" and by_cost.after["avoidable_macs_percent"] == 0
        assert share - 0.05 < by_cost.after["cycles"] / by_cost.before["cycles"] <= share
        assert any(len(kept) % 32 for id, kept in by_cost.keep.items() if len(kept) > 12)
    with pytest.raises(InfeasibleError, match=r"32 of 64 channels at least, as inputs of layer 4, in units of 32"):
        plan(model, x, target="ethos-u55-128", budget="cycles=50%", align="unit")
