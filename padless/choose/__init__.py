"""Importance x cost x budget -> a plan: how many channels each group keeps, and which."""

from padless.choose.allocate import ALLOCATIONS, strongest
from padless.choose.budget import Budget, Choice, parse_budget, search
from padless.choose.importance import CRITERIA, Scores, importance
from padless.choose.levels import Levels, aligned_levels, free_levels
from padless.choose.plan import Outcome, Plan

__all__ = [
    "ALLOCATIONS", "CRITERIA", "Budget", "Choice", "Levels", "Outcome", "Plan", "Scores",
    "aligned_levels", "free_levels", "importance", "parse_budget", "search", "strongest",
]  # fmt: skip
