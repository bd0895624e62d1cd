"""What every layer and every width costs on a target: padding, the closed form, and real compilers."""

from padless.cost.cycles import Answer, Ceil, Cycles, Oracle, Source, summed
from padless.cost.network import Keep, LayerCost, NetworkCost, Reach, Totals, narrowed, network_cost, places, reach
from padless.cost.padding import Cost, padding

__all__ = [
    "Answer",
    "Ceil",
    "Cost",
    "Cycles",
    "Keep",
    "LayerCost",
    "NetworkCost",
    "Oracle",
    "Reach",
    "Source",
    "Totals",
    "narrowed",
    "network_cost",
    "padding",
    "places",
    "reach",
    "summed",
]  # fmt: skip
