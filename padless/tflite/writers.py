"""Two files of a lowered network: with nominal ranges, for costing, and in floating point, as the reference.

The third, INT8 with ranges that were seen, is `padless.tflite.calibrated`.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from padless.tflite.file import Data, Tensor, TFLiteBuilder
from padless.tflite.lowered import Lowered, explaining

LIMITS = {"INT8": (-128, 127), "INT16": (-32768, 32767), "INT32": (-(2**31), 2**31 - 1), "INT64": (-(2**62), 2**62)}


@explaining("the file could not be written")
def nominal(lowered: Lowered) -> bytes:
    """INT8 on the scales that the lowering has chosen: every activation on the same one, whatever it holds."""
    tensors = [t if is_whole(t.data) else replace(t, data=rounded(t)) for t in lowered.builder.tensors]
    builder = TFLiteBuilder(tensors, lowered.builder.operators)
    return builder.build([p.tensor for p in lowered.inputs], [p.tensor for p in lowered.outputs], "main")


@explaining("the file could not be written")
def float32(lowered: Lowered) -> bytes:
    """Activations and constants as FLOAT32. What a border holds that is below every number is the lowest one."""
    tensors = [t if t.dtype == "INT32" and is_whole(t.data) else _float(t) for t in lowered.builder.tensors]
    builder = TFLiteBuilder(tensors, lowered.builder.operators)
    inputs, outputs = [p.tensor for p in lowered.inputs], [p.tensor for p in lowered.outputs]
    names = [p.name for p in lowered.inputs], [p.name for p in lowered.outputs]
    return builder.build(inputs, outputs, "main", signature=names)


def is_whole(data: Data | None) -> bool:
    """Whether data are stored as they are; activations have none."""
    return data is None or data.dtype.kind != "f"


def rounded(tensor: Tensor) -> npt.NDArray[np.generic]:
    """A constant's real values as its type, scale and zero point store them."""
    assert tensor.data is not None
    scale = np.asarray(tensor.scale, float)
    if len(tensor.scale) > 1 or tensor.dtype in ("INT32", "INT64"):
        scale = scale.reshape([-1 if a == tensor.axis else 1 for a in range(tensor.data.ndim)])
    stored = np.round(tensor.data / scale) + tensor.zero_point
    kept = np.clip(stored, *LIMITS[tensor.dtype])
    return np.ascontiguousarray(kept).astype(tensor.dtype.lower())


def _float(tensor: Tensor) -> Tensor:
    data = tensor.data
    if data is not None:
        data = np.maximum(data, np.finfo(np.float32).min).astype(np.float32)
    return replace(tensor, dtype="FLOAT32", scale=(), zero_point=0, axis=0, data=data)
