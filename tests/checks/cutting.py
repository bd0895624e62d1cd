"""Cut at random widths, and what must hold then."""

import numpy as np
import torch
from torch import nn

from padless import trace
from padless.align import aligned_levels, free_levels
from padless.cost import network_cost
from padless.cost.unavoidable import unavoidable
from padless.cut import cut, equivalence_error
from padless.cut.branches import branches
from padless.graph import narrowed
from padless.hardware import Target
from padless.importance.curves import ranked


def random_keep(graph, levels, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = ranked(graph, rng.random(graph.channels), comparable=True)
    return found.strongest(graph, levels.settle({g: float(rng.choice(w)) for g, w in levels.widths.items()}))


def without_branches(graph, model: nn.Module, keep: np.ndarray, seed: int) -> np.ndarray | None:
    """The same without some branches that may go; None where there are none."""
    found, rng, shorter = branches(graph, model), np.random.default_rng(seed), keep.copy()
    gone = {id for id in found.groups if rng.random() < 0.5} or set(found.groups[:1])
    for group in graph.groups:
        if group.id in gone or any(group.id in found.implied.get(id, ()) for id in gone):
            shorter[group.channels] = 0
    return shorter if gone else None


def check(model: nn.Module, x: torch.Tensor | tuple[torch.Tensor, ...], target: Target, seed: int) -> None:
    """Cut at random widths, aligned and not, with and without some branches: equal to the masked original, the widths as
    foretold, no avoidable waste."""
    xs = x if isinstance(x, tuple) else (x,)
    graph = trace(model, *xs)
    aligned = aligned_levels(graph, target)
    for levels in (aligned, aligned_levels(graph, target, repair="up"), free_levels(graph)):
        keep = random_keep(graph, levels, seed)
        small = cut(model, graph, keep)
        assert equivalence_error(model, small, graph, keep) < 1e-10
        foretold = narrowed(graph, keep)
        wanted = {ly.name: (ly.c_in, ly.c_out, ly.groups) for ly in foretold}
        found = {ly.name: (ly.c_in, ly.c_out, ly.groups) for ly in trace(small, *xs).layers}
        # A sum over a single channel is no matrix product: einsum then multiplies, and a layer is missing.
        assert found and found == {name: wanted[name] for name in found}
        shorter = without_branches(graph, model, keep, seed)
        if shorter is not None:
            shallow = cut(model, graph, shorter)
            assert equivalence_error(model, shallow, graph, shorter) < 1e-10
            left = {ly.name: (ly.c_in, ly.c_out) for ly in trace(shallow, *xs).layers}
            wanted_then = {ly.name: (ly.c_in, ly.c_out) for ly in narrowed(graph, shorter)}
            assert left == {name: sizes for name, sizes in wanted_then.items() if name in left}
            assert not any(0 in sizes for sizes in left.values())
        if levels.fixed:
            fixed = unavoidable(graph, target, levels.fixed)
            assert network_cost(graph, foretold, target, fixed, None).cost.avoidable_macs_percent == 0
