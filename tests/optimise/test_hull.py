"""The corners of the front, and the price between them."""

from itertools import pairwise, product

import numpy as np
import pytest
from checks.problems import random_problem

from padless.optimise import Factor, Problem, hull, price_at
from padless.optimise import search as module


def everything(problem: Problem) -> list[tuple[float, float]]:
    """(cost, worth) of every pick that is allowed."""
    names = list(problem.sizes)
    picks = [dict(zip(names, levels, strict=True)) for levels in product(*(range(problem.sizes[v]) for v in names))]
    allowed = [
        pick for pick in picks if all(np.isfinite(f.table[tuple(pick[v] for v in f.scope)]) for f in problem.hard)
    ]
    return [(float(problem.spent(pick)[0]), problem.worth(pick)) for pick in allowed]


@pytest.fixture(params=range(12))
def problem(request):
    return random_problem(request.param, variables=5, budgets=2 if request.param % 3 == 0 else 1, share=0.5)


def test_no_pick_lies_above_the_corners(problem):
    corners = hull(problem, near=0.0, most=60)
    assert corners
    slopes = [(b.worth - a.worth) / (b.cost - a.cost) for a, b in pairwise(corners)]
    assert slopes == sorted(slopes, reverse=True) and all(slope > 0 for slope in slopes)
    for cost, worth in everything(problem):
        for a, slope in zip(corners, slopes, strict=False):
            assert worth <= a.worth + slope * (cost - a.cost) + 1e-6
    for corner in corners:
        assert problem.worth(corner.pick) == corner.worth and problem.spent(corner.pick)[0] == corner.cost


def test_corners_are_bounded_and_those_nearby_come_first(problem):
    whole = hull(problem, near=0.0, most=60)
    middle = (whole[0].cost + whole[-1].cost) / 2
    few = hull(problem, near=middle, most=4)
    assert len(few) <= 4 and few[0].worth == whole[0].worth and few[-1].worth == whole[-1].worth


def test_entangled_problems_get_corners_too(problem, monkeypatch):
    exact = hull(problem, near=0.0, most=60)
    monkeypatch.setattr(module, "WIDEST", 1)
    found = hull(problem, near=0.0, most=60)
    if found and exact:  # a split bucket may not see which combinations are forbidden
        assert found[-1].worth == pytest.approx(exact[-1].worth)
    assert all(b.cost > a.cost and b.worth > a.worth for a, b in pairwise(found))


def test_the_price_is_the_slope_below():
    cost = Factor(("a",), np.array([1.0, 2.0, 4.0]))
    problem = Problem(sizes={"a": 3}, value={"a": np.array([0.0, 4.0, 6.0])}, costs=[[cost]], limits=[np.inf])
    corners = hull(problem, near=2.0)
    assert [(corner.cost, corner.worth) for corner in corners] == [(1.0, 0.0), (2.0, 4.0), (4.0, 6.0)]
    assert [price_at(corners, at) for at in (0.5, 1.5, 2.0, 3.0, 4.0)] == [4.0, 4.0, 1.0, 1.0, 0.0]
    assert price_at([], 1.0) == 0.0
