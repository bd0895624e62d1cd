"""Putting layers to an oracle: equal shapes once, and what was answered before not at all."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from typing import Any

from padless.cost.cache import Cache, key_of
from padless.cost.cycles import Answer, Oracle, Source
from padless.errors import OracleError
from padless.graph import Layer, LayerShape
from padless.progress import bar

SECONDS = 1.0  # between two writes to the cache


class Asked:
    """An oracle that remembers. An oracle with a `key` attribute, a text that says all its settings, is kept on disk."""

    def __init__(self, oracle: Oracle, cache: Cache | None = None) -> None:
        self.oracle, self.cache = oracle, cache or Cache()
        self._key: str | None = getattr(oracle, "key", None)
        self._known: dict[LayerShape, Answer | OracleError] = {}

    def __call__(self, layers: Sequence[Layer]) -> list[Answer]:
        """An answer for each layer. Raises OracleError, naming the layer, where the oracle fails."""
        shapes = [layer.shape for layer in layers]
        names = {shape: layer.name for shape, layer in zip(reversed(shapes), reversed(layers), strict=True)}
        return self.shapes(shapes, names)

    def shapes(self, shapes: Sequence[LayerShape], names: Mapping[LayerShape, str] | None = None) -> list[Answer]:
        """The same for shapes; errors name them by `names`."""
        found = []
        for answer in self.attempt(shapes, names):
            if isinstance(answer, OracleError):
                raise answer
            found.append(answer)
        return found

    def attempt(
        self, shapes: Sequence[LayerShape], names: Mapping[LayerShape, str] | None = None
    ) -> list[Answer | OracleError]:
        """The same, with an error in the place of each shape that the oracle has no answer for."""
        missing = [shape for shape in dict.fromkeys(shapes) if shape not in self._known]
        self._recall(missing)
        missing = [shape for shape in missing if shape not in self._known]
        if missing:
            self._ask(missing, names or {})
        return [self._known[shape] for shape in shapes]

    def close(self) -> None:
        """End what the oracle runs, if it runs anything."""
        self.cache.close()
        if close := getattr(self.oracle, "close", None):
            close()

    def _recall(self, shapes: list[LayerShape]) -> None:
        if self._key is not None and shapes:
            keys = {key_of(self._key, astuple(shape)): shape for shape in shapes}
            for key, value in self.cache.get(keys).items():
                self._known[keys[key]] = _answer(value)

    def _ask(self, shapes: list[LayerShape], names: Mapping[LayerShape, str]) -> None:
        fresh: dict[str, Any] = {}
        written, done = time.monotonic(), 0
        with bar("Asking what layers cost", len(shapes)) as shown:
            try:
                for shape, answer in zip(shapes, self.oracle(shapes), strict=True):
                    done += 1
                    shown.advance(note=names.get(shape, str(shape)))
                    if isinstance(answer, OracleError):
                        answer = OracleError(f"Layer {names.get(shape, shape)}: {answer}")
                    self._known[shape] = answer
                    if self._key is not None and isinstance(answer, Answer):
                        fresh[key_of(self._key, astuple(shape))] = asdict(answer)
                        if time.monotonic() - written > SECONDS:
                            self.cache.put(fresh)
                            fresh, written = {}, time.monotonic()
            except OracleError as error:
                raise OracleError(f"Layer {names.get(shapes[done], shapes[done])}: {error}") from error
            finally:
                if fresh:
                    self.cache.put(fresh)


def _answer(value: dict[str, Any]) -> Answer:
    return Answer(**{**value, "source": Source(**value["source"])})
