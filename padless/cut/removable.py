"""The branches that a network can really do without: it was tried."""

import numpy as np
from torch import nn

from padless.cut.branches import Branches, branches
from padless.cut.slice import cut
from padless.errors import UsageError
from padless.graph import Graph


def removable(graph: Graph, model: nn.Module) -> Branches:
    """The groups of `branches` without which the network runs: a forward may read a weight that is gone."""
    found = branches(graph, model)
    if not found.groups or _runs(graph, model, found, found.groups):
        return found
    return found.without([id for id in found.groups if not _runs(graph, model, found, (id,))])


def _runs(graph: Graph, model: nn.Module, found: Branches, gone: tuple[str, ...]) -> bool:
    keep = np.ones(graph.channels, dtype=np.int64)
    for id in {*gone, *(other for each in gone for other in found.implied.get(each, ()))}:
        keep[graph.group(id).channels] = 0
    try:
        cut(model, graph, keep)
    except UsageError:
        return False
    return True
