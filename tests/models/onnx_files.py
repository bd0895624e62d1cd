"""Small ONNX files, made by hand or by PyTorch's exporters."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn


def constant(name: str, values: Any, dtype: Any = np.float32) -> Any:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def weights(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def model(
    nodes: Sequence[Any], constants: Mapping[str, Any] | Sequence[Any] = (), *, opset: int = 17,
    inputs: Mapping[str, Sequence[int | str | None]] | None = None, outputs: Sequence[str] = ("y",),
    input_type: int = TensorProto.FLOAT, output_type: int = TensorProto.FLOAT, ir: int = 8,
) -> Any:  # fmt: skip
    """A graph from `x` to `y`; constants by name are float32 arrays, whole ones int64."""
    if isinstance(constants, Mapping):
        arrays = {name: np.asarray(values) for name, values in constants.items()}
        constants = [
            constant(name, a, np.int64 if a.dtype.kind == "i" else a.dtype if a.dtype.kind == "b" else np.float32)
            for name, a in arrays.items()
        ]
    given = [
        helper.make_tensor_value_info(name, input_type, shape)
        for name, shape in (inputs or {"x": (1, 3, 8, 8)}).items()
    ]
    made = [helper.make_tensor_value_info(name, output_type, None) for name in outputs]
    graph = helper.make_graph(list(nodes), "graph", given, made, list(constants))
    made_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    try:
        inferred = {v.name: v for v in onnx.shape_inference.infer_shapes(made_model).graph.output}
    except onnx.shape_inference.InferenceError:  # what only another runtime knows
        inferred = {}
    for output in made_model.graph.output:  # the checker wants to know their ranks
        output.CopyFrom(inferred.get(output.name, output))
        if not output.type.tensor_type.HasField("shape"):
            output.CopyFrom(helper.make_tensor_value_info(output.name, output_type, [None] * 4))
    made_model.ir_version = ir
    return made_model


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> Any:
    """A node called after its first output; `-` stands for an input that is left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(operator, names, outputs.split(), name=f"node_{outputs.split()[0]}", **attributes)


def chain(opset: int = 17, **options: Any) -> Any:
    """Two convolutions with a batch norm between, a pool and a classifier."""
    nodes = [
        node("Conv", "x w1 b1", "c1", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c1 s m mean var", "n1"),
        node("Relu", "n1", "r1"),
        node("Conv", "r1 w2 b2", "c2", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", "c2", "r2"),
        node("GlobalAveragePool", "r2", "p"),
        node("Reshape", "p shape", "f"),
        node("Gemm", "f w3 b3", "y", transB=1),
    ]
    constants = {
        "w1": weights(16, 3, 3, 3), "b1": weights(16), "s": 1 + 0.1 * weights(16), "m": weights(16), "mean": weights(16),
        "var": 1 + 0.1 * weights(16), "w2": weights(24, 16, 3, 3), "b2": weights(24), "shape": [1, 24],
        "w3": weights(5, 24), "b3": weights(5),
    }  # fmt: skip
    return model(nodes, constants, opset=opset, **options)


def saved(proto: Any, folder: Path, name: str = "m.onnx") -> Path:
    file = folder / name
    file.write_bytes(proto.SerializeToString())
    return file


def exported(network: nn.Module, x: Any, file: Path, *, dynamo: bool, opset: int | None = None, **options: Any) -> Path:
    """Written by PyTorch, with either exporter."""
    if dynamo:
        options |= {"external_data": False, "verbose": False}
    arguments = x if isinstance(x, tuple) else (x,)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network.eval(), arguments, str(file), dynamo=dynamo, opset_version=opset, **options)
    return file


def answers(file: Path, *inputs: torch.Tensor) -> list[np.ndarray]:
    """What ONNX Runtime says."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return session.run(None, {v.name: x.numpy() for v, x in zip(session.get_inputs(), inputs, strict=True)})


def difference(a: torch.Tensor | np.ndarray, b: torch.Tensor | np.ndarray) -> float:
    """The largest, over the largest of the first; shapes must be the same."""
    a, b = (np.asarray(t.detach() if isinstance(t, torch.Tensor) else t, np.float64) for t in (a, b))
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / (np.abs(a).max() or 1.0))


def read(file: Path) -> Any:
    return onnx.load(str(file))
