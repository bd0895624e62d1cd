"""Pricing what an oracle refuses."""

import numpy as np
import pytest
import torch
from models.networks import small

from padless import load_target, trace
from padless.align import aligned_levels
from padless.choose import tabulate
from padless.cost import CachedOracle
from padless.cost.cycles import Answer, Source
from padless.cost.padding import padding
from padless.errors import OracleError

X = torch.zeros(1, 3, 16, 16)


def test_layers_that_cannot_be_priced_alone_are_priced_by_their_neighbours():
    """An oracle that counts padded MACs, but refuses some shapes: what is filled in is what it would have said."""
    graph, target = trace(small(), X), load_target("unit:8")
    levels = aligned_levels(graph, target)

    refused = []

    def table(refuses):
        def oracle(shapes):
            for shape in shapes:
                cost = 10 * padding(shape, target).padded_macs
                answer = Answer(source=Source(oracle="macs"), total=cost, npu=cost)
                refused.append(shape) if refuses(shape) else None
                yield OracleError("it is too large") if refuses(shape) else answer

        return tabulate(graph, levels, target, CachedOracle(oracle), ["cycles"]).costs["cycles"]

    widest = max(layer.c_out for layer in graph.layers)
    for plain, partly in zip(table(lambda _: False), table(lambda s: s.c_out == widest > s.c_in), strict=True):
        np.testing.assert_allclose(plain.table, partly.table)
    assert refused
    with pytest.raises(OracleError, match=r"Layer .*: it is too large"):
        table(lambda _: True)
