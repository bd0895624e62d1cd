"""Elimination by buckets, against enumeration."""

import itertools

import numpy as np
import pytest
from checks.problems import enumerated, random_factors
from hypothesis import given, settings
from hypothesis import strategies as st

from padless.optimise.buckets import Buckets, TooWideError, elimination_order, minimise


@given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([0.0, 0.2, 0.7]))
@settings(max_examples=150)
def test_elimination_is_exact(seed, variables, forbid):
    sizes, factors = random_factors(seed, variables, forbid)
    order = elimination_order(sizes, [f.scope for f in factors], 10**6)
    value, pick = minimise(sizes, factors, order)
    everything = list(enumerated(sizes, factors))
    assert value == pytest.approx(min(v for _, v in everything))
    if np.isfinite(value):
        assert sum(float(f.table[tuple(pick[v] for v in f.scope)]) for f in factors) == pytest.approx(value)
    found = Buckets(sizes, factors, order).marginals()
    for v, size in sizes.items():
        for level in range(size):
            assert found[v][level] == pytest.approx(min(c for p, c in everything if p[v] == level))


def test_a_graph_that_is_too_entangled():
    sizes = {f"v{i}": 10 for i in range(6)}
    scopes = list(itertools.combinations(sizes, 2))
    with pytest.raises(TooWideError):
        elimination_order(sizes, scopes, 10**5)
    assert len(elimination_order(sizes, scopes, 10**6)) == 6
