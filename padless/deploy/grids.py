"""The grids of treated weights in QDQ files: ONNX Runtime's quantiser knows the largest weight alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from padless.onnx.packages import package
from padless.treat.grid import scales

QUANTISED = "_quantized"  # what the quantiser puts behind the name of an initializer


def keep_grids(source: Path, file: Path) -> int:
    """Give the filters in a QDQ `file` that lie on a grid of few levels its step as their scale; how many layers have some.

    `source` is the float file that it was made of, from which weights and biases are rounded again. Everything else stays.
    """
    onnx = package("onnx", "Exporting to ONNX")
    arrays = onnx.numpy_helper
    floats = {t.name: t for t in onnx.load(str(source)).graph.initializer}
    model = onnx.load(str(file))
    stored = {t.name: t for t in model.graph.initializer}

    def put(name: str, array: np.ndarray) -> None:
        stored[name].CopyFrom(arrays.from_array(np.ascontiguousarray(array), name))

    changed = 0
    for weight, bias, axis in _layers(model.graph, stored):
        name = weight.input[0].removesuffix(QUANTISED)
        old = arrays.to_array(stored[weight.input[1]]).astype(np.float64)
        if name not in floats or old.ndim != 1 or weight.input[1] == (bias.input[1] if bias else ""):
            continue
        values = np.moveaxis(arrays.to_array(floats[name]).astype(np.float64), axis, 0)
        new = scales(values.reshape(len(values), -1))
        if len(new) != len(old) or np.allclose(new, old, rtol=1e-3):
            continue
        new = np.where(np.isclose(new, old, rtol=1e-3), old, new)
        codes = np.rint(values / new.reshape(-1, *(1,) * (values.ndim - 1))).clip(-127, 127)
        put(weight.input[0], np.moveaxis(codes, 0, axis).astype(np.int8))
        put(weight.input[1], new.astype(np.float32))
        if bias is not None:
            step = arrays.to_array(stored[bias.input[1]]).astype(np.float64) * new / old
            whole = arrays.to_array(floats[bias.input[0].removesuffix(QUANTISED)]).astype(np.float64)
            put(bias.input[0], np.rint(whole / step).clip(-(2.0**31), 2.0**31 - 1).astype(np.int32))
            put(bias.input[1], step.astype(np.float32))
        changed += 1
    if changed:
        file.write_bytes(model.SerializeToString())
    return changed


def _layers(graph: Any, stored: dict[str, Any]) -> Iterator[tuple[Any, Any, int]]:
    """The nodes that give a convolution its weights and its bias (None), where they alone read them; the axis of filters."""
    makers = {name: node for node in graph.node for name in node.output}
    uses: dict[str, int] = {}
    for node in graph.node:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        parts = [makers.get(name) for name in node.input[1:3]]
        own = [
            part is not None
            and part.op_type == "DequantizeLinear"
            and part.input[0] in stored
            and uses[part.input[0]] == 1
            for part in parts
        ]
        if own and all(own):
            yield parts[0], parts[1] if len(parts) > 1 else None, 0
