"""What a model, and each cut of it, costs on a target: one place that asks the oracle."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from padless.align import aligned_levels, priced_levels
from padless.cost.charged import Field, charged
from padless.cost.cycles import Cycles, between, summed
from padless.cost.memory import peak_memory
from padless.cost.network import NetworkCost, network_cost
from padless.cost.oracle import CachedOracle, OracleLike
from padless.cost.oracles import default_oracle, open_oracles
from padless.cost.unavoidable import unavoidable
from padless.cut import cut
from padless.cut.branches import Branches
from padless.cut.removable import removable
from padless.errors import NotWholeError, UsageError
from padless.graph import Graph, Keep, narrowed, trace
from padless.graph.examples import batch_of
from padless.graph.shadow import original_of
from padless.graph.structure import TreatedShape
from padless.hardware import Target
from padless.hardware.target import as_target
from padless.progress import bar
from padless.treat.layers import round_weights


class Pricing:
    """Prices one model on one target with one oracle: the one that is given, or the best that the target has.

    Whole networks where the oracle can, else layer by layer. `memory_oracle` says how much memory a network needs, where the
    other one does not, such as a compiler beside a table of times.

    Close it (or use it in a `with`), since oracles may run in processes of their own; one that was handed over as an object
    stays its owner's to close.
    """

    def __init__(
        self,
        model: nn.Module,
        example: tuple[Any, ...],
        target: Target,
        *,
        oracle: str | OracleLike | None = None,
        memory_oracle: str | OracleLike | None = None,
        outputs: Sequence[str | int] | None = None,
    ) -> None:
        self.graph: Graph = trace(model, *example, outputs=outputs)
        self.model, self.example, self.target, self.outputs = original_of(model), example, target, outputs
        self.levels = aligned_levels(self.graph, target)
        self.out_of_reach = unavoidable(self.graph, target, self.levels.fixed)
        chosen = oracle or default_oracle(target)
        if memory_oracle and chosen is None:
            raise UsageError(f"No oracle for cycles on {target.id}, beside the one for memory. Give an oracle, too.")
        asked = [name for name in (chosen, memory_oracle) if name is not None]
        opened = [CachedOracle(oracle) for oracle in open_oracles(asked, target)]
        self._opened = [(cached, isinstance(name, str)) for cached, name in zip(opened, asked, strict=True)]
        self.oracle = opened[0] if opened else None
        self.memory = opened[1] if len(opened) > 1 else None
        batch = batch_of(self.graph.example_shapes)
        if batch != 1 and any(cached.oracle.batch_of_one for cached in opened):
            self.close()
            raise UsageError(
                f"Cycles are counted for one input at a time; the example has a batch of {batch}. Give a batch of 1."
            )

    def __enter__(self) -> "Pricing":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what was opened for it."""
        for cached, owned in self._opened:
            if owned:
                cached.close()
            else:
                cached.cache.close()

    def on(self, model: nn.Module) -> "Pricing":
        """The same target and oracle for another model: a cut of this one."""
        other = copy.copy(self)
        other.model, other.graph = model, trace(model, *self.example, outputs=self.outputs)
        other.levels = aligned_levels(other.graph, self.target)
        other.out_of_reach = unavoidable(other.graph, self.target, other.levels.fixed)
        other.__dict__.pop("branches", None)
        return other

    @cached_property
    def branches(self) -> Branches:
        """The groups of the model that may go altogether."""
        return removable(self.graph, self.model)

    def whole(self, model: nn.Module, graph: Graph, treatments: Mapping[str, str] | None = None) -> NetworkCost:
        """The cost of a model as it is, with its own weights: this one or a cut of it.

        Where layers have to be priced alone, with other weights, `treatments` say what was done to theirs.
        """
        return network_cost(
            self.graph,
            graph.layers,
            self.target,
            self.out_of_reach,
            self._cycles(model, graph, treatments or {}),
            peak_memory(graph, self.target),
            treatments,
        )

    def _cycles(self, model: nn.Module, graph: Graph, treatments: Mapping[str, str]) -> Cycles | None:
        if self.oracle is None:
            return None
        cycles = _asked(self.oracle, model, graph, treatments)
        if self.memory is None:
            return cycles
        memory = _asked(self.memory, model, graph, treatments)
        if memory.peak_sram_bytes is None:
            raise UsageError(
                f"The oracle {memory.source.oracle} says nothing of memory. Ask one that does, such as vela, for it."
            )
        notes = (cycles.note, memory.note and f"Memory, by {memory.source.oracle}: {memory.note}")
        return replace(
            cycles,
            peak_sram_bytes=memory.peak_sram_bytes,
            flash_bytes=memory.flash_bytes,
            memory=memory.oracle,
            note=" ".join(filter(None, notes)),
        )

    def charged(self, cost: NetworkCost, widths: Mapping[str, int], counted: Field = "total") -> NetworkCost:
        """A cost with its avoidable MACs by what the oracle charges for groups that are so wide (`cost.charged`)."""
        if self.oracle is None:
            return cost
        offered = priced_levels(self.graph, self.target, repair="up").widths
        return charged(cost, self.graph, widths, offered, self.oracle, counted)

    def dense(self) -> NetworkCost:
        """The cost of the model that was given."""
        with bar("Counting cycles", None):
            return self.whole(self.model, self.graph)

    def cut(self, keep: Keep, *, whole: bool = True, treatments: Mapping[str, str] | None = None) -> NetworkCost:
        """The cost once only the channels in `keep` are left; without `whole` only what adds up over layers.

        Layers with `treatments` have their weights rounded to them.
        """
        if whole:
            small = cut(self.model, self.graph, keep)
            round_weights(small, treatments or {}, self.graph.layers)
            return self.whole(small, trace(small, *self.example), treatments)
        return network_cost(self.graph, narrowed(self.graph, keep), self.target, self.out_of_reach, None)


def _asked(oracle: CachedOracle, model: nn.Module, graph: Graph, treatments: Mapping[str, str]) -> Cycles:
    """What an oracle says of a network: of the whole where it can, else of the sum over its layers."""
    try:
        whole, reason = oracle.oracle.network(graph, model), ""
    except NotWholeError as error:
        whole, reason = None, str(error)
    if whole:
        return whole
    treated = treatments if oracle.oracle.treats else {}
    shapes = [
        TreatedShape.of(layer.shape, treated[layer.name]) if layer.name in treated else layer.shape
        for layer in graph.layers
    ]
    names = {shape: layer.name for shape, layer in zip(reversed(shapes), reversed(graph.layers), strict=True)}
    answers = oracle.shapes(shapes, names)
    if not reason and answers:
        reason = f"{answers[0].source.oracle} prices layers alone; what lies between them is not counted."
    return summed(graph.layers, answers, " ".join(filter(None, (reason, between(graph)))))


def inspect(
    model: nn.Module,
    *example: Any,
    target: Target | str | Path,
    oracle: str | OracleLike | None = None,
    memory_oracle: str | OracleLike | None = None,
    outputs: Sequence[str | int] | None = None,
) -> NetworkCost:
    """What `model` computes, stores and wastes on `target`, layer by layer and in all, for inputs shaped as `example`.

    `oracle` says who is asked for cycles: `ceil`, `vela`, `scalesim 16x16`, `zigzag 16x16`, `onnxruntime`, `csv FILE`, a
    command with `{cin}` and `{cout}` in it, or one that another package brings; a function from layer shapes to cycles, or
    a `padless.cost.Oracle`; by default the best that the target has. `memory_oracle` is
    asked for memory alone, such as `vela` beside a table of times. `outputs` are as for `trace`. Raises UsageError for an
    unknown target, TraceError for a model that does not run, OracleError from the compiler.
    """
    with Pricing(
        model, example, as_target(target), oracle=oracle, memory_oracle=memory_oracle, outputs=outputs
    ) as pricing:
        return pricing.dense()
