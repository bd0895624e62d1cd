"""What every layer and every width costs on a target: padding, the closed form, and real compilers."""

from padless.cost.cycles import Cycles, ceil_cycles
from padless.cost.network import Keep, LayerCost, NetworkCost, Reach, Totals, narrowed, network_cost, places, reach
from padless.cost.padding import Cost, padding

__all__ = [
    "Cost",
    "Cycles",
    "Keep",
    "LayerCost",
    "NetworkCost",
    "Reach",
    "Totals",
    "ceil_cycles",
    "narrowed",
    "network_cost",
    "padding",
    "places",
    "reach",
]  # fmt: skip
