"""Tables of what widths cost, and random widths with their place in them."""

import numpy as np
import torch

from padless import load_target, trace
from padless.align import aligned_levels
from padless.choose import tabulate
from padless.cost import CachedOracle
from padless.cost.oracles import open_oracle

X = torch.zeros(1, 3, 16, 16)


def tables_of(model, target="unit:8", quantities=("macs", "padded_macs", "weight_bytes", "padded_weight_bytes"), x=X):
    graph, hardware = trace(model, x), load_target(target)
    asked = CachedOracle(open_oracle("ceil", hardware)) if "cycles" in quantities else None
    levels = aligned_levels(graph, hardware)
    return graph, levels, tabulate(graph, levels, hardware, asked, quantities)


def drawn(graph, levels, tables, rng):
    """Random levels, and the widths that they are."""
    pick = {id: int(rng.integers(len(w))) for id, w in tables.widths.items()}
    widths = {g.id: int(levels.widths[g.id][-1]) for g in graph.groups}
    widths |= {id: int(w[pick[id]]) for id, w in tables.widths.items()}
    for factor in tables.hard:  # running sums follow from the widths
        if len(factor.scope) == 3:
            before, added, total = factor.scope
            (pick[total],) = np.flatnonzero(np.isfinite(factor.table[pick[before], pick[added]]))
    return pick, widths
