"""From a prepared graph to modules: where each input of each node comes from, and what each module holds."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from padless.errors import UsageError
from padless.onnx.files import array_of, name_of, opset_of
from padless.onnx.network import Counted, Held, OnnxNet, Port, Source, Step
from padless.onnx.node import About, Input, Node, refusal
from padless.onnx.operators import OPERATORS
from padless.onnx.operators.arithmetic import TYPES
from padless.onnx.operators.table import Operator
from padless.onnx.packages import package
from padless.onnx.prepare import constants_of
from padless.onnx.weights import NAMES, Array, Codec, Gates, Transposed, Whole

LISTED = 4096  # whole numbers that a module stores one by one; more are a tensor
STATISTICS = ("running_mean", "running_var")


class Builder:
    """Builds the modules of one graph, in the order of its nodes."""

    def __init__(self, file: Path, model: Any) -> None:
        self.file, self.model, self.graph = file, model, model.graph
        self.opset = opset_of(model)
        self.constants: dict[str, Array] = constants_of(file, model.graph)
        self.passed_on = self._constants_passed_on()
        self.readers = Counter(name for node in self.graph.node for name in node.input)
        self.readers.update(value.name for value in self.graph.output)
        self.on_host: set[str] = set()
        # A weight of several readers is one parameter. Vectors are not: exporters write equal ones of other layers once.
        self.shared: dict[str, nn.Parameter] = {}
        self.modules: dict[str, Node] = {}
        self.parents: set[str] = set()  # plain modules that lead to others
        self.repeated: Counter[str] = Counter()
        self.held: list[Held] = []
        self.counted: list[Counted] = []

    def network(self, digest: str, external: bool) -> OnnxNet:
        steps = []
        for index, node in enumerate(self.graph.node):
            if node.op_type != "Constant" and node.output[0] not in self.passed_on:
                steps.append(self._step(index, node))
        source = Source(
            file=self.file,
            digest=digest,
            proto=self.model,
            external=external,
            inputs=self._ports([v for v in self.graph.input if v.name not in self.constants], "input"),
            outputs=self._ports(self.graph.output, "output"),
            steps=_with_drops(steps, {value.name for value in self.graph.output}),
            held=tuple(self.held),
            counted=tuple(self.counted),
        )
        for port in source.outputs:
            if port.name in self.constants:
                raise UsageError(f"{self.file}: the output {port.name!r} is a constant.")
        return OnnxNet(source, self.modules)

    def _constants_passed_on(self) -> dict[str, str]:
        """What Identity nodes make of constants, which exporters keep once where several are equal."""
        outputs = {value.name for value in self.graph.output}
        passed_on: dict[str, str] = {}
        for node in self.graph.node:
            if node.op_type == "Identity" and node.input[0] in self.constants and node.output[0] not in outputs:
                passed_on[node.output[0]] = passed_on.get(node.input[0], node.input[0])
                self.constants[node.output[0]] = self.constants[node.input[0]]
        return passed_on

    def _step(self, index: int, node: Any) -> Step:
        helper = package("onnx.helper")
        read_by = OPERATORS[node.op_type]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
        attributes = {k: [p.decode() if isinstance(p, bytes) else p for p in v] if isinstance(v, list) else v
                      for k, v in attributes.items()}  # fmt: skip
        path = self._path(node)
        fill: float | int = 0.0
        if "value" in attributes and node.op_type == "ConstantOfShape":
            values = array_of(self.file, attributes.pop("value"))
            if values.size != 1:
                raise refusal(node.op_type, name_of(node), f"is given {values.size} values; expected one")
            fill = values.item()
        module = Node(
            About(
                operator=node.op_type, name=name_of(node), opset=self.opset, attributes=attributes,
                outputs=len(node.output), inputs=(), read_by=read_by, fill=fill,
            )
        )  # fmt: skip
        self.modules[path] = module
        for name, stored in read_by.stored:
            if name in attributes or name == "group":
                number = attributes.get(name, 1)
                setattr(module, stored, [int(n) for n in number] if isinstance(number, list) else int(number))
                if name in attributes:
                    self.counted.append(Counted(path=path, attribute=stored, node=index, input=None, name=name))
        inputs = [self._input(index, node, position, path, module, read_by) for position in range(len(node.input))]
        module.about = About(
            operator=module.operator, name=module.about.name, opset=self.opset, attributes=attributes,
            outputs=len(node.output), inputs=tuple(inputs), read_by=read_by, fill=fill,
        )  # fmt: skip
        given = tuple(name for name, each in zip(node.input, inputs, strict=True) if each.kind == "given")
        if (read_by.on_host and self._works_on_numbers(node, inputs, module)) or node.op_type in ("Shape", "Size"):
            self.on_host.update(node.output)
        for name in node.output[read_by.outputs :]:
            if node.op_type != "Split" and self.readers[name]:
                raise module.refused(f"has a further output {name}, which is not computed")
        return Step(path=path, given=given, made=tuple(node.output), drops=())

    def _works_on_numbers(self, node: Any, inputs: list[Input], module: Node) -> bool:
        """Whether every input is known beside the tensors."""
        return all(
            name in self.on_host
            or each.kind in ("value", "absent")
            or (each.kind == "own" and not isinstance(getattr(module, each.held), torch.Tensor))
            for name, each in zip(node.input, inputs, strict=True)
        )

    def _path(self, node: Any) -> str:
        """The node's name as a module's path: dots lead through plain modules."""
        parts = [part or "_" for part in name_of(node).split(".")]
        whole = "_".join(parts)
        while True:
            path, above = ".".join(parts), [".".join(parts[:i]) for i in range(1, len(parts))]
            taken = path in self.modules or path in self.parents or any(parent in self.modules for parent in above)
            if not taken and not any(hasattr(OnnxNet, part) or hasattr(nn.Module(), part) for part in parts):
                self.parents.update(above)
                return path
            self.repeated[whole] += 1
            parts = [f"{whole}_{self.repeated[whole] if self.repeated[whole] > 1 else ''}"]

    def _input(self, index: int, node: Any, position: int, path: str, module: Node, read_by: Operator) -> Input:
        name = node.input[position]
        if not name:
            return Input("absent")
        if name not in self.constants:
            return Input("given")
        array = self.constants[name]
        role = read_by.input(position)
        if array.dtype.kind not in "fiub":
            raise module.refused(f"reads {name!r}, whose type {array.dtype} has no form")
        if role in read_by.constant:
            return Input("value", array.tolist())
        if array.dtype.kind == "f":
            return self._floats(index, node, position, name, array, role, path, module, read_by)
        return self._numbers(index, node, position, name, array, role, path, module, read_by)

    def _floats(
        self,
        index: int,
        node: Any,
        position: int,
        name: str,
        array: Array,
        role: str,
        path: str,
        module: Node,
        read_by: Operator,
    ) -> Input:
        array = array.astype(np.float32) if array.dtype == np.float16 else array
        if array.ndim == 0 or (role == "exponent" and array.size == 1):
            return Input("value", array.reshape(-1)[0].item())
        if array.ndim == 1 and read_by.on_host and any(other in self.on_host for other in node.input):
            return Input("value", array.tolist())  # factors of sizes
        codec: Codec = Whole(role)
        alone = self.readers[name] == 1 and name not in self.passed_on
        if role == "weight" and node.op_type in ("MatMul", "Gemm") and array.ndim == 2 and alone:
            if node.op_type == "MatMul" or not module.get("transB", 0):
                codec = Transposed(role)
                module.transposed = True
        elif node.op_type in ("LSTM", "GRU", "RNN") and role in NAMES:
            codec = Gates(node.op_type, role)
            module.has_bias = module.has_bias or role == "bias"
        self.held.append(
            Held(name=name, path=path, codec=codec, node=index, input=position, origin=self.passed_on.get(name, name))
        )
        for part, values in codec.split(array).items():
            tensor = torch.from_numpy(np.array(values))
            if part in STATISTICS:
                module.register_buffer(part, tensor)
            elif isinstance(codec, Whole) and array.ndim > 1:
                origin = self.passed_on.get(name, name)
                module.register_parameter(part, self.shared.setdefault(origin, nn.Parameter(tensor)))
            else:
                module.register_parameter(part, nn.Parameter(tensor))
        return Input("value") if isinstance(codec, Gates) else Input("own", role)

    def _numbers(
        self, index: int, node: Any, position: int, name: str, array: Array, role: str, path: str, module: Node,
        read_by: Operator,
    ) -> Input:  # fmt: skip
        positions = role in read_by.positions and array.ndim and node.input[0] not in self.on_host
        positions = positions and self.constants.get(node.input[0], np.zeros(0)).dtype.kind == "f"
        if array.dtype == bool or array.ndim > 1 or array.size > LISTED or positions:
            module.register_buffer(role, torch.from_numpy(np.array(array)))
        else:
            numbers = array.reshape(-1).tolist()
            setattr(module, role, numbers if array.ndim else numbers[0])
        self.counted.append(Counted(path=path, attribute=role, node=index, input=position, name=name))
        return Input("own", role)

    def _ports(self, values: Any, kind: str) -> tuple[Port, ...]:
        ports = []
        for value in values:
            if not value.type.HasField("tensor_type"):
                raise UsageError(f"{self.file}: the {kind} {value.name!r} is no tensor.")
            tensor = value.type.tensor_type
            dtype = TYPES.get(tensor.elem_type)
            if dtype is None:
                known = package("onnx").TensorProto.DataType.Name(tensor.elem_type)
                raise UsageError(f"{self.file}: the {kind} {value.name!r} is of the type {known}, which has no form.")
            dims = [d.dim_value if d.dim_value > 0 else d.dim_param or None for d in tensor.shape.dim]
            ports.append(Port(name=value.name, dtype=dtype, shape=tuple(dims) if tensor.HasField("shape") else None))
        return tuple(ports)


def _with_drops(steps: list[Step], outputs: set[str]) -> tuple[Step, ...]:
    """The steps with what each is the last to read."""
    last: dict[str, int] = {}
    for i, step in enumerate(steps):
        for name in (*step.made, *step.given):
            last[name] = i
    drops: dict[int, list[str]] = {}
    for name, i in last.items():
        if name not in outputs:
            drops.setdefault(i, []).append(name)
    return tuple(
        Step(path=s.path, given=s.given, made=s.made, drops=tuple(drops.get(i, ()))) for i, s in enumerate(steps)
    )
