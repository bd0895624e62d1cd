"""One pass through a graph without values: every node must run, and numbers worked out from shapes become nodes' own.

Tensors are fake: they have shapes and no memory, so that a file that asks for terabytes is refused like any other.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from padless.errors import PadlessError
from padless.graph.shadow import rebuilt
from padless.onnx.network import Counted, OnnxNet, Step
from padless.onnx.node import Input, Node
from padless.onnx.operators.table import is_host, listed, plain
from padless.onnx.weights import Array

ELEMENTS = 1 << 28  # of a tensor on the way: a gigabyte, far beyond what any NPU holds
HOISTED = ("Slice", "Split")
Number = int | list[int]
Seen = dict[tuple[str, int], Number]  # of a module, by which of its given inputs


def examined(network: OnnxNet, shapes: Sequence[Sequence[int]]) -> OnnxNet:
    """The network, with what its graph works out from shapes for Slice and Split as those nodes' own numbers.

    Raises UsageError, by operator and node, where a node does not run on inputs of these shapes.
    """
    network.example_shapes = [list(shape) for shape in shapes]
    first = _Pass(network, shapes)
    first.run(_explaining)
    _complete(network, first.outputs)
    for path in first.batched:
        module = network.get_submodule(path)
        assert isinstance(module, Node)
        module.batched = True
    for path, positions in first.positions.items():
        network.get_submodule(path).register_buffer("indices", torch.from_numpy(positions))
    same = dict(first.numbers)
    for others in _other_shapes(network, shapes):
        again = _Pass(network, others)
        try:
            again.run(_silent)
        except Exception:  # the graph insists on the shapes that it was exported with
            continue
        same = {key: number for key, number in same.items() if again.numbers.get(key) == number}
    if same:
        _hoist(network, same)
    network.whole = _takes_batches(network, shapes, first.outputs)
    return network


def _complete(network: OnnxNet, shapes: Sequence[tuple[int, ...]]) -> None:
    """Give outputs that the network was cut off at, and whose shapes nobody inferred, the shapes that they have."""
    for output, shape in zip(network.source.proto.graph.output, shapes, strict=True):
        tensor = output.type.tensor_type
        if not tensor.HasField("shape"):
            for size in shape:
                tensor.shape.dim.add().dim_value = size


class _Pass:
    """One pass, and what it saw."""

    def __init__(self, network: OnnxNet, shapes: Sequence[Sequence[int]]) -> None:
        self.network, self.shapes = network, shapes
        self.batch = shapes[0][0] if shapes and shapes[0] else 0
        self.numbers: Seen = {}
        self.batched: list[str] = []
        self.positions: dict[str, Array] = {}
        self.backwards = {  # positions that count from the end
            name.removesuffix(".indices"): tensor.numpy()
            for name, tensor in network.named_buffers()
            if name.endswith(".indices") and bool((tensor < 0).any())
        }
        self.outputs: list[tuple[int, ...]] = []
        self.step: Step | None = None

    def run(self, guard: Callable[["_Pass", Callable[[], Any]], Any]) -> None:
        with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
            shadow = rebuilt(
                self.network, lambda _, t: mode.from_tensor(t) if t.is_floating_point() else t
            )  # fmt: skip
            assert isinstance(shadow, OnnxNet)
            inputs = [
                torch.empty(tuple(shape), dtype=port.dtype)
                for port, shape in zip(self.network.source.inputs, self.shapes, strict=True)
            ]
            self.shadow = shadow
            with _silenced():
                result = guard(self, lambda: shadow.run(inputs, self.watch))
        self.outputs = [tuple(t.shape) for t in (result if isinstance(result, tuple) else (result,))]

    def watch(self, step: Step, node: Node, given: Sequence[Any], result: Any) -> None:
        for value in result if isinstance(result, tuple) else (result,):
            if isinstance(value, Tensor) and value.numel() > ELEMENTS:
                raise node.refused(f"makes a tensor of the shape {list(value.shape)}")
        if not given or not isinstance(given[0], Tensor):
            return
        if node.operator in HOISTED:
            for i, value in enumerate(given[1:], 1):
                if is_host(value) and value is not None:
                    self.numbers[step.path, i] = [plain(n) for n in listed(value)]
        elif node.operator == "Reshape":
            sizes = [plain(n) for n in listed(given[1] if len(given) > 1 else getattr(node, "shape", []))]
            if sizes and given[0].ndim and sizes[0] == given[0].shape[0] == self.batch:
                self.batched.append(step.path)
        elif step.path in self.backwards:
            counted, size = self.backwards[step.path], given[0].shape[node.get("axis", 0)]
            self.positions[step.path] = np.where(counted < 0, counted + size, counted)


@contextmanager
def _silenced() -> Iterator[None]:
    """Torch logs what fails on fake tensors; it is said in our own words."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _explaining(seen: _Pass, run: Callable[[], Any]) -> Any:
    """Run; what fails is said to be of the node that it failed in."""
    running: list[Node] = []
    for step in seen.network.source.steps:
        module = seen.shadow.get_submodule(step.path)
        module.register_forward_pre_hook(lambda node, _: running.append(node))
    try:
        return run()
    except PadlessError:
        raise
    except Exception as error:  # of any class: whatever torch says to what the file asks for
        if not running:
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise running[-1].refused(f"does not run: {reason}") from error


def _silent(_seen: _Pass, run: Callable[[], Any]) -> Any:
    return run()


def _other_shapes(network: OnnxNet, shapes: Sequence[Sequence[int]]) -> list[list[list[int]]]:
    """Inputs with another size of every axis that the file leaves open: the batch, and the others."""
    changed: list[list[list[int]]] = []
    for batch in (True, False):
        other = [
            [
                n if isinstance(named, int) or (axis == 0) != batch else n + 1 if axis == 0 else 2 * n
                for axis, (n, named) in enumerate(zip(shape, port.shape or [None] * len(shape), strict=True))
            ]
            for shape, port in zip(shapes, network.source.inputs, strict=True)
        ]
        if other != [list(shape) for shape in shapes]:
            changed.append(other)
    return changed


def _hoist(network: OnnxNet, numbers: Mapping[tuple[str, int], Number]) -> None:
    """Numbers that the graph works out become the reader's own."""
    graph = network.source.proto.graph
    places: dict[tuple[str, ...], int] = {}
    counted, steps = list(network.source.counted), []
    for step in network.source.steps:
        chosen = [i for path, i in numbers if path == step.path]
        if not chosen:
            steps.append(step)
            continue
        module = network.get_submodule(step.path)
        assert isinstance(module, Node)
        if not places:
            places = {tuple(node.output): index for index, node in enumerate(graph.node)}
        inputs, given, own = list(module.about.inputs), [], -1
        for position, each in enumerate(module.about.inputs):
            if each.kind != "given":
                continue
            own += 1
            name = step.given[own]
            if own not in chosen:
                given.append(name)
                continue
            role = module.about.read_by.input(position)
            value = numbers[step.path, own]
            if role in module.about.read_by.constant:
                given.append(name)
                continue
            setattr(module, role, value)
            inputs[position] = Input("own", role)
            counted.append(
                Counted(
                    path=step.path, attribute=role, node=places[step.made], input=position, name=name, worked_out=True
                )
            )  # fmt: skip
        module.about = replace(module.about, inputs=tuple(inputs))
        steps.append(replace(step, given=tuple(given)))
    network.source = replace(network.source, steps=_read(steps, network), counted=tuple(counted))


def _read(steps: Sequence[Step], network: OnnxNet) -> tuple[Step, ...]:
    """The steps that something still reads, each with what it is the last to read."""
    needed = {port.name for port in network.source.outputs}
    outputs = set(needed)
    kept: list[Step] = []
    for step in reversed(steps):
        if not any(name in needed for name in step.made):
            continue
        drops = {name for name in (*step.given, *step.made) if name not in needed} - outputs
        kept.append(replace(step, drops=tuple(sorted(drops))))
        needed.update(step.given)
    return tuple(reversed(kept))


def _takes_batches(network: OnnxNet, shapes: Sequence[Sequence[int]], single: Sequence[tuple[int, ...]]) -> bool:
    """Whether a network of single images gives twice as many of everything for a batch of two; others are not asked."""
    if not all(shape and shape[0] == 1 for shape in shapes):
        return True
    doubled = _Pass(network, [[2 * shape[0], *shape[1:]] for shape in shapes])
    try:
        doubled.run(_silent)
    except Exception:  # of any class: it was exported for one size
        return False
    return all(_doubled_once(a, b) for a, b in zip(doubled.outputs, single, strict=True))


def _doubled_once(shape: tuple[int, ...], single: tuple[int, ...]) -> bool:
    """Whether one axis is twice as long and the others are the same."""
    if len(shape) != len(single):
        return False
    changed = [(a, b) for a, b in zip(shape, single, strict=True) if a != b]
    return len(changed) == 1 and changed[0][0] == 2 * changed[0][1]
