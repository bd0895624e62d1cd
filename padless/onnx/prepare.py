"""A graph made ready to be read: cut off at tensors, nodes without readers dropped, operators known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from padless.errors import UsageError, suggest
from padless.onnx.files import STANDARD, array_of, name_of
from padless.onnx.node import refusal
from padless.onnx.operators import OPERATORS
from padless.onnx.packages import package

QUANTISED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")


def cut_off(file: Path, model: Any, until: str | Sequence[str]) -> None:
    """Make the named tensors the outputs, in place. Raises UsageError for a name that no node makes."""
    names = [until] if isinstance(until, str) else list(until)
    helper, graph = package("onnx.helper"), model.graph
    made = [name for node in graph.node for name in node.output if name]
    for name in names:
        if name not in made:
            raise UsageError(f"{file} has no tensor {name!r} to cut off at. {suggest(name, made)}".rstrip())
    inferred = package("onnx.shape_inference").infer_shapes(model).graph
    known = {v.name: v for v in (*inferred.value_info, *inferred.output, *graph.output)}
    float_type = package("onnx").TensorProto.FLOAT
    outputs = [known.get(name) or helper.make_tensor_value_info(name, float_type, None) for name in names]
    del graph.output[:]
    graph.output.extend(outputs)
    drop_unread(graph)


def drop_unread(graph: Any) -> None:
    """Take out nodes and constants that no output needs."""
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if any(name in needed for name in node.output):
            kept.append(node)
            needed.update(node.input)
            needed.update(_outer_names(node))
    if len(kept) == len(graph.node) and all(t.name in needed for t in graph.initializer):
        return
    kept.reverse()
    copies = [_copied(node) for node in kept]
    constants = [_copied(tensor) for tensor in graph.initializer if tensor.name in needed]
    dropped = {t.name for t in graph.initializer} - needed
    inputs = [_copied(value) for value in graph.input if value.name not in dropped]
    for field, new in ((graph.node, copies), (graph.initializer, constants), (graph.input, inputs)):
        del field[:]
        field.extend(new)


def _copied(message: Any) -> Any:
    new = type(message)()
    new.CopyFrom(message)
    return new


def _outer_names(node: Any) -> set[str]:
    names: set[str] = set()
    for attribute in node.attribute:
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            names.update(output.name for output in inner.output)
            for each in inner.node:
                names.update(each.input, _outer_names(each))
    return names


def constants_of(file: Path, graph: Any) -> dict[str, Any]:
    """The arrays of initialisers and Constant nodes, by name. Raises UsageError for strings and sparse ones."""
    arrays = {tensor.name: array_of(file, tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.domain in STANDARD:
            arrays[node.output[0]] = constant_array(file, node)
    return arrays


def constant_array(file: Path, node: Any) -> Any:
    """What a Constant node holds."""
    numpy = package("numpy")
    attribute = node.attribute[0]
    if attribute.name == "value":
        return array_of(file, attribute.t)
    if attribute.name in ("value_int", "value_ints"):
        return numpy.asarray(package("onnx.helper").get_attribute_value(attribute), numpy.int64)
    if attribute.name in ("value_float", "value_floats"):
        return numpy.asarray(package("onnx.helper").get_attribute_value(attribute), numpy.float32)
    raise refusal("Constant", name_of(node), f"holds a {attribute.name}")


def check_operators(graph: Any) -> None:
    """Raises UsageError for the first node that has no form, by operator and node."""
    for node in graph.node:
        name = name_of(node)
        if node.op_type in QUANTISED or node.op_type.startswith("QLinear"):
            raise UsageError(
                f"The network is quantised already: {node.op_type} (node {name}). Prune the float model, then quantise. "
                "A file between QuantizeLinear and DequantizeLinear nodes can be folded back with --dequantise "
                "(dequantise=True in Python)."
            )
        if node.domain not in STANDARD:
            raise refusal(node.op_type, name, f"is of the domain {node.domain}, which only its own runtime knows")
        if node.op_type in ("If", "Loop", "Scan"):
            raise refusal(node.op_type, name, "decides while it runs what is computed")
        if node.op_type not in OPERATORS and node.op_type != "Constant":
            raise refusal(node.op_type, name, "has no form here")
