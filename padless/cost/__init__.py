"""What every layer and every width costs on a target: padding, the closed form, and real compilers."""

from padless.cost.cycles import Answer, Ceil, Cycles, Oracle, Source, summed
from padless.cost.network import LayerCost, NetworkCost, Reach, Totals, network_cost, reach
from padless.cost.padding import Cost, padding

__all__ = [
    "Answer",
    "Ceil",
    "Cost",
    "Cycles",
    "LayerCost",
    "NetworkCost",
    "Oracle",
    "Reach",
    "Source",
    "Totals",
    "network_cost",
    "padding",
    "reach",
    "summed",
]  # fmt: skip
