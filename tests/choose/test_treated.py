"""Treatments of weights beside widths in one choice."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from checks.coded import UNTREATED, Coded, cost
from checks.recovering import images
from checks.tables import at, best_of_all, random_losses
from models.networks import Small, shaken
from torch import nn

from padless import Choices, Plan, load_target, plan, prune, trace, treat
from padless.align import aligned_levels
from padless.choose import tabulate
from padless.choose.budget import Budget
from padless.choose.frontier import pareto
from padless.choose.paying import with_few_values
from padless.choose.peaks import problem_of
from padless.choose.treated import LATTICE, Offered, offered_to, variable
from padless.cli.model import of_weights
from padless.cost import CachedOracle
from padless.cost.pricing import Pricing
from padless.errors import InfeasibleError, UsageError
from padless.importance import importance
from padless.optimise import solve
from padless.treat.layers import held, round_weights

X = torch.zeros(1, 3, 16, 16)
NAMES = ("grid:5", "grid:17", "int8")


def model():
    torch.manual_seed(0)
    return shaken(Small())


def tables(offered, target="unit:8", net=None):
    graph, hardware = trace(net or model(), X), load_target(target)
    oracle = CachedOracle(Coded())
    levels = aligned_levels(graph, hardware)
    made = tabulate(graph, levels, hardware, oracle, ["cycles"], Offered(treatments=offered))
    return graph, made, oracle


def test_tables_say_what_treated_layers_cost():
    """At every choice of widths and treatments: here the share that a treatment leaves is in proportion to weights."""
    offered = {"block.body.0": NAMES, "down": ("2:4", "int8")}
    graph, made, _ = tables(offered)
    rng = np.random.default_rng(0)
    for _ in range(40):
        pick = {v: int(rng.integers(size)) for v, size in made.sizes.items()}
        widths = {g.id: g.width for g in graph.groups} | {id: int(w[pick[id]]) for id, w in made.widths.items()}
        spent = 0
        for layer in graph.layers:
            sides = {
                side: next((widths[g.id] for g in graph.groups for m in g.members if (m.layer, m.side) == (layer.name, side)), size)
                for side, size in (("in", layer.c_in), ("out", layer.c_out))
            }  # fmt: skip
            name = offered.get(layer.name, ("int8",))[pick.get(variable(layer.name), -1)]
            values = int(name.split(":")[1]) if name.startswith("grid") else 255
            shape = replace(layer.shape, c_in=sides["in"], c_out=sides["out"])
            spent += cost(shape, values, sparse=name == "2:4")["total"]
        assert at(made.costs["cycles"], pick) == pytest.approx(spent, rel=0.01)
    plain = tables({})[1]
    untreated = dict.fromkeys(plain.sizes, 0) | {variable(layer): len(names) - 1 for layer, names in offered.items()}
    assert at(made.costs["cycles"], untreated) == at(plain.costs["cycles"], untreated)
    chosen = made.treated({"down": "2:4"})
    assert chosen.sizes == plain.sizes
    assert at(chosen.costs["cycles"], untreated) == at(made.costs["cycles"], untreated | {variable("down"): 0})


def test_few_widths_are_asked_about():
    _, made, oracle = tables({"block.body.0": NAMES}, "unit:1")
    assert len(made.widths["block.body.0"]) > 20
    treated = [shape for shape in oracle.oracle.asked if hasattr(shape, "treatment")]
    assert len(treated) == 2 * LATTICE**2 and len(set(treated)) == len(treated)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_within_the_budget_is_better(seed):
    """Against every choice of widths and treatments; and never worse than widths alone."""
    net, rng = model(), np.random.default_rng(seed)
    offered = {"block.body.0": NAMES, "block.body.3": ("grid:9", "int8"), "down": ("2:4", "grid:5", "int8")}
    graph, made, _ = tables(offered)
    curves = importance(graph, net, lambda graph, *_: rng.random(graph.channels))
    curves = replace(curves, comparable=True, treated=random_losses(offered, rng))
    widest = {v: size - 1 for v, size in made.sizes.items()}
    limit = float(rng.uniform(0.3, 0.9)) * at(made.costs["cycles"], widest)
    problem = replace(problem_of(made, curves, [Budget.parse("cycles=50%")]), limits=[limit])
    solution = solve(problem)
    assert solution.status == "optimal" and solution.gap < 1e-6
    assert solution.objective == pytest.approx(best_of_all(made, curves, offered, limit))
    alone = solve(replace(problem_of(made.treated({}), curves, [Budget.parse("cycles=50%")]), limits=[limit]))
    assert solution.objective >= alone.objective - 1e-12 if alone.pick else True


def test_zeros_are_offered_only_to_widths_of_whole_fours():
    graph, made, _ = tables({"block.body.3": ("2:4", "int8")}, "unit:2")
    curves = replace(importance(graph, model(), "l1"), comparable=True, treated={"block.body.3": {"2:4": 1e-9}})
    inputs = made.widths["block.body.0"]
    assert (inputs % 4 != 0).any()
    hard = [f for f in made.hard if variable("block.body.3") in f.scope]
    table = hard[0].table.reshape(len(inputs), -1, 2) if hard[0].scope[0] == "block.body.0" else None
    assert len(hard) == 1 and table is not None
    assert (np.isinf(table[..., 0]).all(1) == (inputs % 4 != 0)).all() and not table[..., 1].any()
    full = at(made.costs["cycles"], {v: size - 1 for v, size in made.sizes.items()})
    for share in (0.9, 0.7, 0.5):
        problem = replace(problem_of(made, curves, [Budget.parse("cycles=50%")]), limits=[share * full])
        solution = solve(problem)
        width = int(inputs[solution.pick["block.body.0"]])
        assert solution.pick[variable("block.body.3")] == 1 or width % 4 == 0


def made(net, budget="cycles=45%", **choices):
    asked = {"treat": ["grid"], "oracle": Coded(), "images": [images(64)], **choices}
    return plan(net, X, target="unit:8", budget=budget, **asked)


def test_a_plan_of_widths_and_treatments_is_met():
    net = model()
    planned = made(net)
    assert planned.treatments and set(planned.treatments) <= {"block.body.0", "block.body.3", "down"}
    assert planned.after["cycles"] <= 0.45 * planned.before["cycles"] and planned.solver.status == "optimal"
    again = Plan.from_json(planned.to_json())
    assert again == planned
    small = prune(net, planned)
    done = treat(small, [images(64)], planned.treatments, model=net, plan=planned)
    assert dict(done.layers) == planned.treatments
    weights = dict(small.named_parameters())
    for name, treatment in planned.treatments.items():
        most = max(len(row.unique()) for row in weights[f"{name}.weight"].detach().flatten(1))
        assert most <= int(treatment.split(":")[1])
    alone = made(net, treat=())
    assert planned.solver.objective > alone.solver.objective and not alone.treatments


def test_a_network_that_waits_for_its_weights_is_told_what_few_values_give():
    net = model()
    with Pricing(net, (X,), load_target("unit:8"), oracle=Coded()) as pricing:
        dense = pricing.dense()
        few = with_few_values(pricing, dense)
    spent, now = dense.cycles, few.cycles
    assert now.npu == spent.npu and now.total < 0.9 * spent.total
    told = of_weights(dense, few)
    assert f"With 17 values a filter in its inner layers it would take {now.total:,}" in told
    for oracle in (lambda shapes: [shape.macs for shape in shapes], Computing()):
        with Pricing(net, (X,), load_target("unit:8"), oracle=oracle) as pricing:
            assert with_few_values(pricing, pricing.dense()) is None


class Computing(Coded):
    """Hardly waits."""

    def network(self, graph, model):
        cycles = super().network(graph, model)
        return replace(cycles, npu=int(0.8 * cycles.total))


def test_two_budgets_hold_what_is_computed_as_well():
    """Treated weights are fetched in fewer cycles, and computed in as many."""
    net = model()
    alone = made(net, "cycles=60%")
    share = int(90 * alone.after["npu_cycles"] / alone.before["npu_cycles"])
    both = made(net, ["cycles=60%", f"npu_cycles={share}%"])
    assert both.after["npu_cycles"] <= share / 100 * both.before["npu_cycles"] < alone.after["npu_cycles"]
    assert both.after["cycles"] <= 0.6 * both.before["cycles"]


def test_what_cannot_be_treated_is_said():
    net = model()
    for choices, message in (
        ({"treat": ["grids"]}, "Unknown treatment 'grids'. Such are int8, grid:17, 2:4 and 2:4"),
        ({"treat": ["auto", "2:4"]}, "treat offers auto, 2:4; auto stands alone. Write auto, or name the others."),
        ({"treat": ["int8"]}, "treat offers int8, which changes nothing. Write grid, 2:4 or both."),
        ({"treat": "grid"}, r"treat is the text 'grid'; expected several names. Write \['grid'\]."),
        ({"allocate": "greedy"}, "allocate 'greedy' chooses widths alone. Use optimal, or leave treat out."),
        ({"importance": "l1"}, "the importance l1 has another unit. Leave one of the two out."),
        ({"budget": "macs=50%"}, "Treatments change what an oracle counts, and the budget is on macs. Ask for cycles"),
    ):
        with pytest.raises(UsageError, match=message):
            made(net, **choices)
    curves = importance(trace(net, X), net, "reconstruction", [images(32)])
    with pytest.raises(UsageError, match="These curves of importance say nothing of treatments."):
        made(net, importance=curves)
    with pytest.raises(UsageError, match="its oracle does not know what treated weights cost. Leave treat out."):
        made(net, oracle=lambda shapes: [shape.macs for shape in shapes])
    with pytest.raises(UsageError, match="The importance reconstruction watches calibration images. Give --data"):
        made(net, images=())

    class Plain(Coded):
        def __call__(self, shapes):
            return super().__call__([replace(s, treatment="int8") if hasattr(s, "treatment") else s for s in shapes])

    with pytest.raises(
        UsageError, match=r"Treatments do not pay on unit:8: with grid:\d+ the costliest layers still take 100.0 % of"
    ):
        made(net, oracle=Plain())
    with pytest.raises(UsageError, match="treatments.down: Value error, Unknown treatment 'grid:4x'"):
        Plan.from_json(
            made(net).to_json().replace('"treatments": {', '"treatments": {"down": "grid:4x", "x": "grid:5", ', 1)
        )
    assert Choices(treat=("grid", "2:4")).treat == ("grid", "2:4")


class OneDimensional(nn.Module):
    """Layers along a line, and a linear one inside."""

    def __init__(self):
        super().__init__()
        self.stem, self.mid = nn.Conv1d(4, 16, 5), nn.Conv1d(16, 32, 5, 2)
        self.wide, self.head = nn.Linear(32, 64), nn.Linear(64, 5)

    def forward(self, x):
        return self.head(self.wide(self.mid(self.stem(x).relu()).relu().mean(2)).relu())


def test_layers_along_a_line_and_linear_ones():
    torch.manual_seed(0)
    net, x = OneDimensional().eval(), [torch.randn(32, 4, 40, generator=torch.Generator().manual_seed(0))]
    planned = plan(
        net,
        torch.zeros(1, 4, 40),
        target="unit:8",
        budget="cycles=70%",
        oracle=Coded(),
        images=x,
        treat=["grid:5"],
        freeze=["*"],
    )
    assert "mid" in planned.treatments and set(planned.treatments) <= {"mid", "wide"}
    small = prune(net, planned)
    treat(small, x, {"mid": "grid:5", "wide": "grid:5"}, model=net, plan=planned)
    assert len(small.wide.weight.unique()) <= 5  # one grid, as a file has one scale for a linear layer


class Alone(Coded):
    """Prices no network as a whole."""

    def network(self, graph, model):
        return None


def test_a_sum_over_layers_counts_treatments():
    net = model()
    planned, alone = made(net, oracle=Alone()), made(net, oracle=Alone(), treat=())
    assert planned.treatments and planned.solver.objective > alone.solver.objective
    with Pricing(net, (X,), load_target("unit:8"), oracle=Alone()) as pricing:
        keep = planned.mask(pricing.graph)
        treated = pricing.cut(keep, treatments=planned.treatments).cycles
        assert not treated.whole and treated.total == planned.after["cycles"] < pricing.cut(keep).cycles.total
        (layer, treatment), *_ = planned.treatments.items()
        shape = next(each for each in pricing.cut(keep).layers if each.layer.name == layer).layer
        assert treated.operators[layer] == cost(shape, int(treatment.split(":")[1]))["total"]


class Jumping(Coded):
    """Alone a layer's maps lie in slow memory, unless its weights are treated."""

    def __call__(self, shapes):
        for shape, answer in zip(shapes, super().__call__(shapes), strict=True):
            yield answer if hasattr(shape, "treatment") else replace(answer, total=5 * answer.total)


def test_where_layers_alone_are_no_measure_a_treatment_saves_what_it_saves_of_computing():
    net, asked = model(), {"down": ("2:4",)}
    for oracle, share in ((Coded(), None), (Jumping(), 0.5)):
        with Pricing(net, (X,), load_target("unit:8"), oracle=oracle) as pricing:
            offered = offered_to(asked, pricing, pricing.dense())
            assert offered.computing == (share is not None)
            levels = aligned_levels(pricing.graph, pricing.target)
            made = tabulate(pricing.graph, levels, pricing.target, pricing.oracle, ["cycles"], offered)
        (table,) = (f.table for f in made.costs["cycles"] if variable("down") in f.scope)
        assert share is None or table[..., 0] == pytest.approx(share * table[..., 1])


class Flattened(nn.Module):
    """A linear layer behind a flattened map."""

    def __init__(self):
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 16, 3, 4, 1), nn.Conv2d(16, 16, 3, 1, 1)
        self.wide, self.head = nn.Linear(16 * 16, 64), nn.Linear(64, 5)

    def forward(self, x):
        return self.head(self.wide(self.conv(self.stem(x).relu()).relu().flatten(1)).relu())


@pytest.mark.parametrize("share", [70, 50, 40])
def test_zeros_behind_a_flattened_map_lie_along_channels(share):
    torch.manual_seed(0)
    net = Flattened().eval()
    planned = made(net, f"cycles={share}%", treat=["2:4"], align="none")
    small = prune(net, planned)
    done = treat(small, [images(64)], planned.treatments, model=net, plan=planned)
    assert dict(done.layers) == planned.treatments
    if "wide" in planned.treatments:
        assert len(planned.keep["conv"]) % 4 == 0
    layers = trace(net, X).layers
    round_weights(net, {"wide": "2:4"}, layers)
    places = net.wide.weight.reshape(64, 4, 4, 16)  # channels in fours, then places
    assert ((places != 0).sum(2) == 2).all()


def test_treated_weights_are_expected_to_compress_a_little_worse():
    """The network that a compiler was asked about is charged for 1 % more; one that has no treatment is not."""
    net = model()
    planned = made(net, "cycles=40%")
    assert planned.treatments and planned.after["cycles"] * 1.01 <= 0.4 * planned.before["cycles"] + 1


def test_what_has_no_layer_to_treat():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 8, 1)

        def forward(self, x):
            return self.b(self.a(x).relu())

    class Same(Small):
        def __init__(self):
            super().__init__()
            self.block = nn.Conv2d(16, 16, 3, padding="same")
            self.down = nn.Conv2d(16, 32, 3, padding="same")

    for net in (Two().eval(), shaken(Same())):
        with pytest.raises(UsageError, match="No layer of this network can be treated: "):
            made(net)

    class Odd(Small):
        def __init__(self):
            super().__init__()
            self.stem, self.block, self.down = nn.Conv2d(3, 18, 3), nn.Conv2d(18, 30, 3), nn.Conv2d(30, 32, 3)

    with pytest.raises(
        UsageError, match="None of 2:4 fits a layer whose cost is known: 2:4 needs input channels by fours"
    ):
        made(shaken(Odd()), treat=["2:4"])


def test_a_budget_out_of_reach_tells_what_is_kept_for_treated_weights():
    with pytest.raises(
        InfeasibleError, match=r"% of dense; 1 % is kept for what compensation adds to treated weights\)"
    ):
        made(model(), "cycles=3%")
    with pytest.raises(InfeasibleError, match=r"% of dense; 5 % is kept for what compensation adds"):
        made(model(), "cycles=3%", spare=0.05)
    for budget, more in (("cycles=3%", {"treat": ()}), ("cycles=3%", {"spare": 0}), ("macs=3%", {})):
        budgets = [budget, "cycles=90%"] if budget == "macs=3%" else budget
        with pytest.raises(InfeasibleError, match=r"% of dense\)\. "):
            made(model(), budgets, **more)


def test_what_is_spare_of_a_budget_stays_free():
    most = made(model(), "cycles=40%", spare=0.0).outcomes[0]
    planned = made(model(), "cycles=40%", spare=0.1)
    less = planned.outcomes[0]
    assert planned.treatments and less.asked == most.asked
    assert less.compiler_total <= 0.9 * less.asked < most.compiler_total


class Unmoved(Coded):
    """Layers alone take fewer cycles where they are treated, the network does not."""

    def network(self, graph, model):
        costs = {layer.name: cost(layer, UNTREATED)["total"] for layer in graph.layers}
        return replace(super().network(graph, model), total=sum(costs.values()), operators=costs)


@pytest.mark.parametrize("budget", ["cycles=60%", "cycles=45%", "cycles=30%"])
@pytest.mark.parametrize("changes", [{"spare": 0.2}, {"oracle": Unmoved()}])
def test_it_is_never_worth_less_than_widths_alone(budget, changes):
    """Neither what is kept free for treated weights, nor a compiler that thinks otherwise than its tables, costs more."""
    both, alone = made(model(), budget, **changes), made(model(), budget, treat=(), **changes)
    assert both.solver.objective >= alone.solver.objective - 1e-12 and both.solver.bound >= both.solver.objective
    assert both.outcomes[0].compiler_total <= both.outcomes[0].asked


def test_which_treatments_weights_have():
    net, asked = model(), {"block.body.0": "grid:9", "block.body.3": "2:4", "down": "2:4+grid:5"}
    layers = trace(net, X).layers
    assert not held(net, asked, layers)
    round_weights(net, {"block.body.0": "grid:9", "block.body.3": "2:4", "down": "grid:5"}, layers)
    assert held(net, asked, layers) == {"block.body.0": "grid:9", "block.body.3": "2:4"}
    round_weights(net, asked, layers)
    assert held(net, asked, layers) == asked


def test_parameters_that_need_no_gradient_and_inputs_that_have_none():
    class Embedded(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.a, self.b, self.c = (
                nn.Embedding(8, 48),
                nn.Linear(48, 48),
                nn.Linear(52, 32),
                nn.Linear(32, 4),
            )

        def forward(self, words, x):
            return self.c(self.b(torch.cat([self.a(self.words(words)).relu(), x], 1)).relu())

    torch.manual_seed(0)
    net = Embedded().eval().requires_grad_(False)
    x = [(torch.randint(0, 8, (32,)), torch.randn(32, 4))]
    planned = plan(
        net, torch.zeros(1, dtype=torch.int64), torch.zeros(1, 4), target="unit:8", budget="cycles=50%", oracle=Coded(),
        images=x, treat=["grid"],
    )  # fmt: skip
    assert set(planned.treatments) <= {"b"}


def test_a_plan_without_treatments_and_one_of_others():
    net = model()
    planned = made(net, treat=())
    small = prune(net, planned)
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    done = treat(small, [images(64)], planned.treatments, model=net, plan=planned)
    assert not done.layers and done.held_out[0] == done.held_out[1]
    assert all(torch.equal(tensor, before[name]) for name, tensor in small.state_dict().items())
    with pytest.raises(UsageError, match="The plan treats the weights of 'nosuch'; the network has no such layer."):
        prune(net, replace(planned, treatments={"nosuch": "grid:9"}))
    with pytest.raises(UsageError, match="A family of budgets is of widths alone. Plan each budget with treat"):
        pareto(net, X, target="unit:8", quantity="cycles", choices=Choices(treat=["grid"]))


def test_auto_is_all_that_pays_and_nothing_elsewhere(capsys):
    net = model()
    chosen = made(net, "cycles=40%", treat=["auto"])
    assert chosen == replace(made(net, "cycles=40%", treat=["grid", "2:4"]), solver=chosen.solver) and chosen.treatments
    for choices, said in (
        ({"oracle": "ceil", "target": "ethos-u55-64"}, "Weights stay as they are: Nothing says what treatments are worth on"),
        ({"images": [images(1)]}, "Weights stay as they are: Treatments are weighed on calibration images, two or more."),
        ({"budget": "macs=50%"}, ""), ({"importance": "l1"}, ""), ({"allocate": "greedy"}, ""), ({"images": ()}, ""),
    ):  # fmt: skip
        asked = {"target": "unit:8", "budget": "cycles=60%", "oracle": Coded(), "images": [images(64)], **choices}
        capsys.readouterr()
        planned = plan(net, X, **asked, treat=["auto"])
        assert not planned.treatments and said in " ".join(capsys.readouterr().err.split())
        assert replace(planned, solver=None) == replace(plan(net, X, **asked), solver=None)
