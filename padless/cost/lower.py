"""A recorded network as INT8 TFLite, so that an NPU's compiler can say what it costs.

Weights are the model's own: batch norm folded in, symmetric INT8 with a scale a filter, since compilers entropy-code
them and their values change the cycles. Activation ranges are not measured: every activation has the same nominal scale,
with zero at the bottom of the range behind a ReLU. The file is for costing, not for running a trained network.

Padding is written out as PAD, as PyTorch means it; Vela merges it into the convolution (same cycles as SAME).
"""

from typing import Any

import numpy as np
from torch import nn

from padless.cost import lower_rules  # noqa: F401  (registers the rules)
from padless.cost.lowering import NO_ACTIVATION, SCALE, Lowered, Lowering, Unlowered, convolve
from padless.cost.tflite import Tensor, TFLiteBuilder
from padless.graph import Graph, Layer

__all__ = ["Lowered", "Unlowered", "lower", "lower_layer"]


def lower(graph: Graph, model: nn.Module) -> Lowered:
    """The recorded network as a TFLite file, with the weights of `model`, which must have the structure of `graph`.

    Raises Unlowered, naming the operator and its module, where an
    operator has no rule.
    """
    return Lowering(graph, model).network()


def lower_layer(layer: Layer) -> bytes:
    """A network of this layer alone, without padding, with seeded random weights."""
    rng = np.random.default_rng(0)
    builder = TFLiteBuilder()

    def tensor(name: str, shape: tuple[int, ...], **more: Any) -> int:
        return builder.tensor(Tensor(name=name, shape=shape, **more))

    if layer.kind == "linear":
        x = tensor("input", (layer.in_hw[0], layer.c_in), scale=(SCALE,))
        shape, axis = (layer.c_out, layer.c_in), 0
        out = tensor("layer", (layer.in_hw[0], layer.c_out), scale=(SCALE,))
    else:
        rows, columns = (
            (o - 1) * s + d * (k - 1) + 1
            for o, s, d, k in zip(layer.out_hw, layer.stride, layer.dilation, layer.kernel, strict=True)
        )
        x = tensor("input", (1, rows, columns, layer.c_in), scale=(SCALE,))
        depthwise = layer.kind == "depthwise"
        shape = (1, *layer.kernel, layer.c_out) if depthwise else (layer.c_out, *layer.kernel, layer.c_in // layer.groups)
        axis = 3 if depthwise else 0
        out = tensor("layer", (1, *layer.out_hw, layer.c_out), scale=(SCALE,))
    scales = (0.01,) * (layer.c_out if layer.kind != "linear" else 1)
    data = np.clip(np.round(rng.normal(0, 30, shape)), -127, 127).astype(np.int8)
    biases = rng.integers(-500, 500, layer.c_out).astype(np.int32)
    weight = tensor("weight", shape, scale=scales, axis=axis, data=data)
    bias = tensor("bias", (layer.c_out,), dtype="INT32", scale=tuple(s * SCALE for s in scales), data=biases)
    if layer.kind == "linear":
        builder.operator("FULLY_CONNECTED", [x, weight, bias], [out])
    else:
        convolve(builder, [x, weight, bias], out, layer.stride, layer.dilation, NO_ACTIVATION, depthwise)
    return builder.build([x], [out], "main")
