"""Latency on this CPU: each layer as an INT8 ONNX network, timed by ONNX Runtime in nanoseconds.

Layers take turns, so that whatever disturbs the machine disturbs all of them alike, and the median of the turns counts.
"""

import os
import platform
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from padless.cost.cycles import Answer, Source
from padless.cost.oracle import Oracle
from padless.errors import OracleError, UsageError, missing_extra
from padless.graph import LayerShape
from padless.hardware import Target

WARM_UP, TURNS = 3, 21
TOGETHER = 32  # layers that take turns
OPSET = 19


class OnnxRuntime(Oracle):
    """One thread on this processor. Raises UsageError where the package is missing or an argument is given."""

    def __init__(self, target: Target, argument: str = "") -> None:
        if argument:
            raise UsageError(f"The oracle onnxruntime takes no argument; got {argument!r}.")
        try:
            import onnx  # noqa: F401
            import onnxruntime
        except ModuleNotFoundError as error:
            raise missing_extra("onnxruntime", "onnx", "Measuring latency") from error
        self.source = Source(
            oracle="ONNX Runtime",
            version=onnxruntime.__version__,
            device=_processor(),
            system=f"one thread, median of {TURNS}",
            unit="ns",
        )
        self.key = str(self.source)

    def __call__(self, shapes: Sequence[LayerShape]) -> Iterator[Answer]:
        for start in range(0, len(shapes), TOGETHER):
            for nanoseconds in _measure(shapes[start : start + TOGETHER]):
                yield Answer(source=self.source, total=nanoseconds, npu=nanoseconds)


def _measure(shapes: Sequence[LayerShape]) -> list[int]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    sessions = []
    for shape in shapes:
        try:
            session = onnxruntime.InferenceSession(_network(shape), options, providers=["CPUExecutionProvider"])
            rng = np.random.default_rng(0)
            given = {i.name: rng.integers(0, 255, i.shape, dtype=np.uint8) for i in session.get_inputs()}
            session.run(None, given)
        except OracleError:
            raise
        except Exception as error:  # its exceptions share no base class of their own
            raise OracleError(f"ONNX Runtime cannot run {shape}: {error}") from error
        sessions.append((session, given))
    times: list[list[int]] = [[] for _ in shapes]
    for turn in range(WARM_UP + TURNS):
        for (session, given), taken in zip(sessions, times, strict=True):
            started = time.perf_counter_ns()
            session.run(None, given)
            if turn >= WARM_UP:
                taken.append(time.perf_counter_ns() - started)
    return [round(median(taken)) for taken in times]


def _network(shape: LayerShape) -> bytes:
    """QLinearConv (a linear layer is one of 1x1), with random weights and the padding that the sizes imply."""
    from onnx import TensorProto, helper, numpy_helper

    if shape.transposed:
        raise OracleError(f"ONNX has no quantised form of {shape}.")
    if shape.three_dimensional:
        raise OracleError(f"Only layers of two dimensions are timed, not {shape}.")
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 127, (shape.c_out, shape.c_in // shape.groups, *shape.kernel), dtype=np.int8)
    (above, below), (left, right) = shape.implied_padding
    constants: dict[str, object] = {
        "x_scale": np.float32(0.05), "x_zero": np.uint8(128), "w": weight,
        "w_scale": np.full(shape.c_out, 0.01, np.float32), "w_zero": np.zeros(shape.c_out, np.int8),
        "y_scale": np.float32(0.1), "y_zero": np.uint8(128), "bias": np.zeros(shape.c_out, np.int32),
    }  # fmt: skip
    convolution = helper.make_node(
        "QLinearConv", ["x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero", "bias"], ["y"],
        kernel_shape=shape.kernel, strides=shape.stride, dilations=shape.dilation, group=shape.groups,
        pads=[above, left, below, right],
    )  # fmt: skip
    graph = helper.make_graph(
        [convolution], "layer",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, (1, shape.c_in, *shape.in_hw))],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, (1, shape.c_out, *shape.out_hw))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    return bytes(model.SerializeToString())


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or os.name
