"""The best level of each variable within limits on sums of tables: exact, with a proof. Numpy and SciPy alone."""

from padless.optimise.baselines import frozen_inputs, greedy
from padless.optimise.buckets import Array, Factor, Pick, sum_at
from padless.optimise.hull import Corner, hull, price_at
from padless.optimise.moves import Moves
from padless.optimise.problem import Problem, Solution
from padless.optimise.search import solve

__all__ = [
    "Array", "Corner", "Factor", "Moves", "Pick", "Problem", "Solution", "frozen_inputs", "greedy", "hull", "price_at",
    "solve", "sum_at",
]  # fmt: skip
