"""What a model, and each cut of it, costs on a target: one place that knows which oracle to ask."""

import copy
from pathlib import Path
from types import TracebackType

from torch import Tensor, nn

from padless.align import aligned_levels
from padless.cost import Cycles, NetworkCost, network_cost, summed
from padless.cost.ask import Asked
from padless.cost.memory import peak_memory
from padless.cost.oracles import default_oracle, open_oracle
from padless.cost.oracles.vela import Vela
from padless.cut import cut
from padless.errors import UsageError
from padless.graph import Graph, Keep, narrowed, trace
from padless.hardware import Target
from padless.hardware.target import as_target
from padless.progress import bar
from padless.tflite import Unlowered, lower


class Pricing:
    """Prices one model on one target with one oracle: `oracle`, or the best that the target has.

    Arm's compiler prices whole networks, the others layer by layer. Close it (or use it in a `with`), since oracles may
    run in processes of their own.
    """

    def __init__(
        self,
        model: nn.Module,
        example: tuple[Tensor, ...],
        target: Target,
        *,
        oracle: str | None = None,
        system_config: str | None = None,
        memory_mode: str | None = None,
    ) -> None:
        self.model, self.example, self.target = model, example, target
        self.graph: Graph = trace(model, *example)
        spec = oracle or default_oracle(target)
        batch = self.graph.example_shapes[0][0] if self.graph.example_shapes[0] else 1
        if spec == "vela" and batch != 1:
            raise UsageError(
                f"Cycles are counted for one input at a time; the example has a batch of {batch}. Give a batch of 1."
            )
        self.levels = aligned_levels(self.graph, target)
        self.asked: Asked | None = None
        if spec:
            self.asked = Asked(open_oracle(spec, target, system_config=system_config, memory_mode=memory_mode))
        elif system_config or memory_mode:
            raise UsageError(f"{target.id} has no oracle that a system configuration or a memory mode is for.")

    def __enter__(self) -> "Pricing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.asked:
            self.asked.close()

    def on(self, model: nn.Module) -> "Pricing":
        """The same target and oracle for another model: a cut of this one."""
        other = copy.copy(self)
        other.model, other.graph = model, trace(model, *self.example)
        other.levels = aligned_levels(other.graph, self.target)
        return other

    def whole(self, model: nn.Module, graph: Graph) -> NetworkCost:
        """The cost of a model as it is, with its own weights: this one or a cut of it."""
        return network_cost(
            self.graph,
            graph.layers,
            self.target,
            self.levels.fixed,
            self._cycles(model, graph),
            peak_memory(graph, self.target),
        )

    def _cycles(self, model: nn.Module, graph: Graph) -> Cycles | None:
        if self.asked is None:
            return None
        if not isinstance(self.asked.oracle, Vela):
            return summed(graph.layers, self.asked(graph.layers))
        try:
            lowered = lower(graph, model)
        except Unlowered as reason:
            return summed(
                graph.layers,
                self.asked(graph.layers),
                f"The network could not be compiled as a whole: {reason}. Its layers were, alone, with random weights; "
                "what lies between them is not counted.",
            )
        return self.asked.oracle.compile(lowered.tflite, "the network", lowered.operators)

    def dense(self) -> NetworkCost:
        """The cost of the model that was given."""
        with bar("Counting cycles", None):
            return self.whole(self.model, self.graph)

    def cut(self, keep: Keep, *, whole: bool = True) -> NetworkCost:
        """The cost once only the channels in `keep` are left; without `whole` only what adds up over layers."""
        if whole:
            small = cut(self.model, self.graph, keep)
            return self.whole(small, trace(small, *self.example))
        return network_cost(self.graph, narrowed(self.graph, keep), self.target, self.levels.fixed, None)


def inspect(
    model: nn.Module,
    *example: Tensor,
    target: Target | str | Path,
    oracle: str | None = None,
    system_config: str | None = None,
    memory_mode: str | None = None,
) -> NetworkCost:
    """What `model` computes, stores and wastes on `target`, layer by layer and in all, for inputs shaped as `example`.

    `oracle` says who is asked for cycles: `ceil`, `vela`, `scalesim 16x16`, `zigzag 16x16`, `onnxruntime`, `csv FILE`, a
    command with `{cin}` and `{cout}` in it, or one that another package brings; by default the best that the target has.
    `system_config` and `memory_mode` are Vela's, for Ethos-U targets; the target's own are the default.
    Raises UsageError for an unknown target, TraceError for a model that does not run, OracleError from the compiler.
    """
    with Pricing(
        model, example, as_target(target), oracle=oracle, system_config=system_config, memory_mode=memory_mode
    ) as pricing:
        return pricing.dense()
