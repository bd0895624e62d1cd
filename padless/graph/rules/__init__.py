"""What each ATen operation does to channels."""

from padless.graph.rules import layers, movement, norms, parts, recurrent, reductions  # noqa: F401  (they register their rules)
from padless.graph.rules.registry import RULES, RegisteredRule, apply_rule, argument, rule

__all__ = ["RULES", "RegisteredRule", "apply_rule", "argument", "rule"]
