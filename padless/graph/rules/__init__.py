"""What each ATen operation does to channels."""

from padless.graph.rules import (  # noqa: F401  (they register their rules)
    factories,
    layers,
    movement,
    norms,
    parts,
    positions,
    recurrent,
    reductions,
    transforms,
)
from padless.graph.rules.registry import RULES, RegisteredRule, apply_rule, argument, rule

__all__ = ["RULES", "RegisteredRule", "apply_rule", "argument", "rule"]
