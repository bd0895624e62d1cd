"""The plainer methods that the solver is compared with."""

from dataclasses import replace

import numpy as np
from checks.problems import random_problem
from hypothesis import given, settings
from hypothesis import strategies as st

from padless.optimise.baselines import frozen_inputs, greedy
from padless.optimise.buckets import Factor
from padless.optimise.problem import Problem
from padless.optimise.search import solve


@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 2), st.sampled_from([0.3, 0.5, 0.8]))
@settings(max_examples=60)
def test_rivals_stay_within_the_budgets_and_keep_no_more(seed, variables, budgets, share):
    problem = replace(random_problem(seed, variables, budgets, share), hard=())
    best = solve(problem)
    for rival in (greedy, frozen_inputs):
        found = rival(problem, 10.0)
        if found.pick:
            assert problem.within(problem.spent(found.pick)) and found.objective == problem.worth(found.pick)
            assert found.objective <= best.objective + 1e-9


def test_frozen_inputs_spend_what_the_narrower_inputs_leave():
    """Two layers in a row, cost in x out: at full inputs (1, 0) is all that fits; the limit allows (1, 1)."""
    table = np.outer([1.0, 2.0, 4.0], [1.0, 2.0, 4.0])
    value = {"a": np.array([1.0, 2.0, 2.2]), "b": np.array([1.0, 4.0, 4.5])}
    problem = Problem(sizes={"a": 3, "b": 3}, value=value, costs=[[Factor(("a",), np.array([1.0, 2.0, 4.0])), Factor(("a", "b"), table)]], limits=[6.0])  # fmt: skip
    assert frozen_inputs(problem, 10.0).pick == {"a": 1, "b": 1}
