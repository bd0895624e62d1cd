"""Importance x cost x budget -> a plan: which channels each group keeps; and the model that it makes."""

from padless.choose.budget import Budget, parse_budget
from padless.choose.plan import Outcome, Plan, Solver
from padless.choose.ratios import RATIOS
from padless.choose.tables import PEAKS, WHOLE, tabulate

__all__ = ["PEAKS", "RATIOS", "WHOLE", "Budget", "Outcome", "Plan", "Solver", "parse_budget", "tabulate"]
