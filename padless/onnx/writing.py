"""A cut network written back into the graph that it was read from: the same nodes, names, opset and metadata."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from padless.errors import PadlessError
from padless.graph.agreement import agreed, finite_run
from padless.onnx.network import OnnxNet, Source, example_inputs
from padless.onnx.packages import package
from padless.onnx.prepare import constant_array, drop_unread
from padless.onnx.runtime import run_onnx
from padless.onnx.weights import Array

SMALLEST_OUTSIDE = 1024  # bytes: smaller constants stay in the file that names the others' place
LARGEST_INSIDE = 2_000_000_000  # bytes of weights: one file holds less than 1 << 31


def data_file(file: Path) -> Path:
    """Where the weights of a file lie that has them outside."""
    return file.with_name(f"{file.name}.data")


def write_back(network: OnnxNet, file: Path, example: Sequence[Tensor] | None = None, *, seed: int = 0) -> float:
    """Write `network`, whose widths and weights may have changed, into its own graph, and return how far they lie apart.

    Nodes, names, opset, types, open axes, metadata and doc strings stay; weights lie outside the file, or are of half
    precision, as they were found. The file passes the official checker in full and runs in ONNX Runtime on inputs shaped as
    `example` (by default as the network was read with), where it must equal the network to 1e-3 of its largest output (2e-2
    in half precision; where that output is nearly zero, to ten times float32's own rounding). Raises PadlessError where it
    does not; then no file is left.
    """
    source = network.source
    try:
        write_graph(network, file)
        x, expected = finite_run(network, tuple(example_inputs(network) if example is None else example), seed)
        columns = [[tensor.to(port.dtype).numpy()] for port, tensor in zip(source.inputs, x, strict=True)]
        answers = [torch.from_numpy(column[0]) for column in run_onnx(file, columns, "")]
        half = package("onnx").TensorProto.FLOAT16 in {t.data_type for t in source.proto.graph.initializer}
        return agreed(network, x, expected, answers, file, torch.float16 if half else torch.float32)
    except BaseException:
        file.unlink(missing_ok=True)
        data_file(file).unlink(missing_ok=True)
        raise


def write_graph(network: OnnxNet, file: Path) -> None:
    """Write the network into its own graph, checked by ONNX's own checker and not yet run."""
    model = _rewritten(network)
    file.write_bytes(_finished(network.source, model, file))
    _check(network.source, file)


def _rewritten(network: OnnxNet) -> Any:
    """The graph with the network's constants and numbers."""
    source = network.source
    model = package("onnx").ModelProto()
    model.CopyFrom(source.proto)
    constants = _Constants(source, model)
    tensors = {**dict(network.named_parameters(remove_duplicate=False)), **dict(network.named_buffers())}
    for held in source.held:
        own = f"{held.path}."
        parts = {
            name.removeprefix(own): t.detach().cpu().numpy() for name, t in tensors.items() if name.startswith(own)
        }
        constants.put(held.origin, held.node, held.input, held.codec.join(parts))
    for counted in source.counted:
        value = getattr(network.get_submodule(counted.path), counted.attribute)
        array = value.cpu().numpy() if isinstance(value, Tensor) else np.asarray(_plain(value), np.int64)
        if counted.input is None:
            _set_attribute(model.graph.node[counted.node], counted.name, array)
        elif counted.worked_out:
            constants.add(f"{counted.name}_padless", counted.node, counted.input, array.reshape(-1))
        else:
            constants.put(counted.name, counted.node, counted.input, array)
    constants.write()
    drop_unread(model.graph)
    return model


def _plain(value: Any) -> Any:
    return [int(n) for n in value] if isinstance(value, list | tuple) else int(value)


class _Constants:
    """The constants of a graph, each with what its readers want of it now."""

    def __init__(self, source: Source, model: Any) -> None:
        self.file, self.graph = source.file, model.graph
        self.initializers = {tensor.name: tensor for tensor in self.graph.initializer}
        self.nodes = {node.output[0]: node for node in self.graph.node if node.op_type == "Constant"}
        self.wanted: dict[str, list[tuple[int, int, Array]]] = defaultdict(list)
        self.names = {name for node in self.graph.node for name in (*node.input, *node.output)}
        self.names.update(self.initializers)

    def put(self, name: str, node: int, position: int, array: Array) -> None:
        """A reader's array, which replaces the constant where all readers agree."""
        old = self._current(name)
        self.wanted[name].append((node, position, array.astype(old.dtype).reshape(_shape(array, old))))

    def add(self, name: str, node: int, position: int, array: Array) -> None:
        """A constant of one reader's own."""
        while name in self.names:
            name += "_"
        self.names.add(name)
        self.graph.initializer.append(package("onnx.numpy_helper").from_array(np.ascontiguousarray(array), name))
        self.graph.node[node].input[position] = name

    def write(self) -> None:
        readers = Counter(name for node in self.graph.node for name in node.input)
        for name, rows in self.wanted.items():
            old = self._current(name)
            if all(_same(array, old) for _, _, array in rows):
                continue
            first = rows[0][2]
            direct = sum(self.graph.node[node].input[position] == name for node, position, _ in rows)
            passed = len(rows) - direct  # through Identity nodes, which read it for them
            alone = readers[name] == direct or passed > 0
            if all(_same(array, first) for _, _, array in rows) and alone:
                self._replace(name, first)
                continue
            for node, position, array in rows:
                if not _same(array, old):
                    self.add(f"{name}_padless", node, position, array)

    def _current(self, name: str) -> Array:
        if name in self.initializers:
            array: Array = package("onnx.numpy_helper").to_array(self.initializers[name])
            return array
        constant: Array = constant_array(self.file, self.nodes[name])
        return constant

    def _replace(self, name: str, array: Array) -> None:
        helper = package("onnx.numpy_helper")
        if name not in self.initializers:
            node = self.nodes[name]
            attribute = package("onnx.helper").make_attribute("value", helper.from_array(array, name))
            node.attribute[0].CopyFrom(attribute)
            return
        tensor = self.initializers[name]
        about = tensor.doc_string
        tensor.CopyFrom(helper.from_array(array, name))
        tensor.doc_string = about
        for value in self.graph.input:  # files of before 2019 name their constants among the inputs
            if value.name == name:
                for dim, size in zip(value.type.tensor_type.shape.dim, array.shape, strict=True):
                    dim.dim_value = size


def _shape(array: Array, old: Array) -> tuple[int, ...]:
    """A module keeps numbers in a list or alone; the file has them with the axes it had."""
    return array.shape if array.ndim == old.ndim else tuple([1] * old.ndim) if array.size == 1 else array.shape


def _same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool((a == b).all())


def _set_attribute(node: Any, name: str, array: Array) -> None:
    attribute = next(a for a in node.attribute if a.name == name)
    if array.ndim:
        attribute.ints[:] = array.tolist()
    else:
        attribute.i = int(array)


def _finished(source: Source, model: Any, file: Path) -> bytes:
    """The file's bytes, with shapes inferred anew where it had them, and weights outside where they were or are large."""
    onnx = package("onnx")
    if source.external or sum(len(t.raw_data) for t in model.graph.initializer) > LARGEST_INSIDE:
        outside = package("onnx.external_data_helper")
        outside.convert_model_to_external_data(
            model, all_tensors_to_one_file=True, location=data_file(file).name, size_threshold=SMALLEST_OUTSIDE
        )
        data_file(file).unlink(missing_ok=True)
        outside.write_external_data_tensors(model, str(file.parent))
    had = len(model.graph.value_info) > 0
    del model.graph.value_info[:]
    if had:
        inferred = onnx.shape_inference.infer_shapes(model)
        constants = {tensor.name for tensor in model.graph.initializer}
        model.graph.value_info.extend(v for v in inferred.graph.value_info if v.name not in constants)
    content: bytes = model.SerializeToString()
    return content


def _check(source: Source, file: Path) -> None:
    try:
        package("onnx").checker.check_model(str(file), full_check=True)
    except Exception as error:  # of many classes
        line = str(error).strip().splitlines()[0]
        raise PadlessError(
            f"The cut {source.file.name} does not pass ONNX's checker, so it is not written: {line}"
        ) from error
