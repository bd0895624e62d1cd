"""Reading an ONNX file from anywhere: what is damaged or hostile is refused before anything is computed or looked up."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from padless.errors import UsageError
from padless.files import digest
from padless.onnx.packages import package

OPSETS = range(9, 24)
STANDARD = ("", "ai.onnx")  # the domain of ONNX's own operators
ELEMENTS = 1 << 33  # of one constant: more is a damaged file
DEEPEST = 8  # graphs within graphs
POSITIVE = ("kernel_shape", "strides", "dilations", "group", "num_groups", "blocksize")


def read(file: Path) -> tuple[Any, str, bool]:
    """The checked model with all of its weights, a digest of the file, and whether its weights lie in a second one.

    Raises UsageError for what is no valid ONNX file of opset 9 to 23, names its first fault, and for weights that lie
    outside its folder. Nothing outside the folder is read.
    """
    onnx = package("onnx")
    if not file.is_file():
        raise UsageError(f"No file at {file}. Give the path of an ONNX file.")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's own class, of one of its three implementations
        raise UsageError(f"{file} is not an ONNX file, or it is cut short: {error}.") from error
    if not model.graph.node or not model.graph.output:
        raise UsageError(f"{file} holds no network: its graph has no nodes or no outputs.")
    version = opset_of(model)
    if version not in OPSETS:
        raise UsageError(
            f"{file} has opset {version or 'none'}; from {OPSETS[0]} to {OPSETS[-1]} are read. Convert it with "
            "onnx.version_converter, or export it anew."
        )
    _check_graph(file, model.graph, 0)
    tensors = list(tensors_of(model.graph))
    outside = [t for t in tensors if t.data_location == onnx.TensorProto.EXTERNAL]
    places = [_place_of(file, tensor) for tensor in outside]
    try:
        onnx.checker.check_model(str(file), full_check=True)
    except Exception as error:  # of many classes, for every fault another
        raise UsageError(f"{file} is not a valid ONNX file: {_first_line(error)}") from error
    for tensor, (path, offset, length) in zip(outside, places, strict=True):
        with path.open("rb") as data:
            data.seek(offset)
            tensor.raw_data = data.read(length)
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    return model, digest(content, *(t.raw_data for t in outside)), bool(outside)


def keeps_weights_outside(file: Path) -> bool:
    """Whether a file's constants lie in others beside it; False for what is no ONNX file, which `read` refuses."""
    onnx = package("onnx")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(file.read_bytes() if file.is_file() else b"")
    except Exception:  # protobuf's own class, of one of its three implementations
        return False
    return any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors_of(model.graph))


def opset_of(model: Any) -> int:
    """The version of the standard operators that a model is written in."""
    return next((int(o.version) for o in model.opset_import if o.domain in STANDARD), 0)


def name_of(node: Any) -> str:
    """What a node is called in messages and paths: its name, or that of its first output."""
    return str(node.name or next((name for name in node.output if name), "without a name"))


def tensors_of(graph: Any) -> Iterator[Any]:
    """Every constant of a graph and of the graphs inside its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from tensors_of(inner)


def array_of(file: Path, tensor: Any) -> Any:
    """A constant's values. Raises UsageError where they are not what the file says."""
    try:
        return package("onnx.numpy_helper").to_array(tensor)
    except Exception as error:  # of many classes
        raise UsageError(f"{file}: the constant {tensor.name!r} cannot be read: {_first_line(error)}") from error


def _check_graph(file: Path, graph: Any, depth: int) -> None:
    """What the official checker does not look at, or fails on."""
    onnx = package("onnx")
    if depth > DEEPEST:
        raise UsageError(f"{file} has graphs within graphs, more than {DEEPEST} deep.")
    if graph.sparse_initializer:
        raise UsageError(f"{file} has sparse constants, which are not read.")
    for tensor in graph.initializer:
        _check_tensor(file, tensor, f"the constant {tensor.name!r}")
    for node in graph.node:
        name = name_of(node)
        for attribute in node.attribute:
            numbers = [attribute.i] if attribute.type == onnx.AttributeProto.INT else list(attribute.ints)
            if attribute.name in POSITIVE and any(not 0 < n < 1 << 31 for n in numbers):
                raise UsageError(f"{file}: {attribute.name} of {node.op_type} (node {name}) is {numbers}.")
            if attribute.HasField("t"):
                _check_tensor(file, attribute.t, f"a constant of the node {name}")
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _check_graph(file, inner, depth + 1)


def _check_tensor(file: Path, tensor: Any, what: str) -> None:
    onnx = package("onnx")
    if tensor.data_type == onnx.TensorProto.STRING:
        raise UsageError(f"{file}: {what} holds strings; expected numbers.")
    count = math.prod(tensor.dims)
    if any(n < 0 for n in tensor.dims) or count > ELEMENTS:
        raise UsageError(f"{file}: {what} has the shape {list(tensor.dims)}.")
    if tensor.data_type not in onnx.TensorProto.DataType.values() or tensor.data_type == 0:
        raise UsageError(f"{file}: {what} has the unknown type {tensor.data_type}.")
    if tensor.HasField("raw_data"):
        expected = count * _item_size(tensor)
        if len(tensor.raw_data) != expected and tensor.data_type not in _packed():
            raise UsageError(
                f"{file}: {what} has the shape {list(tensor.dims)}, which takes {expected} bytes; it has "
                f"{len(tensor.raw_data)}."
            )


def _item_size(tensor: Any) -> int:
    return int(package("onnx.helper").tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _packed() -> set[int]:
    """Types of which several elements share a byte."""
    types = package("onnx").TensorProto.DataType
    return {number for name, number in types.items() if name.endswith("4") or "4E" in name or name.endswith("T2")}


def _place_of(file: Path, tensor: Any) -> tuple[Path, int, int]:
    """The file, offset and length of a constant outside the model; the file must lie in the model's own folder."""
    said = {entry.key: entry.value for entry in tensor.external_data}
    location = said.get("location", "")
    folder = file.parent.resolve()
    path = (folder / location).resolve() if location and "\0" not in location else folder
    if Path(location).is_absolute() or not path.is_relative_to(folder) or path == folder:
        raise UsageError(
            f"{file}: the constant {tensor.name!r} lies at {location!r}, outside the model's folder; it is not read."
        )
    if not path.is_file():
        raise UsageError(f"{file}: the constant {tensor.name!r} should lie in {path.name}, which is not there.")
    expected = math.prod(tensor.dims) * _item_size(tensor)
    try:
        offset, length = int(said.get("offset", 0)), int(said.get("length", expected))
    except ValueError:
        offset, length = -1, -1
    if offset < 0 or length != expected or offset + length > path.stat().st_size:
        raise UsageError(
            f"{file}: the constant {tensor.name!r} of {expected} bytes does not lie in {path.name} at offset "
            f"{said.get('offset', 0)} with length {said.get('length', expected)}."
        )
    return path, offset, length


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
