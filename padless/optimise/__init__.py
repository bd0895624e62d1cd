"""The best level of each variable within limits on sums of tables: exact, with a proof. Numpy and SciPy alone."""

from padless.optimise.baselines import frozen_inputs, greedy
from padless.optimise.buckets import Array, Factor, Pick, sum_at
from padless.optimise.problem import Problem, Solution
from padless.optimise.search import solve

__all__ = ["Array", "Factor", "Pick", "Problem", "Solution", "frozen_inputs", "greedy", "solve", "sum_at"]
