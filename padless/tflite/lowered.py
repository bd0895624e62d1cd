"""A network as tensors and operators of TFLite, and what is said where it has no such form."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from padless.errors import PadlessError
from padless.graph.recording import Op
from padless.tflite.file import Data, TFLiteBuilder
from padless.tflite.layout import Layout, Shape

Floats = npt.NDArray[np.float64]


class Unlowered(Exception):  # noqa: N818
    """The network has an operator that this file format, or this module, has no form for."""


def explained(error: Exception) -> str:
    """An error that nobody expected, in one line."""
    return f"{type(error).__name__} {str(error).strip().partition(chr(10))[0]}".strip()


@contextmanager
def explaining(what: str) -> Iterator[None]:
    """A mistake of ours inside is told as a form that is missing: the network has others. Also a decorator."""
    try:
        yield
    except (Unlowered, PadlessError):
        raise
    except Exception as error:
        raise Unlowered(f"{what}: {explained(error)}; please report it") from error


def refuse(op: Op, why: str) -> Unlowered:
    return Unlowered(f"{op.name} {why}{f' (module {op.module})' if op.module else ''}")


@dataclass(frozen=True, slots=True)
class Stored:
    """The tensor that holds a value, and how the value's axes lie in it."""

    tensor: int
    layout: Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """An input or an output: its name, its shape in the model, and the tensor of the file that holds it."""

    name: str
    shape: Shape
    tensor: int
    layout: Layout

    def to_file(self, array: Data) -> Data:
        """A value of the model with its axes as they lie in the file."""
        return self.layout.packed(array.reshape(self.shape))

    def to_model(self, array: Data) -> Data:
        """The other way round."""
        return np.broadcast_to(self.layout.unpacked(array), self.shape)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lowered:
    """A network as tensors and operators of TFLite, whose constants are real numbers: what the writers make files of."""

    builder: TFLiteBuilder
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @property
    def operators(self) -> list[str]:
        """For each operator the layer or the kind of operation that it computes."""
        return self.builder.operator_names()
