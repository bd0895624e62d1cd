"""The solver of widths, against enumeration."""

import itertools
from functools import partial

import numpy as np
import pytest
from checks.problems import brute_force, random_problem
from hypothesis import given, settings
from hypothesis import strategies as st

from padless.optimise import search as solver
from padless.optimise.buckets import Buckets, Factor, elimination_order
from padless.optimise.fronts import GivenUpError, best_in_band
from padless.optimise.problem import Problem
from padless.optimise.search import solve


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 3), st.sampled_from([0.15, 0.3, 0.5, 0.8, 1.0]),
       st.sampled_from([1e-7, 1.0, 1e6]))  # fmt: skip
@settings(max_examples=200)
def test_the_answer_is_brute_forces(seed, variables, budgets, share, unit):
    problem = random_problem(seed, variables, budgets, share, unit)
    best, found = brute_force(problem), solve(problem)
    if not np.isfinite(best):
        assert found.status == "infeasible" and found.pick == {}
        return
    assert found.status == "optimal"
    assert found.objective == pytest.approx(best, rel=1e-9, abs=0) == problem.worth(found.pick)
    assert found.bound == pytest.approx(best, rel=1e-6) and found.gap < 1e-6
    assert problem.within(problem.spent(found.pick))


def test_what_cannot_be_met_is_blamed_with_the_least():
    problem = random_problem(1, 4, 2, 0.9)
    least = min(problem.spent(dict(zip(problem.sizes, levels, strict=True)))[1]
                for levels in itertools.product(*(range(n) for n in problem.sizes.values()))
                if all(np.isfinite(f.table[tuple(dict(zip(problem.sizes, levels, strict=True))[v] for v in f.scope)]) for f in problem.hard))  # fmt: skip
    tight = Problem(**{**{name: getattr(problem, name) for name in ("sizes", "value", "costs", "hard")},
                       "limits": [problem.limits[0], 0.9 * least]})  # fmt: skip
    found = solve(tight)
    assert (found.status, found.blame) == ("infeasible", 1)
    assert found.least == pytest.approx(least)


def test_the_time_limit_gives_the_best_so_far_and_its_gap():
    rng = np.random.default_rng(0)
    names = [f"v{i}" for i in range(40)]
    sizes = dict.fromkeys(names, 60)
    value = {v: np.cumsum(np.sort(rng.lognormal(size=60))[::-1]) for v in names}
    tables = [Factor((a, b), rng.uniform(0.5, 1.5, (60, 60)) * np.outer(np.arange(60), np.arange(60)))
              for a, b in itertools.pairwise(names)]  # fmt: skip
    problem = Problem(
        sizes=sizes, value=value, costs=[tables], limits=[0.3 * sum(float(f.table[-1, -1]) for f in tables)]
    )
    hurried = solve(problem, time_limit=0.0)
    assert hurried.pick and hurried.bound >= hurried.objective and problem.within(problem.spent(hurried.pick))
    patient = solve(problem, time_limit=5)
    assert hurried.objective <= patient.objective <= patient.bound <= hurried.bound + 1e-9
    assert patient.gap < 0.01


@given(st.integers(0, 10**6), st.integers(3, 6), st.integers(1, 3), st.sampled_from([0.3, 0.5]))
@settings(max_examples=25)
def test_a_band_with_too_many_labels_is_left_to_the_integer_program(seed, variables, budgets, share):
    problem = random_problem(seed, variables, budgets, share)
    best = brute_force(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver, "best_in_band", partial(best_in_band, most=0))
        found = solve(problem)
    if np.isfinite(best):
        assert "fronts" not in found.name or "HiGHS" in found.name
        assert found.objective == pytest.approx(best) and found.bound == pytest.approx(best, rel=1e-5)
    else:
        assert found.status == "infeasible"


def test_budgets_that_no_cheapest_choice_meets():
    costs = [[Factor(("a",), np.array(table))] for table in ([0.0, 2.0, 9.0], [9.0, 2.0, 0.0])]
    found = solve(Problem(sizes={"a": 3}, value={"a": np.array([1.0, 2.0, 3.0])}, costs=costs, limits=[5.0, 5.0]))
    assert (found.status, found.pick) == ("optimal", {"a": 1})


def test_nothing_found_is_not_infeasible(monkeypatch):
    """Any one of a and b saves nothing, so that the baselines find nothing either."""
    both = np.array([[1.0, 9.0], [9.0, 9.0]])
    costs = [[Factor(("a", "b"), both), Factor(("c",), np.array(c))] for c in ([0.0, 2.0, 9.0], [9.0, 2.0, 0.0])]
    value = {"a": np.array([0.0, 1.0]), "b": np.array([0.0, 1.0]), "c": np.array([1.0, 1.1, 3.0])}
    problem = Problem(sizes={"a": 2, "b": 2, "c": 3}, value=value, costs=costs, limits=[5.0, 5.0])
    hurried = solve(problem, time_limit=0.0)
    assert (hurried.status, hurried.pick) == ("time limit", {}) and hurried.bound >= 1.1
    monkeypatch.setattr(solver, "best_in_band", partial(best_in_band, most=0))
    assert solve(problem).pick == {"a": 0, "b": 0, "c": 1}  # by the integer program, without an answer to begin with
    monkeypatch.setattr(solver, "LARGEST", 0)
    large = solve(problem)
    assert large.status == "gap left" and large.bound >= 1.1


def test_no_levels_are_allowed():
    hard = [Factor(("a",), np.full(2, np.inf))]
    costs = [[Factor(("a",), np.array([1.0, 2.0]))]]
    for limit in (1.0, np.inf):
        found = solve(Problem(sizes={"a": 2}, value={"a": np.ones(2)}, costs=costs, limits=[limit], hard=hard))
        assert (found.status, found.blame, found.least) == ("infeasible", None, None)


def test_a_limit_of_infinity_is_none():
    costs = [[Factor(("a",), np.array([1.0, 2.0]))]]
    found = solve(Problem(sizes={"a": 2}, value={"a": np.array([1.0, 3.0])}, costs=costs, limits=[np.inf]))
    assert (found.status, found.pick) == ("optimal", {"a": 1})


def test_fronts_give_up_at_the_deadline():
    problem = random_problem(3, 5, 1, 0.5)
    order = elimination_order(problem.sizes, [f.scope for f in (*problem.costs[0], *problem.hard)], 10**6)
    tables = [*(Factor((v,), -values) for v, values in problem.value.items()), *problem.costs[0], *problem.hard]
    ask = partial(best_in_band, Buckets(problem.sizes, tables, order), problem.costs, np.ones(1))
    limits = np.array(problem.limits)
    assert ask(limits, 1e9)
    assert ask(np.zeros(1), 1e9) is None
    with pytest.raises(GivenUpError):
        ask(limits, 1e9, deadline=0.0)


def test_entangled_graphs_are_left_to_the_integer_program(monkeypatch):
    problem = random_problem(3, 5, 1, 0.5)
    best = brute_force(problem)
    monkeypatch.setattr(solver, "WIDEST", 1)
    found = solve(problem)
    assert found.status == "optimal" and found.name.endswith("elimination of sums, HiGHS")
    assert found.objective == pytest.approx(best)
