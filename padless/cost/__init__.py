"""What every layer and every width costs on a target: padding, the closed form, and real compilers."""

from padless.cost.cycles import Answer, Cycles, Source, summed
from padless.cost.network import LayerCost, NetworkCost, Reach, Totals, network_cost, reach
from padless.cost.oracle import CachedOracle, Oracle, OracleLike, as_oracle
from padless.cost.padding import Cost, padding

__all__ = [
    "Answer",
    "CachedOracle",
    "Cost",
    "Cycles",
    "LayerCost",
    "NetworkCost",
    "Oracle",
    "OracleLike",
    "Reach",
    "Source",
    "Totals",
    "as_oracle",
    "network_cost",
    "padding",
    "reach",
    "summed",
]
