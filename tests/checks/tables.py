"""Tables of what widths cost, and random widths with their place in them."""

import itertools
from collections.abc import Iterable

import numpy as np
import torch

from padless import load_target, trace
from padless.align import aligned_levels
from padless.choose import tabulate
from padless.choose.treated import variable
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


def at(factors: Iterable, pick) -> float:
    """The sum of some tables at a choice of levels."""
    return sum(float(f.table[tuple(pick[v] for v in f.scope)]) for f in factors)


def random_losses(offered, rng) -> dict[str, dict[str, float]]:
    """What treatments lose: some little, some much."""
    return {
        layer: {name: float(rng.random() * rng.choice([0.01, 1])) for name in names[:-1]}
        for layer, names in offered.items()
    }


def best_of_all(made, curves, offered, limit) -> float:
    """The most that any choice of widths and treatments within a limit on cycles keeps: every one was looked at."""
    best = -np.inf
    for levels in itertools.product(*map(range, made.sizes.values())):
        pick = dict(zip(made.sizes, levels, strict=True))
        if at(made.costs["cycles"], pick) + at(made.hard, pick) <= limit:
            kept = sum(float(curves.worth(id, w[pick[id]][None])[0]) for id, w in made.widths.items())
            lost = sum(curves.treated[layer].get(names[pick[variable(layer)]], 0.0) for layer, names in offered.items())
            best = max(best, kept - lost)
    return best
