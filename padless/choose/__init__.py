"""Importance x cost x budget -> a plan: which channels each group keeps; and the model that it makes."""

from padless.choose.budget import PEAKS, Budget
from padless.choose.choices import Choices
from padless.choose.plan import Outcome, Plan, Proof
from padless.choose.ratios import RATIOS
from padless.choose.tables import WHOLE, tabulate

__all__ = ["PEAKS", "RATIOS", "WHOLE", "Budget", "Choices", "Outcome", "Plan", "Proof", "tabulate"]
