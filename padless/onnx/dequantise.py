"""A file between QuantizeLinear and DequantizeLinear nodes (QDQ) folded back to floating point.

Weights become what they dequantise to; pairs around activations go. ONNX Runtime's quantiser drops every Relu and Clip whose
bound the quantised range has anyway: a pair that cannot represent anything below zero stands for one, which is put back.
"""

from pathlib import Path
from typing import Any

import numpy as np

from padless.onnx.files import name_of
from padless.onnx.node import refusal
from padless.onnx.packages import package
from padless.onnx.prepare import constants_of, drop_unread
from padless.onnx.weights import Array

SIX = 0.01  # a range that ends so near to 6, as a share of it, was cut off there
NEVER_NEGATIVE = {"Relu", "Sigmoid", "Softmax", "HardSigmoid", "Abs", "Exp", "ReduceL1", "ReduceL2", "Clip"}
KEEPS_SIGN = {
    "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Reshape", "Flatten", "Transpose", "Squeeze",
    "Unsqueeze", "Identity", "Slice", "Split",
}  # fmt: skip
KEEPS_ALL_SIGNS = {"Concat", "Add", "Mul", "Max"}


def dequantised(file: Path, model: Any) -> None:
    """Fold the pairs of a graph, in place. Raises UsageError for a quantised node that is no part of a pair."""
    graph = model.graph
    if not any(node.op_type == "DequantizeLinear" for node in graph.node):
        return
    constants = constants_of(file, graph)
    made = {name: node for node in graph.node for name in node.output}
    never_negative = {value.name for value in graph.input if value.name not in constants}
    outputs = {value.name for value in graph.output}
    alias: dict[str, str] = {}
    folded: dict[str, Array] = {}
    nodes: list[Any] = []
    for node in graph.node:
        node.input[:] = [alias.get(name, name) for name in node.input]
        if node.op_type == "QuantizeLinear" and node.input[0] in constants:
            raise refusal("QuantizeLinear", name_of(node), "quantises a constant")
        if node.op_type != "DequantizeLinear":
            nodes.append(node)
            _note_sign(node, never_negative)
            continue
        before = made.get(node.input[0])
        if node.input[0] in constants:
            folded[node.output[0]] = _weight(node, constants)
            continue
        if before is None or before.op_type != "QuantizeLinear":
            raise refusal("DequantizeLinear", name_of(node), "is not behind a QuantizeLinear or a constant")
        source, result = before.input[0], node.output[0]
        restored = _restored(node, before, constants, source in never_negative)
        if restored is not None:
            restored.input[0] = source
            nodes.append(restored)
            never_negative.add(result)
        elif result in outputs:
            nodes.append(package("onnx.helper").make_node("Identity", [source], [result]))
        else:
            alias[result] = source
    del graph.node[:]
    graph.node.extend(nodes)
    for name, array in folded.items():
        graph.initializer.append(package("onnx.numpy_helper").from_array(array, name))
    _add_bounds(graph)
    del graph.value_info[:]
    drop_unread(graph)


def _note_sign(node: Any, never_negative: set[str]) -> None:
    """Add what a node makes to what is never negative, where that is sure."""
    kind = node.op_type
    sure = (
        (kind in NEVER_NEGATIVE and kind != "Clip")
        or (kind in KEEPS_SIGN and node.input[0] in never_negative)
        or (kind in KEEPS_ALL_SIGNS and all(name in never_negative for name in node.input))
    )
    if sure:
        never_negative.update(node.output)


def _weight(node: Any, constants: dict[str, Array]) -> Array:
    array, scale = constants[node.input[0]], constants.get(node.input[1])
    name = name_of(node)
    zero = constants.get(node.input[2]) if len(node.input) > 2 and node.input[2] else np.int32(0)
    attributes = {a.name: a.i for a in node.attribute}
    if scale is None or zero is None or attributes.get("block_size", 0):
        raise refusal("DequantizeLinear", name, "has scales that are no constants for a tensor or its channels")
    shape = [1] * array.ndim
    if scale.size > 1:
        shape[attributes.get("axis", 1) % array.ndim if array.ndim > 1 else 0] = -1
    factors = scale.astype(np.float64).reshape(shape)
    offsets = np.asarray(zero, np.float64).reshape(shape if np.size(zero) > 1 else [1] * array.ndim)
    values: Array = ((array.astype(np.float64) - offsets) * factors).astype(scale.dtype)
    return values.reshape(array.shape)


def _restored(node: Any, before: Any, constants: dict[str, Array], never_negative: bool) -> Any:
    """The Relu, or Clip from 0 to 6, that a pair stands for; None where it stands for none."""
    name = name_of(node)
    if before.input[1] not in constants:
        raise refusal("QuantizeLinear", name_of(before), "has a scale that is no constant")
    scale = constants[before.input[1]]
    zero = constants.get(before.input[2], np.uint8(0)) if len(before.input) > 2 else np.uint8(0)
    bounds = np.iinfo(np.asarray(zero).dtype)
    if np.size(zero) != 1 or int(np.asarray(zero).reshape(())) != bounds.min:
        return None
    top = float(scale.reshape(-1)[0]) * (bounds.max - bounds.min)
    helper = package("onnx.helper")
    if abs(top - 6) <= 6 * SIX:
        return helper.make_node("Clip", ["", "padless_0", "padless_6"], [node.output[0]], name=f"{name}_clip")
    return None if never_negative else helper.make_node("Relu", [""], [node.output[0]], name=f"{name}_relu")


def _add_bounds(graph: Any) -> None:
    """The constants of the Clips that were put back."""
    for value in (0, 6):
        name = f"padless_{value}"
        if any(name in node.input for node in graph.node):
            tensor = package("onnx.numpy_helper").from_array(np.array(value, np.float32), name)
            graph.initializer.append(tensor)
