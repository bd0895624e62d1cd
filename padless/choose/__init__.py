"""Importance x cost x budget -> a plan: how many channels each group keeps, and which."""

from padless.choose.allocate import RATIOS
from padless.choose.budget import Budget, Choice, parse_budget, search
from padless.choose.importance import CRITERIA, WATCHING, Criterion, Importance, Scores, importance
from padless.choose.levels import Levels, aligned_levels, free_levels
from padless.choose.optimal import Chosen, optimal
from padless.choose.plan import Outcome, Plan, Solver
from padless.choose.restrict import restricted
from padless.choose.rivals import frozen_inputs, greedy
from padless.choose.solver import solve
from padless.choose.tables import PEAKS, WHOLE, tabulate
from padless.choose.within import problem_of

__all__ = [
    "CRITERIA", "PEAKS", "RATIOS", "WATCHING", "WHOLE", "Budget", "Choice", "Chosen", "Criterion", "Importance",
    "Levels", "Outcome", "Plan", "Scores", "Solver", "aligned_levels", "free_levels", "frozen_inputs", "greedy",
    "importance", "optimal", "parse_budget", "problem_of", "restricted", "search", "solve", "tabulate",
]  # fmt: skip
