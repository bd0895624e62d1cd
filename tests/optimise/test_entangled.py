"""Graphs that are too entangled for plain elimination: bounds that hold, answers no worse than the baselines'."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from checks.problems import best_of_free, entangled_problem, enumerated, random_factors
from hypothesis import given, settings
from hypothesis import strategies as st

from padless.optimise import greedy, solve
from padless.optimise import search as solver
from padless.optimise.buckets import Factor, TooWideError, elimination_order
from padless.optimise.minibuckets import MiniBuckets, sums_of
from padless.optimise.moves import Moves
from padless.optimise.problem import Problem


def factors_of(problem):
    return [*(Factor((v,), -values) for v, values in problem.value.items()), *problem.factors()]


@given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([0.0, 0.2, 0.7]), st.sampled_from([1, 8, 10**6]))
@settings(max_examples=150)
def test_buckets_that_are_split_bound_from_below(seed, variables, forbid, most):
    sizes, factors = random_factors(seed, variables, forbid)
    buckets = MiniBuckets(sizes, factors, [], most)
    least, pick = buckets.minimise(factors)
    exact = min(total for _, total in enumerated(sizes, factors))
    assert least <= exact + 1e-9
    if buckets.exact:
        assert least == pytest.approx(exact)
        if np.isfinite(exact):
            assert sum(float(f.table[tuple(pick[v] for v in f.scope)]) for f in factors) == pytest.approx(exact)
    assert buckets.exact or most < 10**6


@given(st.integers(0, 10**6), st.integers(3, 6), st.sampled_from([1, 30, 10**6]))
@settings(max_examples=80)
def test_sums_are_computed_not_enumerated(seed, variables, most):
    problem = entangled_problem(seed, variables, 1, 0.5)
    assert set(sums_of(problem.hard)) == set(problem.sizes) - set(problem.value)
    factors = factors_of(problem)
    buckets = MiniBuckets(problem.sizes, factors, problem.hard, most)
    least, pick = buckets.minimise(factors)
    moves = Moves(problem)
    every = (moves.completed(dict(zip(problem.value, levels, strict=True)))
             for levels in itertools.product(*(range(problem.sizes[v]) for v in problem.value)))  # fmt: skip
    exact = min(float(problem.spent(at)[0]) - problem.worth(at) for at in every)
    assert least == pytest.approx(exact) if buckets.exact else least <= exact + 1e-9
    if buckets.exact:
        assert float(problem.spent(pick)[0]) - problem.worth(pick) == pytest.approx(exact)


def test_a_sum_takes_no_axis_of_its_own():
    """Two of 60 levels whose sum has 3,481: their table would have 12 million entries."""
    total = 59 * np.arange(60)[:, None] + np.arange(60)[None]
    values = np.unique(total)
    hard = Factor(("a", "b", "sum"), np.where(total[..., None] == values, 0.0, np.inf))
    sizes = {"a": 60, "b": 60, "sum": len(values)}
    factors = [Factor((v,), np.linspace(-1.0, 1.0, n) ** 2) for v, n in sizes.items()]
    buckets = MiniBuckets(sizes, factors, [hard], 500_000)
    assert buckets.exact and buckets.entries < 10**6
    least, pick = buckets.minimise([*factors, hard])
    exact = factors[0].table[:, None] + factors[1].table[None] + factors[2].table[np.searchsorted(values, total)]
    assert least == pytest.approx(exact.min()) == exact[pick["a"], pick["b"]]


@pytest.mark.parametrize("split", [1, 60, 10**6])
@given(st.integers(0, 10**6), st.integers(3, 7), st.integers(1, 2), st.sampled_from([0.3, 0.5, 0.8]))
@settings(max_examples=25)
def test_answers_are_between_the_baselines_and_the_bound(split, seed, variables, budgets, share):
    """Without the integer program, which would prove these small ones."""
    problem = entangled_problem(seed, variables, budgets, share)
    best = best_of_free(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver, "WIDEST", 1)
        patch.setattr(solver, "COMPUTED", split)
        patch.setattr(solver, "SPLIT", split)
        patch.setattr(solver, "LARGEST_ALONE", 0)
        solution = solve(problem)
    if not np.isfinite(best):
        assert solution.pick == {} and solution.status in ("infeasible", "gap left")
        return
    assert solution.bound >= best - 1e-9 and solution.status in ("optimal", "gap left")
    rival = greedy(problem, 10.0)
    if rival.pick:
        assert solution.objective >= rival.objective - 1e-9
    if solution.pick:
        assert problem.within(problem.spent(solution.pick)) and solution.objective <= best + 1e-9
    if solution.status == "optimal":
        assert solution.objective == pytest.approx(best)


def ladder(problem):
    return lambda t: {v: round((1 - t) * (len(values) - 1)) for v, values in problem.value.items()}


@pytest.mark.parametrize("seed", range(4))
def test_high_treewidth_has_an_answer_and_a_gap_in_bounded_work(seed, monkeypatch):
    """Forty variables of eight levels, nearly all of them in pairs: nothing eliminates that."""
    problem = entangled_problem(seed, 40, 1, 0.4, sizes=(6, 8))
    with pytest.raises(TooWideError):
        elimination_order(problem.sizes, [f.scope for f in problem.factors()], solver.WIDEST)
    monkeypatch.setattr(solver, "SPLIT", 4096)  # for speed
    problem = Problem(**{name: getattr(problem, name) for name in ("sizes", "value", "costs", "limits", "hard")},
                      ladders=[ladder(problem)])  # fmt: skip
    solution, simple = solve(problem), greedy(problem, 10.0)
    assert solution.status == "gap left" and "mini-buckets" in solution.name
    assert problem.within(problem.spent(solution.pick)) and Moves(problem).allowed(solution.pick)
    assert solution.objective >= simple.objective - 1e-9 and solution.objective <= solution.bound
    assert solution.bound <= sum(float(values[-1]) for values in problem.value.values()) + 1e-9


def test_a_ladder_leads_where_greedy_finds_nothing():
    """Any one step saves nothing; both together do. Of two budgets neither one's cheapest meets the other."""
    both = np.array([[1.0, 9.0], [9.0, 9.0]])
    costs = [[Factor(("a", "b"), both), Factor(("c",), np.array(c))] for c in ([0.0, 2.0, 9.0], [9.0, 2.0, 0.0])]
    value = {"a": np.array([0.0, 1.0]), "b": np.array([0.0, 1.0]), "c": np.array([1.0, 1.1, 3.0])}
    problem = Problem(sizes={"a": 2, "b": 2, "c": 3}, value=value, costs=costs, limits=[5.0, 5.0])
    assert greedy(problem, 10.0).pick == {}
    hurried = solve(problem, time_limit=0.0)
    assert (hurried.status, hurried.pick) == ("time limit", {}) and hurried.bound >= 1.1
    led = Problem(sizes=problem.sizes, value=value, costs=costs, limits=[5.0, 5.0],
                  ladders=[lambda t: {"a": round(1 - t), "b": round(1 - t), "c": 1}])  # fmt: skip
    assert solve(led, time_limit=0.0).pick == {"a": 0, "b": 0, "c": 1} == solve(problem).pick


def test_after_the_deadline_only_the_ends_of_a_ladder_are_tried():
    problem = entangled_problem(1, 7, 1, 0.5)
    asked = []
    led = replace(problem, ladders=[lambda t: asked.append(t) or ladder(problem)(t)])
    solve(led, time_limit=0.0)
    assert asked in ([0.0], [0.0, 1.0])


def test_a_busy_machine_answers_the_same(monkeypatch):
    """A clock that runs thirty times as fast."""
    monkeypatch.setattr(solver, "SPLIT", 4096)
    problems = [entangled_problem(1, 30, 1, 0.4, sizes=(5, 7)), entangled_problem(2, 7, 2, 0.5)]
    quiet = [solve(problem) for problem in problems]
    clock, start = solver.time.monotonic, solver.time.monotonic()
    monkeypatch.setattr(solver.time, "monotonic", lambda: start + 30 * (clock() - start))
    for problem, before in zip(problems, quiet, strict=True):
        busy = solve(problem, time_limit=3600)
        assert (busy.pick, busy.bound, busy.status) == (before.pick, before.bound, before.status)
