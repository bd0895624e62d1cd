"""What a model, and each cut of it, costs on a target: one place that knows which oracle to ask."""

from types import TracebackType

from torch import Tensor, nn

from padless.choose import aligned_levels
from padless.cost import Cycles, Keep, NetworkCost, ceil_cycles, narrowed, network_cost
from padless.cost.vela import Vela
from padless.cut import cut
from padless.errors import UsageError
from padless.graph import Graph, trace
from padless.hardware import Target
from padless.progress import bar


class Pricing:
    """Prices one model on one target. Arm's compiler answers for Ethos-U, the closed form elsewhere.

    Close it (or use it in a `with`), since the compiler runs in a process of its own.
    """

    def __init__(
        self,
        model: nn.Module,
        example: tuple[Tensor, ...],
        target: Target,
        *,
        system_config: str | None = None,
        memory_mode: str | None = None,
    ) -> None:
        self.model, self.example, self.target = model, example, target
        self.graph: Graph = trace(model, *example)
        batch = self.graph.example_shapes[0][0] if self.graph.example_shapes[0] else 1
        if target.vela and batch != 1:
            raise UsageError(
                f"Cycles are counted for one input at a time; the example has a batch of {batch}. Give a batch of 1."
            )
        self.levels = aligned_levels(self.graph, target)
        self._vela = Vela(target, system_config=system_config, memory_mode=memory_mode) if target.vela else None

    def __enter__(self) -> "Pricing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._vela:
            self._vela.close()

    def whole(self, model: nn.Module, graph: Graph) -> NetworkCost:
        """The cost of a model as it is, with its own weights: this one or a cut of it."""
        cycles = self._vela.network(graph, model) if self._vela else ceil_cycles(graph.layers, self.target)
        return network_cost(self.graph, graph.layers, self.target, self.levels.fixed, cycles)

    def dense(self) -> NetworkCost:
        """The cost of the model that was given."""
        with bar("Counting cycles", None):
            return self.whole(self.model, self.graph)

    def cut(self, keep: Keep, *, cycles: bool = True) -> NetworkCost:
        """The cost once only the channels in `keep` are left; without `cycles` no compiler is asked."""
        if cycles and self._vela:
            small = cut(self.model, self.graph, keep)
            return self.whole(small, trace(small, *self.example))
        layers = narrowed(self.graph, keep)
        answer: Cycles | None = ceil_cycles(layers, self.target) if cycles else None
        return network_cost(self.graph, layers, self.target, self.levels.fixed, answer)
