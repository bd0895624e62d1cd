"""A recorded network as TFLite. One lowering, three writers:

- `nominal`, INT8 so that an NPU's compiler can say what it costs. Weights are the model's own: batch norm folded in,
  symmetric with a scale a filter, since compilers entropy-code them and their values change the cycles. Activation ranges
  are not measured: every activation has the same nominal scale and zero point, so that concatenations and pools need no
  requantisation. (A zero point at the bottom of the range behind a ReLU, as a quantiser would choose, gives the same
  cycles.)
- `float32`, which computes what the model computes.
- `calibrated`, INT8 (or INT16 activations) with the ranges that were seen: the file that is flashed.

A convolution's padding is written out as PAD, as PyTorch means it; Vela merges it into the convolution, at the cycles
of SAME. It does not merge that of pools, which are SAME only where that has the same windows (see `pooling.windows`).
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from padless.graph import Graph, LayerShape
from padless.graph.structure import TreatedShape
from padless.tflite import (  # noqa: F401  (they register their rules)
    activations,
    elementwise,
    layers,
    moving,
    normalising,
    pooling,
    rearranging,
    reducing,
)
from padless.tflite.file import Tensor, TFLiteBuilder
from padless.tflite.forms import convolve, padded, upsample, upsample_in_groups
from padless.tflite.layout import Layout
from padless.tflite.lowered import Lowered, Port, Unlowered, explaining
from padless.tflite.lowering import NO_ACTIVATION, SCALE, Lowering
from padless.tflite.writers import float32, nominal
from padless.treat.grid import FEWEST, LARGEST
from padless.treat.treatment import Treatment

__all__ = ["Lowered", "Port", "Unlowered", "float32", "lower", "lower_layer", "nominal"]


def lower(graph: Graph, model: nn.Module, *, whole: bool = False) -> Lowered:
    """The recorded network as tensors and operators of TFLite. `model` has the structure of `graph` and gives the weights.

    With `whole` each output's axes lie whole, in an order that can be told. Raises Unlowered, naming the operator and its
    module, where an operator has no exact form, or where a rule fails.
    """
    with explaining("the network could not be lowered"):
        return Lowering(graph, model).network(whole=whole)


@cache
def _random() -> npt.NDArray[np.int8]:
    """Weights as a trained layer has them, roughly: a million of them, repeated where a layer has more."""
    return np.clip(np.round(np.random.default_rng(0).normal(0, 30, 2**20)), -127, 127).astype(np.int8)


def _treated(weights: npt.NDArray[np.int8], treatment: Treatment) -> tuple[npt.NDArray[np.int8], tuple[float, ...]]:
    """The codes of weights [filters, ..., channels] once they are treated, and their scales, as a file has them."""
    channels_first = torch.from_numpy(weights.astype(np.float32)).movedim(-1, 1)
    treated = treatment.nearest(channels_first).movedim(1, -1)
    rows = treated.reshape(1 if weights.ndim == 2 else len(treated), -1)
    steps = treatment.step(rows)
    if steps is None:
        return treated.numpy().astype(np.int8), (0.01,) * len(rows)
    largest = rows.abs().amax(1, keepdim=True).clamp_min(1.0)
    steps = torch.where(rows.count_nonzero(1)[:, None] < FEWEST, largest / LARGEST, steps)
    codes = (rows / steps).round().reshape(treated.shape)
    return codes.numpy().astype(np.int8), tuple((0.01 * steps[:, 0].double()).tolist())


def lower_layer(layer: LayerShape) -> bytes:
    """A network of this layer alone, with seeded random weights (zeros would compress to nothing), treated where it says so.

    Its padding is what its sizes imply. Raises Unlowered for a layer that has no form, such as one of three
    dimensions.
    """
    with explaining(f"{layer} could not be lowered"):
        return _alone(layer)


def _alone(layer: LayerShape) -> bytes:
    if layer.three_dimensional:
        raise Unlowered(f"it is three-dimensional ({layer}), and Ethos-U computes maps of rows and columns")
    builder = TFLiteBuilder()

    def tensor(name: str, shape: tuple[int, ...], **fields: Any) -> int:
        return builder.tensor(Tensor(name=name, shape=shape, **fields))

    depthwise, axis = layer.kind == "depthwise", 0
    kernel = layer.kernel
    if layer.transposed:  # a dilated one has zeros between its weights
        kernel = (layer.dilation[0] * (kernel[0] - 1) + 1, layer.dilation[1] * (kernel[1] - 1) + 1)
    shape: tuple[int, ...] = (layer.c_out, *kernel, layer.c_in // layer.groups)
    if layer.kind == "linear":
        x = tensor("input", (layer.in_hw[0], layer.c_in), scale=(SCALE,))
        shape = (layer.c_out, layer.c_in)
        out = tensor("layer", (layer.in_hw[0], layer.c_out), scale=(SCALE,))
    else:
        x = tensor("input", (1, *layer.in_hw, layer.c_in), scale=(SCALE,))
        out = tensor("layer", (1, *layer.out_hw, layer.c_out), scale=(SCALE,))
        if depthwise:
            shape, axis = (1, *kernel, layer.c_out), 3
    scales = (0.01,) * (layer.c_out if layer.kind != "linear" else 1)
    data = np.resize(_random(), shape)
    if isinstance(layer, TreatedShape):
        data, scales = _treated(data, Treatment.parse(layer.treatment))
    biases = 4 * np.resize(_random(), layer.c_out).astype(np.int32)
    weight = tensor("weight", shape, scale=scales, axis=axis, data=data)
    bias = tensor("bias", (layer.c_out,), dtype="INT32", scale=tuple(s * SCALE for s in scales), data=biases)
    if layer.kind == "linear":
        builder.operator("FULLY_CONNECTED", [x, weight, bias], [out])
    elif layer.transposed:
        sizes = zip(layer.in_hw, layer.out_hw, kernel, layer.stride, strict=True)
        above, left = (max(0, (i - 1) * s + k - o) // 2 for i, o, k, s in sizes)
        form = upsample if layer.groups == 1 else upsample_in_groups
        form(builder, [x, weight, bias], out, kernel, layer.stride, (above, left))
    else:
        rows, columns = layer.implied_padding
        source = padded(builder, x, rows, columns, layer.stride, "padded")
        convolve(builder, [source, weight, bias], out, layer.stride, layer.dilation, NO_ACTIVATION, depthwise)

    def port(index: int) -> Port:
        stored = builder.tensors[index]
        return Port(name=stored.name, shape=stored.shape, tensor=index, layout=Layout.of(stored.shape))

    return nominal(Lowered(builder=builder, inputs=(port(x),), outputs=(port(out),)))
