"""Who is asked what layers and networks cost: the base of every oracle, and one that remembers.

An oracle does not know the network that a layer comes from. Nobody tests for one by its name or type: what an oracle can
do beside answering for layers, its attributes and methods say.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple
from typing import Any, Self

from torch import nn

from padless.cost.cache import Cache, key_of
from padless.cost.cycles import Answer, Cycles, Source
from padless.errors import LayersError, OracleError, UsageError
from padless.graph import Graph, Layer, LayerShape
from padless.progress import bar

SECONDS = 1.0  # between two writes to the cache
MOST = 1 << 53  # of a layer's cost: sums of more are not exact

# An error in an answer's place: this layer has none, the next ones may. An error that is raised ends the asking.
Answers = Iterable[Answer | OracleError]


class Oracle(ABC):
    """Answers for layer shapes, in their order; may be used in a `with`.

    A plain function from shapes to answers (or to numbers, which are cycles) can stand for an oracle, and so can any object
    that is called like one: of the names below it has those that it needs.
    """

    key: str | None = None  # all its settings as a text: answers are kept on disk by it; None: never
    batch_of_one: bool = False  # whether it counts for one input at a time only
    systems: bool = False  # whether it knows the target's system and memory mode
    compiles: bool = False  # whether a compiler answers, which may charge for other steps than the target's units
    treats: bool = False  # whether a `TreatedShape` costs it otherwise than the plain one
    portable: bool = False  # whether other machines, and several processes at once, would get the same answers

    @abstractmethod
    def __call__(self, shapes: Sequence[LayerShape]) -> Answers:
        """What each layer costs alone, in order; they may come one by one.

        Raises LayersError, before anything is asked, where it can never answer for some of them.
        """

    def network(self, graph: Graph, model: nn.Module) -> Cycles | None:
        """What `model`, recorded as `graph`, costs as a whole, with its own weights; None: only layers can be asked for.

        Raises NotWholeError, saying why and what the sum over layers leaves out, where this network cannot be priced so.
        """
        return None

    def has(self, shape: LayerShape) -> bool:
        """Whether it knows this layer."""
        return True

    def close(self) -> None:  # noqa: B027  (most have nothing to end)
        """End what it runs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


OracleLike = Oracle | Callable[[Sequence[LayerShape]], Iterable[Any]]


def as_oracle(oracle: OracleLike) -> Oracle:
    """An oracle, or a function or object that stands for one. Raises UsageError for what cannot be called."""
    if isinstance(oracle, Oracle):
        return oracle
    if not callable(oracle):
        raise UsageError(
            f"oracle is a {type(oracle).__name__}; expected a name such as 'ceil', a function from layer shapes to cycles, "
            "or a padless.cost.Oracle."
        )
    return _Adapted(oracle)


class _Adapted(Oracle):
    """A function or an object of someone else's. What it does not have is as the base says."""

    def __init__(self, oracle: Callable[[Sequence[LayerShape]], Iterable[Any]]) -> None:
        self._oracle = oracle
        self.key = getattr(oracle, "key", None)
        self.batch_of_one = getattr(oracle, "batch_of_one", False)
        self.systems = getattr(oracle, "systems", False)
        self.compiles = getattr(oracle, "compiles", False)
        self.treats = getattr(oracle, "treats", False)
        self.portable = getattr(oracle, "portable", False)
        self._source = Source(oracle=getattr(oracle, "__name__", type(oracle).__name__))

    def __call__(self, shapes: Sequence[LayerShape]) -> Iterator[Answer | OracleError]:
        for answer in self._oracle(shapes):
            if isinstance(answer, int | float) and math.isfinite(answer):
                answer = Answer(source=self._source, total=round(answer), npu=round(answer))
            yield answer

    def network(self, graph: Graph, model: nn.Module) -> Cycles | None:
        price = getattr(self._oracle, "network", None)
        return price(graph, model) if price else None

    def has(self, shape: LayerShape) -> bool:
        knows = getattr(self._oracle, "has", None)
        return bool(knows(shape)) if knows else True

    def close(self) -> None:
        if end := getattr(self._oracle, "close", None):
            end()


class CachedOracle:
    """Puts layers to an oracle: equal shapes once, and what was answered before not at all."""

    def __init__(self, oracle: OracleLike, cache: Cache | None = None) -> None:
        self.oracle, self.cache = as_oracle(oracle), cache or Cache()
        self._known: dict[LayerShape, Answer | OracleError] = {}

    def __call__(self, layers: Sequence[Layer]) -> list[Answer]:
        """An answer for each layer. Raises OracleError, naming the layer, where the oracle fails."""
        shapes = [layer.shape for layer in layers]
        names = {shape: layer.name for shape, layer in zip(reversed(shapes), reversed(layers), strict=True)}
        return self.shapes(shapes, names)

    def shapes(self, shapes: Sequence[LayerShape], names: Mapping[LayerShape, str] | None = None) -> list[Answer]:
        """The same for shapes; errors name them by `names`."""
        answers = []
        for answer in self.attempt(shapes, names):
            if isinstance(answer, OracleError):
                raise answer
            answers.append(answer)
        return answers

    def attempt(
        self, shapes: Sequence[LayerShape], names: Mapping[LayerShape, str] | None = None
    ) -> list[Answer | OracleError]:
        """The same, with an error in the place of each shape that the oracle has no answer for."""
        if missing := self.unknown(shapes):
            self._ask(missing, names or {})
        return [self._known[shape] for shape in shapes]

    def unknown(self, shapes: Sequence[LayerShape]) -> list[LayerShape]:
        """Those of the shapes that the oracle would have to be asked about, each once."""
        distinct = list(dict.fromkeys(shapes))
        self._recall([shape for shape in distinct if shape not in self._known])
        return [shape for shape in distinct if shape not in self._known]

    def rows(self, shapes: Iterable[LayerShape]) -> dict[str, object]:
        """What is known of these shapes, as the cache keeps it."""
        assert self.oracle.key is not None
        answers = {shape: self._known.get(shape) for shape in shapes}
        return {
            key_of(self.oracle.key, astuple(shape)): asdict(answer)
            for shape, answer in answers.items()
            if isinstance(answer, Answer)
        }

    def close(self) -> None:
        """End what the oracle runs, and leave the cache."""
        self.cache.close()
        self.oracle.close()

    def _recall(self, shapes: list[LayerShape]) -> None:
        if self.oracle.key is not None and shapes:
            keys = {key_of(self.oracle.key, astuple(shape)): shape for shape in shapes}
            for key, stored in self.cache.get(keys).items():
                with suppress(TypeError, KeyError, UsageError):  # of another version: it is asked again
                    self._known[keys[key]] = _checked(_answer(stored), "")

    def _ask(self, shapes: list[LayerShape], names: Mapping[LayerShape, str]) -> None:
        fresh: dict[str, object] = {}
        written, asked = time.monotonic(), 0
        with bar("Asking what layers cost", len(shapes)) as progress:
            try:
                for answer in self.oracle(shapes):
                    if asked == len(shapes):
                        raise UsageError(f"The oracle gave more than {asked} answers to {asked} layers.")
                    shape = shapes[asked]
                    name = names.get(shape, str(shape))
                    asked += 1
                    progress.advance(note=name)
                    self._known[shape] = _checked(answer, name)
                    if self.oracle.key is not None and isinstance(answer, Answer):
                        fresh[key_of(self.oracle.key, astuple(shape))] = asdict(answer)
                        if time.monotonic() - written > SECONDS:
                            self.cache.put(fresh)
                            fresh, written = {}, time.monotonic()
            except LayersError as error:
                raise error.named({shape: names.get(shape, str(shape)) for shape in shapes}) from error
            except OracleError as error:
                shape = shapes[min(asked, len(shapes) - 1)]
                raise OracleError(f"Layer {names.get(shape, shape)}: {error}") from error
            finally:
                if fresh:
                    self.cache.put(fresh)
        if asked < len(shapes):
            raise UsageError(
                f"The oracle gave {asked} answers to {len(shapes)} layers; expected one for each, in order."
            )


def _checked(answer: object, name: str) -> Answer | OracleError:
    if isinstance(answer, OracleError):
        return OracleError(f"Layer {name}: {answer}")
    if not isinstance(answer, Answer):
        raise UsageError(
            f"The oracle answered {answer!r} for layer {name}; expected a number of cycles or a padless.cost.Answer."
        )
    for what in ("total", "npu", "peak_sram_bytes", "flash_bytes", "energy_pj", "cpu_operators"):
        value = getattr(answer, what)
        if value is not None and not (isinstance(value, int | float) and 0 <= value < MOST):
            raise UsageError(
                f"The oracle answered {what} {value!r} for layer {name}; expected a number from 0 to {MOST:,}."
            )
    return answer


def _answer(stored: dict[str, Any]) -> Answer:
    return Answer(**{**stored, "source": Source(**stored["source"])})
