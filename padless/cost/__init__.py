"""What every layer and every width costs on a target: padding, the closed form, and real compilers."""

from padless.cost.cycles import Cycles, ceil_cycles
from padless.cost.network import LayerCost, Mask, NetworkCost, Reach, Totals, narrowed, network_cost, reach
from padless.cost.padding import Cost, padding

__all__ = [
    "Cost", "Cycles", "LayerCost", "Mask", "NetworkCost", "Reach", "Totals", "ceil_cycles", "narrowed", "network_cost", "padding",
    "reach",
]  # fmt: skip
