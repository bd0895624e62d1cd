"""Feasible widths: which fill whole units, alone and in a concatenation."""

import dataclasses
import itertools

import numpy as np
import pytest
import scipy
import torch
from models.networks import small
from torch import nn

from padless import Plan, load_target, plan, prune, trace
from padless.align import JointAxis, Levels, aligned_levels, joint, priced_levels, settle, shared, sums
from padless.errors import UsageError

X = torch.zeros(1, 3, 16, 16)


@pytest.mark.parametrize(
    ("target", "levels"),
    [
        ("unit:8", {"stem": [8, 16], "block.body.0": [8, 16, 24], "down": [8, 16, 24, 32]}),
        ("unit:16", {"stem": [16], "block.body.0": [16], "down": [16, 32]}),  # 24 is misaligned, 16 repairs it
        ("unit:16x8", {"stem": [16], "block.body.0": [16], "down": [16, 32]}),
        ("unit:32x8", {"stem": [8, 16], "block.body.0": [8, 16, 24], "down": [32]}),  # too narrow for 32: outputs align
        ("ethos-u55-256", {"stem": [8, 16], "block.body.0": [8, 16, 24], "down": [32]}),
    ],
)
def test_feasible_widths(target, levels):
    graph = trace(small(), X)
    found = {g: w.tolist() for g, w in aligned_levels(graph, load_target(target)).widths.items()}
    assert found == {**levels, "head": [4]}


@pytest.mark.parametrize(
    ("width", "target", "levels"),
    [
        (64, "unit:32x8", [8, 16, 24, 32, 40, 48, 56, 64]),  # inputs set no unit
        (64, "ethos-u55-128", [8, 16, 24, 32, 40, 48, 56, 64]),
        (64, "ethos-u65-512", [16, 32, 48, 64]),
        (41, "unit:8", [8, 16, 24, 32, 40, 41]),
        (512, "unit:8", [8, 16, *range(32, 513, 32)]),
        (20, "unit:1", [1, *range(2, 21, 2)]),
        (6, "unit:8", [6]),
        (64, "ti-tinpu", list(range(4, 65, 4))),  # which rejects what fills no units
    ],
)
def test_widths_for_a_compiler_to_price(width, target, levels):
    model = nn.Sequential(nn.Conv2d(3, width, 1), nn.Conv2d(width, 4, 1))
    found = priced_levels(trace(model, torch.zeros(1, 3, 4, 4)), load_target(target))
    assert found.priced and found.widths["0"].tolist() == levels


def test_widths_for_a_compiler_to_price_keep_units_where_only_sums_align():
    graph, levels = levels_of(Joined(48, 16, 32), "unit:32x16")
    found = priced_levels(graph, load_target("unit:32x16"))
    assert all(found.widths[f"branches.{i}"].tolist() == levels.widths[f"branches.{i}"].tolist() for i in range(3))
    assert [axis.layer for axis in found.joint] == ["join"] and found.widths["join"].tolist() == [16, 32]


def test_widths_for_a_compiler_to_price_may_be_made_up_with_zeros():
    found = priced_levels(trace(small(), X), load_target("unit:16"), repair="up")
    assert found.widths["block.body.0"].tolist() == [16, 24, 32]


def test_sides_that_no_cut_can_align():
    graph = trace(small(), X)
    assert aligned_levels(graph, load_target("unit:8")).fixed == {"stem": {"in"}, "head": {"out"}}
    fixed = aligned_levels(graph, load_target("unit:32x8")).fixed
    assert fixed["down"] == {"in"} and fixed["block.body.0"] == {"in"}


def test_flattened_features_align_over_all_positions():
    graph = trace(nn.Sequential(nn.Conv2d(3, 12, 1), nn.Flatten(), nn.Linear(12 * 4, 2)), torch.zeros(1, 3, 2, 2))
    assert aligned_levels(graph, load_target("unit:8x1")).widths["0"].tolist() == [2, 4, 6, 8, 10, 12]


class Joined(nn.Module):
    """Branches of the given widths side by side, then a convolution over all of them."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(3, w, 1) for w in widths)
        self.join, self.end = nn.Conv2d(sum(widths), 32, 1), nn.Conv2d(32, 2, 1)

    def forward(self, x):
        return self.end(self.join(torch.cat([b(x) for b in self.branches], 1)))


def levels_of(model: nn.Module, target: str, **more) -> tuple:
    graph = trace(model, torch.zeros(1, 3, 4, 4))
    return graph, aligned_levels(graph, load_target(target), **more)


def test_a_concatenation_is_aligned_by_its_sum():
    """Inputs come in 32s, outputs in 16s: 48 + 16 fill two units together, neither does alone."""
    graph, levels = levels_of(Joined(48, 16, 32), "unit:32x16")
    assert {g: w.tolist() for g, w in levels.widths.items()} == {
        "branches.0": [16, 32, 48], "branches.1": [16], "branches.2": [16, 32], "join": [32], "end": [2],
    }  # fmt: skip
    assert "join" not in levels.fixed
    for ratio in (0.0, 0.2, 0.4, 0.6, 0.9):
        widths = levels.settle({g.id: (1 - ratio) * g.width for g in graph.groups})
        assert sum(widths[f"branches.{i}"] for i in range(3)) % 32 == 0
    assert levels.settle({g.id: g.width for g in graph.groups})["branches.0"] == 48


def test_where_each_can_be_aligned_alone_nothing_is_left_to_weigh():
    _, levels = levels_of(Joined(64, 32), "unit:32x16")
    assert not levels.joint and levels.widths["branches.0"].tolist() == [32, 64]


def test_a_sum_that_nothing_aligns_is_out_of_reach():
    _, levels = levels_of(Joined(4, 4), "unit:32x4")
    assert levels.fixed["join"] == {"in"} and not levels.joint


def test_groups_of_filters_keep_whole_units_each():
    model = nn.Sequential(nn.Conv2d(3, 64, 1), nn.Conv2d(64, 96, 3, padding=1, groups=2), nn.Conv2d(96, 2, 1))
    _, levels = levels_of(model, "unit:8")
    assert levels.widths["0"].tolist() == [8, 16, 24, 32]  # of one group of two
    assert levels.widths["1"].tolist() == [8, 16, 24, 32, 40, 48]
    several = nn.Sequential(nn.Conv2d(3, 64, 1), nn.Conv2d(64, 64, 3, padding=1, groups=8), nn.Conv2d(64, 2, 1))
    graph, levels = levels_of(several, "unit:16")
    assert levels.widths["0"].tolist() == [2, 4, 6, 8]  # whole groups of eight filters
    assert levels.fixed["1"] == {"in", "out"} and graph.layers[1].drops_groups


def test_repair_goes_down_or_up():
    down, up = (levels_of(small(), "unit:16", repair=r)[1] for r in ("down", "up"))
    assert down.widths["block.body.0"].tolist() == [16]
    assert up.widths["block.body.0"].tolist() == [16, 32]
    assert up.widths["stem"].tolist() == [16]
    assert up.settle({**up.dense, "block.body.0": 23})["block.body.0"] == 32  # 24 of its own are nearer than 16
    assert up.settle({**up.dense, "block.body.0": 17})["block.body.0"] == 16


def test_repair_up_keeps_the_function_exactly():
    torch.manual_seed(0)
    model = small()
    made = plan(model, X, target="unit:16", budget="padded_macs=100%", repair="up")
    assert made.zeros == {"block.body.0": 8} and Plan.from_json(made.to_json()) == made
    assert made.after["padded_macs"] == made.before["padded_macs"]
    assert made.after["avoidable_macs_percent"] == 0 < made.before["avoidable_macs_percent"]
    wide = prune(model, made)
    x = torch.randn(2, 3, 16, 16)
    assert wide.block.body[0].out_channels == 32
    assert torch.allclose(wide(x), model(x), atol=1e-6)


def test_zeros_join_only_what_may_have_them():
    class Counts(nn.Module):
        def __init__(self, counted):
            super().__init__()
            self.a, self.b, self.counted = nn.Conv2d(3, 24, 1), nn.Conv2d(24, 2, 1), counted

        def forward(self, x):
            return self.b(self.counted(self.a(x)))

    for counted in (lambda y: y - y.mean(1, keepdim=True), lambda y: y.flip(1)):
        assert levels_of(Counts(counted), "unit:16", repair="up")[1].widths["a"].tolist() == [16]
    made = plan(small(), X, target="unit:16", budget="padded_macs=100%", repair="up")
    graph = trace(small(), X)
    with pytest.raises(
        UsageError, match="gives group head 8 channels of zeros.*only a group that may be cut and keeps all"
    ):
        dataclasses.replace(made, zeros={"head": 8}).mask(graph)
    with pytest.raises(UsageError, match="repair cannot be 'sideways'"):
        plan(small(), X, target="unit:16", budget="macs=50%", repair="sideways")


def staying(fold: int, apart: int = 0) -> nn.Module:
    """A literal number of a layer's channels are moved; all go on to one layer, the others alone to a second one too."""

    class Staying(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 8, 1)
            self.c = nn.Conv2d(64 - fold, apart, 3, padding=1) if apart else None

        def forward(self, x):
            y = self.a(x).relu()
            others = y[:, fold:]
            joined = self.b(torch.cat([y[:, :fold].roll(1, 2), others], 1))
            return joined if self.c is None else (joined, self.c(others))

    return Staying()


def test_the_free_part_of_an_axis_makes_up_for_the_part_that_stays():
    for fold in (3, 4, 8):
        graph, levels = levels_of(staying(fold), "unit:8")
        free = next(g for g in graph.groups if g.pinned is None)
        assert levels.widths[free.id].tolist() == [w for w in range(1, 65 - fold) if (w + fold) % 8 == 0]
        assert levels.fixed == {"a": {"in"}, "b": {"out"}} and not levels.joint


def test_where_the_free_part_cannot_it_is_out_of_reach():
    _, levels = levels_of(staying(63), "unit:128x8")  # 64 in all
    assert levels.fixed["b"] == {"in", "out"}


@pytest.mark.parametrize("apart", [4, 512])
def test_layers_that_ask_for_different_widths_are_weighed_by_their_macs(apart):
    """The channels that do not stay fill units with the others (for a and b) or alone (for c)."""
    _, levels = levels_of(staying(4, apart), "unit:8")
    with_the_rest = apart == 4
    (free,) = (widths for widths in levels.widths.values() if len(widths) > 1)
    assert (free % 8 == (4 if with_the_rest else 0)).all()
    assert ("in" in levels.fixed["c"]) == with_the_rest == ("out" not in levels.fixed["a"])


class ShiftedBranches(nn.Module):
    """Five channels stay, of 69, beside a branch: the sum of all is what the last layer reads."""

    def __init__(self, other: int) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 69, 1), nn.Conv2d(3, other, 1), nn.Conv2d(69 + other, 8, 1)

    def forward(self, x):
        y = self.a(x)
        return self.c(torch.cat([y[:, :5].flip(3), y[:, 5:], self.b(x)], 1))


def test_groups_that_share_an_axis_make_up_for_what_stays_together():
    graph, levels = levels_of(ShiftedBranches(40), "unit:8")
    assert not levels.joint and levels.fixed["c"] == {"out"}
    assert levels.widths["b"].tolist() == [8, 16, 24, 32, 40]
    assert levels.widths["a/2"].tolist() == [3, 11, 19, 27, 35, 43, 51, 59]
    _, narrow = levels_of(ShiftedBranches(6), "unit:8x1")
    axis = next(
        axis for axis in narrow.joint if axis.layer == "c"
    )  # a branch of six has few widths: the sum is weighed
    assert axis.rest == 5
    for ratio in (0.0, 0.3, 0.6, 0.9):
        widths = narrow.settle({g.id: (1 - ratio) * g.width for g in graph.groups})
        assert (5 + widths["a/2"] + widths["b"]) % 8 == 0


def test_a_hard_joint_program_is_stopped_by_its_work(monkeypatch):
    """However slow the clock, the widths are the same: nodes are counted, not seconds."""
    generator = np.random.default_rng(0)
    levels = {f"g{i}": np.arange(1, 49) for i in range(24)}
    axes = [
        JointAxis(layer=f"a{k}", side="in", unit=20, rest=int(generator.integers(0, 20)),
                  repeats={f"g{i}": 1 for i in sorted(generator.choice(24, 12, replace=False))})
        for k in range(18)
    ]  # fmt: skip
    dense = dict.fromkeys(levels, 48)
    options = []

    def watched(*arguments, **keywords):
        options.append(dict(keywords["options"]))
        return milp(*arguments, **keywords)

    milp = scipy.optimize.milp
    monkeypatch.setattr(scipy.optimize, "milp", watched)
    wanted = dict.fromkeys(levels, 24.0)
    first, second = (settle.settled(levels, axes, wanted, dense, lenient=True) for _ in range(2))
    assert first == second is not None
    assert options[0]["node_limit"] == settle.NODES


@pytest.mark.parametrize("lenient", [False, True])
def test_settled_widths_are_the_nearest_of_all(lenient, monkeypatch):
    """Against every combination, on random axes; the program of those that are entangled is as good within its gap."""
    generator = np.random.default_rng(7)
    found = 0
    for _ in range(80):
        ids = [f"g{i}" for i in range(4)]
        levels = {id: np.sort(generator.choice(np.arange(1, 13), size=5, replace=False)) for id in ids}
        axes = [
            JointAxis(layer=f"a{k}", side="in", unit=int(generator.choice([2, 4, 6])), rest=int(generator.integers(0, 9)),
                      repeats={id: int(generator.integers(1, 4)) for id in sorted(generator.choice(ids, n, replace=False))})
            for k, n in enumerate(generator.integers(1, 4, size=3))
        ]  # fmt: skip
        wanted = {id: float(generator.uniform(1, 12)) for id in ids}
        dense = dict.fromkeys(ids, 12)

        def worth(widths, axes=axes, wanted=wanted):
            misfits = sum(not axis.holds(widths) for axis in axes)
            far = sum(abs(width - wanted[id]) / 12 for id, width in widths.items())
            return far + (misfits * 16.0 if lenient or not misfits else np.inf)

        every = [
            dict(zip(ids, widths, strict=True)) for widths in itertools.product(*(w.tolist() for w in levels.values()))
        ]
        best = min(worth(widths) for widths in every)
        near = settle.settled(levels, axes, wanted, dense, lenient=lenient)
        assert (near is None) == np.isinf(best)
        if near:
            found += 1
            assert list(near) == ids and worth(near) == pytest.approx(best)
        with monkeypatch.context() as few:
            few.setattr(sums, "STATES", 0)
            near = settle.settled(levels, axes, wanted, dense, lenient=lenient)
        assert near is None if np.isinf(best) else worth(near) <= best * 1.03 + 1e-9
    assert found > 20


def test_the_sums_of_a_long_chain_are_aligned_as_far_as_can_be():
    """A stream that widens by 44 channels a block (PyramidNet), written in units of 16, read in units of 64: every other
    reader can be filled, since a block has room for 32."""
    ids = [f"g{i}" for i in range(34)]
    levels = {id: np.arange(1, 45) for id in ids} | {"g0": np.array([16, 64]), "g1": np.arange(1, 237)}
    axes = [
        JointAxis(layer=f"{side} {n}", side=side, unit=unit, rest=0, repeats=dict.fromkeys(ids[:n], 1))
        for n in range(2, 35)
        for side, unit in (("out", 16), ("in", 64))
    ]
    dense = {id: int(allowed[-1]) for id, allowed in levels.items()}
    widths = settle.settled(levels, axes, {id: float(w) for id, w in dense.items()}, dense, lenient=True)
    assert sum(axis.holds(widths) for axis in axes) == 33 + 17


def test_differences_of_axes_hold_for_the_same_widths():
    generator = np.random.default_rng(0)
    shorter = 0
    for _ in range(60):
        ids = [f"g{i}" for i in range(4)]
        repeats = {id: int(generator.integers(1, 3)) for id in ids}
        axes = [
            JointAxis(layer=f"a{k}", side="in", unit=int(generator.choice([2, 4, 6])), rest=int(generator.integers(0, 9)),
                      repeats={id: repeats[id] for id in sorted(generator.choice(ids, size=n, replace=False))})
            for k, n in enumerate(generator.integers(1, 5, size=4))
        ]  # fmt: skip
        fewer = joint.differences(axes)
        shorter += sum(len(axis.repeats) for axis in fewer) < sum(len(axis.repeats) for axis in axes)
        for sizes in np.ndindex(5, 5, 5, 5):
            widths = {id: 1 + size for id, size in zip(ids, sizes, strict=True)}
            assert all(axis.holds(widths) for axis in fewer) == all(axis.holds(widths) for axis in axes)
    assert shorter > 20


def test_axes_that_never_hold_stay():
    axes = [
        JointAxis(layer=name, side="in", unit=4, rest=rest, repeats={"g": 1}) for name, rest in (("a", 0), ("b", 1))
    ]
    (_, never) = joint.differences(axes)
    assert never.repeats == {} and not never.holds({})
    assert settle.settled({"g": np.arange(1, 9)}, [never], {"g": 4.0}, {"g": 8}) is None


def test_groups_that_share_no_axis_are_settled_apart(monkeypatch):
    """A dense network in three stages: only the stage whose axes do not fill units is solved for."""
    groups = {f"g{stage}{i}": 16 for stage in range(3) for i in range(8)}
    axes = tuple(
        JointAxis(layer=f"c{stage}{n}", side="in", unit=32, rest=0, repeats={f"g{stage}{i}": 1 for i in range(n)})
        for stage in range(3)
        for n in (3, 5, 8)
    )
    widths = {id: np.arange(1, 17) for id in groups}
    example = dict.fromkeys(groups, 16) | {f"g{stage}{i}": 8 for stage in range(3) for i in (0, 1, 5, 6)}
    assert all(axis.holds(example) for axis in axes)
    levels = Levels(widths=widths, dense=groups, joint=axes, example=example, fixed={})
    solved = []
    monkeypatch.setattr(
        "padless.align.levels.settled",
        lambda allowed, *rest: solved.append(set(allowed)) or settle.settled(allowed, *rest),
    )
    wanted = {id: example[id] for id in groups} | {"g10": 7.4}
    near = levels.settle(wanted)
    assert near == example and solved == [{id for id in groups if id.startswith("g1")}]


def test_of_choices_that_align_as_many_axes_the_network_as_it_is_is_taken(monkeypatch):
    """Behind each block of a dense network stands one group of 32 more: in units of 64 every other axis can be filled."""
    ids = ["a", "b", "c", "d"]
    axes = [
        JointAxis(layer=f"reads {n}", side="in", unit=64, rest=0, repeats=dict.fromkeys(ids[:n], 1)) for n in (2, 3, 4)
    ]
    widths = {"a": np.array([32, 64]), **{id: np.array([16, 32]) for id in ids[1:]}}
    dense = {"a": 64, "b": 32, "c": 32, "d": 32}
    assert [axis.holds(dense) for axis in axes] == [False, True, False]
    # One as good, and further away, as a program that stops early may find it: a + b fills the units in place of a + b + c.
    monkeypatch.setattr(shared, "settled", lambda *args, **more: {"a": 32, "b": 32, "c": 32, "d": 16})
    joint, unreachable, example = shared.together(axes, dict(widths), dense)
    assert example == dense and [axis.layer for axis in joint] == ["reads 3"]
    assert unreachable == {("reads 2", "in"), ("reads 4", "in")}
    # What aligns more of them is taken all the same.
    better = {"a": 32, "b": 32, "c": 32, "d": 32}
    monkeypatch.setattr(shared, "settled", lambda *args, **more: better)
    assert [axis.holds(better) for axis in axes] == [True, False, True]
    assert shared.together(axes, dict(widths), dense)[2] == better
    monkeypatch.setattr(shared, "settled", lambda *args, **more: None)
    assert shared.together(axes, dict(widths), dense)[2] == dense
