"""The cost of a whole network."""

import dataclasses

import numpy as np
import pytest
import torch
from models.networks import small

from padless import inspect, trace
from padless.cost import Cost, reach
from padless.errors import UsageError
from padless.graph import narrowed
from padless.report.tables import _notes


def test_costs_add_up_and_shares_are_ratios_of_sums():
    a, b = Cost(macs=1, padded_macs=4), Cost(macs=9, padded_macs=16)
    assert (a + b).wasted_macs_percent == 50
    assert Cost().wasted_macs_percent == 0


def test_layers_that_the_npu_leaves_to_the_cpu():
    cost = inspect(small(), torch.zeros(1, 3, 16, 16), target="ti-tinpu")
    said = {row.layer.name: row.problems for row in cost.layers if row.problems}
    assert said == {"stem": ("3 inputs are no multiple of 4",)}
    assert "The NPU does not run 1 of the layers: stem (3 inputs are no multiple of 4)." in _notes(cost)


def test_narrowed_layers_match_a_mask():
    graph = trace(small(), torch.zeros(1, 3, 16, 16))
    keep = np.ones(graph.channels, bool)
    keep[graph.group("stem").channels] = np.arange(16) < 5
    shapes = {ly.name: (ly.c_in, ly.c_out) for ly in narrowed(graph, keep)}
    assert shapes == {
        "stem": (3, 5),
        "block.body.0": (5, 24),
        "block.body.3": (24, 5),
        "down": (5, 32),
        "head": (32, 4),
    }


def test_shared_weights_are_stored_once():
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = torch.nn.Conv2d(4, 4, 1), torch.nn.Conv2d(4, 2, 1)

        def forward(self, x):
            return self.b(self.a(self.a(x)))

    cost = inspect(Twice(), torch.zeros(1, 4, 2, 2), target="unit:2").cost
    assert (cost.weight_bytes, cost.macs) == (16 + 8, 4 * (16 + 16 + 8))


def test_cycles_are_for_a_batch_of_one():
    with pytest.raises(UsageError, match="the example has a batch of 4. Give a batch of 1"):
        inspect(small(), torch.zeros(4, 3, 16, 16), target="ethos-u55-256")


def test_totals_are_the_sums_of_the_rows():
    cost = inspect(small(), torch.zeros(1, 3, 16, 16), target="nvdla-full")
    totals = cost.totals()
    assert (
        totals["macs"]
        == sum(row.cost.macs for row in cost.layers)
        == 256 * 27 * 16 + 256 * (9 * 16 * 24 + 24 * 16) + 64 * 9 * 16 * 32 + 128
    )
    assert totals["cycles"] == sum(row.cycles for row in cost.layers)
    assert totals["peak_sram_bytes"] is None
    assert dataclasses.asdict(cost.cost)["padded_macs"] == totals["padded_macs"]


def test_where_nothing_can_be_cut_nothing_is_in_reach():
    """A forward that closes over another model: its layers have no channels of this one's."""
    make = lambda: torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), torch.nn.Conv2d(8, 2, 1))  # noqa: E731
    model, other = make(), make()
    model.forward = other.forward
    found = reach(trace(model, torch.zeros(1, 3, 4, 4)))
    assert (found.channels_percent, found.macs_percent, found.pinned) == (0, 0, ())
    assert reach(trace(make(), torch.zeros(1, 3, 4, 4))).macs_percent == 87.5
