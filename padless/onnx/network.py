"""An ONNX graph as a module that interprets it, node by node."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from padless.errors import UsageError
from padless.onnx.node import Node
from padless.onnx.weights import Codec

Watch = Callable[["Step", Node, Sequence[Any], Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """An input or output of the file. Axes without a size are named, or None."""

    name: str
    dtype: torch.dtype  # of the file; half precision is computed in float32
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One node in its turn: what it is given, what it makes, what nobody reads after it."""

    path: str  # of its module
    given: tuple[str, ...]
    made: tuple[str, ...]
    drops: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A float constant of the file as one node's input, and the module that holds it."""

    name: str
    origin: str  # the constant that an Identity passes on under this name; else the name itself
    path: str
    codec: Codec
    node: int  # its place in the graph
    input: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Whole numbers of the file in a module's attribute: an `input` of the node, or (None) an attribute of it."""

    path: str
    attribute: str
    node: int  # its place in the graph
    input: int | None
    name: str  # of the constant, or of the node's attribute
    worked_out: bool = False  # the graph computes it from shapes; the network has it as the node's own


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """The file that a network was read from, and where each of its constants went. Shared by the copies of a network."""

    file: Path
    digest: str
    proto: Any  # onnx.ModelProto, weights and all
    external: bool  # the weights lie in a second file
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    steps: tuple[Step, ...]
    held: tuple[Held, ...]
    counted: tuple[Counted, ...]

    def __deepcopy__(self, memo: dict[int, Any]) -> "Source":
        return self


class OnnxNet(nn.Module):
    """Interprets the graph of an ONNX file. `forward` takes the file's inputs in their order and returns its output, or a
    tuple of several. Modules are named by their nodes, so that reports name those.

    A batch that the graph cannot take at once, having its own written into it, is computed image by image.
    """

    whole: bool  # takes batches of any size at once

    def __init__(self, source: Source, modules: dict[str, Node]) -> None:
        super().__init__()
        self.source = source
        self.whole = True
        self.example_shapes: list[list[int]] = []
        for path, module in modules.items():
            place(self, path, module)

    def forward(self, *inputs: Tensor) -> Any:
        expected = len(self.source.inputs)
        if len(inputs) != expected:
            raise UsageError(
                f"{self.source.file.name} takes {expected} input{'s' if expected > 1 else ''} "
                f"({', '.join(port.name for port in self.source.inputs)}); {len(inputs)} given."
            )
        if self.whole or int.__index__(inputs[0].shape[0]) == 1:
            return self.run(inputs)
        parts = [self.run([x[i : i + 1] for x in inputs]) for i in range(inputs[0].shape[0])]
        if isinstance(parts[0], Tensor):
            return _joined(parts)
        return tuple(_joined(column) for column in zip(*parts, strict=True))

    def run(self, inputs: Sequence[Tensor], watch: Watch | None = None) -> Any:
        """One pass through the graph; `watch` sees every node's inputs and outputs."""
        values: dict[str, Any] = {
            port.name: x.float() if x.dtype is torch.float16 else x
            for port, x in zip(self.source.inputs, inputs, strict=True)
        }
        for step in self.source.steps:
            node = self.get_submodule(step.path)
            assert isinstance(node, Node)
            given = [values[name] for name in step.given]
            result = node(*given)
            if watch:
                watch(step, node, given, result)
            for name, value in zip(step.made, result if isinstance(result, tuple) else (result,), strict=False):
                values[name] = value
            for name in step.drops:
                values.pop(name, None)
        results = tuple(_tensor(values[port.name]) for port in self.source.outputs)
        return results[0] if len(results) == 1 else results

    def extra_repr(self) -> str:
        return f"{self.source.file.name}, {len(self.source.steps)} nodes"


def example_inputs(network: OnnxNet) -> tuple[Tensor, ...]:
    """Zeros of the shapes that the network was read with, half precision as float32."""
    dtypes = [torch.float32 if p.dtype is torch.float16 else p.dtype for p in network.source.inputs]
    return tuple(torch.zeros(tuple(s), dtype=d) for s, d in zip(network.example_shapes, dtypes, strict=True))


def place(network: nn.Module, path: str, module: nn.Module) -> None:
    """Put a module at a path of several names, through plain modules."""
    *parents, name = path.split(".")
    for parent in parents:
        if parent not in network._modules:
            network.add_module(parent, nn.Module())
        network = network._modules[parent]  # type: ignore[assignment]
    network.add_module(name, module)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Outputs of single images as one, along the first axis of size one."""
    sizes = [int.__index__(n) for n in parts[0].shape]
    return torch.cat(list(parts), sizes.index(1) if 1 in sizes else 0)


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else torch.tensor(value)
