"""Control flow that is decided beforehand: the branch of an If with a constant condition, a Loop that runs a known number of
times. Their graphs are put in their nodes' places.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from padless.onnx.files import STANDARD, array_of, name_of, opset_of
from padless.onnx.node import refusal
from padless.onnx.operators.host import BINARY
from padless.onnx.packages import package
from padless.onnx.prepare import constant_array, constants_of
from padless.onnx.weights import Array

TIMES = 64  # of a loop
UNROLLED = 1 << 20  # bytes of nodes that all loops of a file may add
UNARY: dict[str, Callable[[Any], Any]] = {"Identity": lambda n: n, "Not": lambda n: not n}
CASTS = {9: bool, 7: int, 6: int}  # the numbers of ONNX's types
Wanted = Sequence[tuple[str, str]]  # what a graph hands out, and what it is called outside


def decided(file: Path, model: Any) -> None:
    """Take branches and unroll loops, in place; what is decided while it runs stays. Raises UsageError, by node, for a loop
    that runs too often.
    """
    graph = model.graph
    if any(node.op_type in ("If", "Loop") for node in graph.node):
        nodes = _Unrolling(file, model).run()
        del graph.node[:]
        graph.node.extend(nodes)


class _Unrolling:
    """One pass over the nodes; what is put in a node's place is passed over in its turn."""

    def __init__(self, file: Path, model: Any) -> None:
        self.file, self.graph, self.opset = file, model.graph, opset_of(model)
        self.constants: dict[str, Array] = constants_of(file, model.graph)
        self.taken = {name for node in self.graph.node for name in (*node.input, *node.output)}
        self.taken.update(self.constants, (value.name for value in self.graph.input))
        self.left = UNROLLED
        self.turns: dict[int, str] = {}
        self.numbers: Counter[str] = Counter()

    def run(self) -> list[Any]:
        waiting, nodes = list(reversed(self.graph.node)), []
        while waiting:
            node = waiting.pop()
            inside = self._inside(node) if node.domain in STANDARD else None
            if inside is not None:
                waiting.extend(reversed(inside))
                continue
            nodes.append(node)
            if node.domain in STANDARD:
                self._pass_on(node)
        return nodes

    def _inside(self, node: Any) -> list[Any] | None:
        """The nodes in place of this one; None where it stays."""
        if node.op_type == "If" and node.input[0] in self.constants:
            holds = self.constants[node.input[0]].reshape(-1)[:1].any()
            branch = next(a.g for a in node.attribute if a.name == ("then_branch" if holds else "else_branch"))
            names, constants = self._constants(branch)
            wanted = _wanted((value.name for value in branch.output), node.output)
            return [*constants, *self._copied(branch, names, wanted, "")]
        if node.op_type == "Loop":
            body = next(a.g for a in node.attribute if a.name == "body")
            times = self._times(node, body)
            return None if times is None else self._unrolled(node, body, times)
        return None

    def _times(self, node: Any, body: Any) -> int | None:
        """How often a loop runs; None where it decides that itself."""
        count, condition = (*node.input, "", "")[:2]
        if count not in self.constants or self.constants[count].size != 1 or (condition and not self._holds(condition)):
            return None
        inner = body.input[1].name  # it holds in the first turn, and in all that are decided here
        known = {inner, *(tensor.name for tensor in body.initializer if _true(array_of(self.file, tensor)))}
        for each in (node for node in body.node if node.domain in STANDARD):
            passed_on = each.input[0] if each.op_type in ("Identity", "Cast") else ""
            holds = each.op_type == "Constant" and _true(constant_array(self.file, each))
            if holds or passed_on in known or self._holds(passed_on):
                known.update(each.output)
        if body.output[0].name not in known and not self._holds(body.output[0].name):
            return None
        times = int(self.constants[count].item())
        if times > TIMES:
            raise refusal("Loop", name_of(node), f"runs {times} times; up to {TIMES} are unrolled")
        self.left -= max(times, 0) * sum(each.ByteSize() for each in body.node if each.op_type != "Constant")
        if self.left < 0:
            raise refusal("Loop", name_of(node), f"is too long: with it {UNROLLED} bytes of nodes would be unrolled")
        return max(times, 0)

    def _unrolled(self, node: Any, body: Any, times: int) -> list[Any]:
        carried = len(body.input) - 2
        current, handed_out = list(node.input[2:]), [value.name for value in body.output[1:]]
        collected: list[list[str]] = [[] for _ in handed_out[carried:]]
        if not times and any(node.output[carried:]):
            raise refusal("Loop", name_of(node), "collects outputs and runs 0 times")
        names, nodes = self._constants(body)
        names[body.input[1].name] = self._number("goes_on", np.array(True))
        for turn in range(times):
            if turn not in self.turns:
                self.turns[turn] = self._number(f"turn_{turn}", np.array(turn, np.int64))
            inner = {value.name: name for value, name in zip(body.input[2:], current, strict=True)}
            here = {**names, body.input[0].name: self.turns[turn], **inner}
            wanted = _wanted(handed_out, node.output[:carried]) if turn == times - 1 else []
            nodes += self._copied(body, here, wanted, f"_{turn}")
            current = [here.get(name, name) for name in handed_out[:carried]]
            for column, name in zip(collected, handed_out[carried:], strict=True):
                column.append(here.get(name, name))
        if not times:
            nodes += [_identity(name, outer) for name, outer in zip(current, node.output, strict=False) if outer]
        for column, outer in zip(collected, node.output[carried:], strict=False):
            if outer:
                nodes += self._stacked(column, outer)
        return nodes

    def _stacked(self, names: Sequence[str], outer: str) -> list[Any]:
        """Tensors of all turns behind one another, along an axis of their own."""
        make = package("onnx.helper").make_node
        parts = [self._free(f"{outer}_part") for _ in names]
        axes = [self._number(f"{outer}_axes", np.array([0], np.int64))] if self.opset >= 13 else []
        old = {} if axes else {"axes": [0]}
        unsqueezed = [
            make("Unsqueeze", [name, *axes], [part], name=part, **old) for name, part in zip(names, parts, strict=True)
        ]
        return [*unsqueezed, make("Concat", parts, [outer], name=f"{outer}_stacked", axis=0)]

    def _constants(self, graph: Any) -> tuple[dict[str, str], list[Any]]:
        """A graph's constants put outside, once: their names there, and the nodes that hold some."""
        names, nodes = {}, []
        for tensor in graph.initializer:
            names[tensor.name] = self._free(tensor.name)
            self._add(tensor, names[tensor.name])
        for node in graph.node:
            if node.op_type == "Constant" and node.domain in STANDARD:
                names[node.output[0]] = self._free(node.output[0])
                nodes.append(_renamed(node, names, ""))
                self.constants[names[node.output[0]]] = constant_array(self.file, node)
        return names, nodes

    def _copied(self, graph: Any, names: dict[str, str], wanted: Wanted, suffix: str) -> list[Any]:
        """The other nodes of a graph, with names of the outside, which are added to `names`."""
        nodes = [n for n in graph.node if n.op_type != "Constant" or n.domain not in STANDARD]
        made = {name for node in nodes for name in node.output if name}
        for inner, outer in wanted:
            if inner in made:
                names.setdefault(inner, outer)
        for name in [name for node in nodes for name in node.output if name]:
            if name not in names:
                names[name] = self._free(name)
        copies = [_renamed(node, names, suffix) for node in nodes]
        # A graph may hand out what lies outside, or one tensor twice.
        copies += [_identity(names.get(i, i), outer) for i, outer in wanted if names.get(i, i) != outer]
        return copies

    def _pass_on(self, node: Any) -> None:
        """What is worked out from single truth values and whole numbers that are constants is one, too."""
        arrays = [self.constants.get(name) for name in node.input]
        if not arrays or any(a is None or a.size != 1 or a.dtype.kind not in "iub" for a in arrays):
            return
        numbers = [a.item() for a in arrays if a is not None]
        function: Callable[..., Any] | None = BINARY.get(node.op_type) if len(numbers) == 2 else None
        if node.op_type == "Cast":
            function = CASTS.get(next(a.i for a in node.attribute if a.name == "to"))
        elif len(numbers) == 1:
            function = UNARY.get(node.op_type)
        if function and not (node.op_type in ("Div", "Mod") and numbers[1] == 0):
            self.constants[node.output[0]] = np.array(function(*numbers))

    def _holds(self, name: str) -> bool:
        return name in self.constants and _true(self.constants[name])

    def _number(self, name: str, value: Array) -> str:
        """A further constant."""
        free = self._free(name)
        self._add(package("onnx.numpy_helper").from_array(value, free), free)
        return free

    def _add(self, tensor: Any, name: str) -> None:
        new = self.graph.initializer.add()
        new.CopyFrom(tensor)
        new.name = name
        self.constants[name] = array_of(self.file, new)

    def _free(self, name: str) -> str:
        free = name
        while free in self.taken:
            self.numbers[name] += 1
            free = f"{name}_{self.numbers[name]}"
        self.taken.add(free)
        return free


def _wanted(inner: Iterable[str], outer: Iterable[str]) -> Wanted:
    return [(i, o) for i, o in zip(inner, outer, strict=False) if o]


def _true(array: Array) -> bool:
    return array.size == 1 and bool(array.reshape(-1)[0])


def _identity(name: str, outer: str) -> Any:
    return package("onnx.helper").make_node("Identity", [name], [outer], name=f"{outer}_handed_out")


def _renamed(node: Any, names: Mapping[str, str], suffix: str) -> Any:
    """A copy of a node in which tensors have other names, also in the graphs that it holds."""
    copy = package("onnx").NodeProto()
    copy.CopyFrom(node)
    copy.output[:] = [names.get(name, name) for name in copy.output]
    _rename_inputs(copy, names, suffix)
    return copy


def _rename_inputs(node: Any, names: Mapping[str, str], suffix: str) -> None:
    node.name += suffix if node.name else ""
    node.input[:] = [names.get(name, name) for name in node.input]
    for attribute in node.attribute:
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            for each in inner.node:
                _rename_inputs(each, names, suffix)
            for value in inner.output:
                value.name = names.get(value.name, value.name)
