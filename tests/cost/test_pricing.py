"""Pricing: what an oracle refuses, and time and memory from two of them."""

import numpy as np
import pytest
import torch
from models.networks import small

from padless import inspect, load_target, plan, trace
from padless.align import aligned_levels
from padless.choose import tabulate
from padless.cost import CachedOracle, Oracle
from padless.cost.cycles import Answer, Cycles, Source
from padless.cost.memory import peak_memory
from padless.cost.padding import padding
from padless.errors import NotWholeError, OracleError, UsageError

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


class Compiler(Oracle):
    """Says of whole networks what its memory is, for a system that it was told of."""

    systems = True
    closed = 0

    def __call__(self, shapes):
        return [Answer(source=Source(oracle="compiler"), total=1, npu=1, peak_sram_bytes=s.c_out) for s in shapes]

    def network(self, graph, model):
        peak = peak_memory(graph, load_target("unit:8")).bytes + 1000
        return Cycles(
            source=Source(oracle="compiler"), total=1, npu=1, peak_sram_bytes=peak, flash_bytes=5, note="Odd."
        )

    def close(self):
        self.closed += 1


class OneAtATime(Compiler):
    batch_of_one = True


class InParts(Compiler):
    def network(self, graph, model):
        raise NotWholeError("No form.")


def clock(shapes):
    return [Answer(source=Source(oracle="clock", unit="ns"), total=s.macs, npu=s.macs) for s in shapes]


def test_time_from_one_oracle_and_memory_from_another():
    target, compiler = load_target("ethos-u55-256", memory_mode="Sram_Only"), Compiler()
    cost = inspect(small(), X, target=target, oracle=clock, memory_oracle=compiler)
    assert cost.cycles.total == sum(row.layer.macs for row in cost.layers)
    peak = peak_memory(trace(small(), X), load_target("unit:8")).bytes + 1000
    assert (cost.cycles.peak_sram_bytes, cost.cycles.flash_bytes) == (peak, 5)
    assert cost.cycles.oracle == "clock, a sum over layers; memory by compiler"
    assert cost.cycles.note.startswith("clock prices layers alone") and cost.cycles.note.endswith(
        "Memory, by compiler: Odd."
    )
    assert compiler.closed == 0  # its owner's to close
    made = plan(
        small(), X, target=target, oracle=clock, memory_oracle=compiler, budget=["peak_sram_bytes=90%", "latency=80%"]
    )
    assert made.after["peak_sram_bytes"] <= 0.9 * made.before["peak_sram_bytes"]
    assert made.after["milliseconds"] <= 0.8 * made.before["milliseconds"]


def test_memory_of_a_network_that_cannot_be_priced_as_a_whole():
    cost = inspect(small(), X, target="unit:8", oracle=clock, memory_oracle=InParts())
    assert cost.cycles.peak_sram_bytes == 32 and cost.cycles.note.count("No form.") == 1
    assert cost.cycles.oracle == "clock, a sum over layers; memory by compiler, a sum over layers"


def test_oracles_that_do_not_go_together():
    with pytest.raises(
        UsageError, match="The oracle clock says nothing of memory. Ask one that does, such as vela, for it"
    ):
        inspect(small(), X, target="unit:8", oracle=clock, memory_oracle=clock)
    with pytest.raises(
        UsageError, match="No oracle for cycles on unit:8, beside the one for memory. Give an oracle, too"
    ):
        inspect(small(), X, target="unit:8", memory_oracle=Compiler())
    only_sram = load_target("ethos-u55-256", memory_mode="Sram_Only")
    with pytest.raises(UsageError, match="The oracle ceil and function knows no systems and memory modes; Sram_Only"):
        inspect(small(), X, target=only_sram, oracle="ceil", memory_oracle=clock)
    with pytest.raises(UsageError, match="batch of 2. Give a batch of 1"):
        inspect(small(), torch.zeros(2, 3, 16, 16), target="unit:8", oracle=clock, memory_oracle=OneAtATime())


def test_what_was_opened_is_closed_where_the_second_is_none(monkeypatch):
    closed = []
    monkeypatch.setattr("padless.cost.oracles.ceil.Ceil.close", lambda self: closed.append(self), raising=False)
    with pytest.raises(UsageError, match="No oracle is called 'vella'"):
        inspect(small(), X, target="gemmini-16", oracle="ceil", memory_oracle="vella")
    assert len(closed) == 1
