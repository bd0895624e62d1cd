"""The TFLite form of convolutions, linear layers and the normalisation behind them."""

from typing import Any, NamedTuple

import numpy as np

from padless.graph.recording import Op
from padless.tflite.forms import Pair, convolve, padded, upsample, upsample_in_groups
from padless.tflite.lowered import Floats, Stored, refuse
from padless.tflite.lowering import Lowering, lowers
from padless.tflite.sums import constants_behind
from padless.treat.grid import scales


@lowers("convolution")
def convolution(lowering: Lowering, op: Op) -> None:
    """With the batch norm behind it, what is added to channels, and the clamp merged in. One along a line is one along a row
    of a map."""
    x, weight_ref, bias_ref, stride, padding, dilation, transposed, _, groups = op.args
    weight = lowering.weight(weight_ref)
    places = weight.ndim - 2
    if places > 2:
        raise refuse(op, "is not two-dimensional")
    if places == 1:
        weight = weight[:, :, None]
    sizes = _Sizes(_pair(stride, places, 1), _pair(padding, places, 0), _pair(dilation, places, 1), groups)
    if transposed:
        transposed_convolution(lowering, op, weight, sizes)
        return
    name = lowering.layer_name(op, weight_ref)
    bias = lowering.weight(bias_ref) if bias_ref is not None else np.zeros(len(weight))
    last = op
    if norm := lowering.normalisation_behind(op):
        gain, shift = affine(lowering, norm)
        weight, bias, last = weight * gain[:, None, None, None], bias * gain + shift, norm
    added, last = constants_behind(lowering, last)
    bias = bias + added
    act, value = lowering.activation_behind(last)
    depthwise = groups > 1 and weight.shape[1] == 1
    stored = weight.transpose(1, 2, 3, 0) if depthwise else weight.transpose(0, 2, 3, 1)  # 1HWO or OHWI
    rows, columns = sizes.padding
    pad = lowering.name(f"{op.module or 'network'} pad")
    source = padded(lowering.builder, lowering.map_of(op, x), (rows, rows), (columns, columns), sizes.stride, pad)
    scale = lowering.builder.tensors[source].scale[0]
    filters = lowering.filters(name, stored, bias, 3 if depthwise else 0, scale)
    out = lowering.map_result(op, value, name=name)
    convolve(lowering.builder, [source, *filters], out, sizes.stride, sizes.dilation, act, depthwise)


class _Sizes(NamedTuple):
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int


def _pair(sizes: Any, places: int, missing: int) -> Pair:
    """Rows and columns of a list that may have one entry for both."""
    given = [sizes] if isinstance(sizes, int) else list(sizes)
    return (missing, given[0]) if places == 1 else (given[0], given[-1])


def transposed_convolution(lowering: Lowering, op: Op, weight: Floats, sizes: _Sizes) -> None:
    """TRANSPOSE_CONV. A dilated one has zeros between its weights; one in groups is a convolution of a map with zeros."""
    x, weight_ref, bias_ref, *_ = op.args
    name, groups = lowering.layer_name(op, weight_ref), sizes.groups
    inputs, outputs, *kernel = weight.shape
    bias = lowering.weight(bias_ref) if bias_ref is not None else np.zeros(groups * outputs)
    last = op
    weight = weight.reshape(groups, inputs // groups, outputs, *kernel)
    if norm := lowering.normalisation_behind(op):
        gain, shift = affine(lowering, norm)
        weight = weight * gain.reshape(groups, 1, outputs, 1, 1)
        bias, last = bias * gain + shift, norm
    spread = np.zeros((*weight.shape[:3], *(d * (k - 1) + 1 for d, k in zip(sizes.dilation, kernel, strict=True))))
    spread[..., :: sizes.dilation[0], :: sizes.dilation[1]] = weight
    source = lowering.map_of(op, x)
    scale = lowering.builder.tensors[source].scale[0]
    out = lowering.map_result(op, last.outputs[0], name=name)
    stored = spread[0].transpose(1, 2, 3, 0)  # OHWI
    if groups > 1:
        turned = spread[..., ::-1, ::-1].transpose(0, 2, 3, 4, 1).reshape(groups * outputs, *spread.shape[3:], -1)
        stored = turned.transpose(3, 1, 2, 0) if inputs == groups else turned
    filters = lowering.filters(name, stored, bias, 3 if groups > 1 and inputs == groups else 0, scale)
    form = upsample if groups == 1 else upsample_in_groups
    form(lowering.builder, [source, *filters], out, spread.shape[3:], sizes.stride, sizes.padding)


def affine(lowering: Lowering, norm: Op) -> tuple[Floats, Floats]:
    """Batch norm with statistics of its own as y = gain * x + shift."""
    _, gamma, beta, mean, variance, *_, eps = norm.args
    sigma = np.sqrt(lowering.weight(variance) + eps)
    gain = (lowering.weight(gamma) if gamma is not None else 1.0) / sigma
    return gain, (lowering.weight(beta) if beta is not None else 0.0) - lowering.weight(mean) * gain


def scale_and_shift(lowering: Lowering, op: Op, x: int, gain: Floats, shift: Floats, out: int, act: str) -> None:
    """A gain and a shift for each channel of a map: a depthwise 1x1 convolution."""
    scale = lowering.builder.tensors[x].scale[0]
    filters = lowering.filters(op.module or "norm", gain.reshape(1, 1, 1, -1), shift, 3, scale)
    convolve(lowering.builder, [x, *filters], out, (1, 1), (1, 1), act, True)


@lowers("t")
def transpose(lowering: Lowering, op: Op) -> None:
    """That of an activation: its axes are named otherwise."""
    stored = lowering.stored(op, op.args[0])
    lowering.at[op.outputs[0]] = Stored(stored.tensor, stored.layout.permuted((1, 0)))


@lowers("addmm", "mm")
def linear(lowering: Lowering, op: Op) -> None:
    """A row of columns in any order, such as that of a flattened map: the weight's columns follow it.

    One scale for the whole weight. Two activations are a BATCH_MATMUL.
    """
    *bias_ref, x, weight_ref = op.args
    known = weight_ref.value in lowering.transposed or lowering.known(weight_ref.value) is not None
    if not known:
        product(lowering, op)
        return
    weight, name = lowering.weight(weight_ref), lowering.layer_name(op, weight_ref)
    if weight_ref.value not in lowering.transposed:
        weight = weight.T
    if op.kwargs.get("alpha", 1) != 1 or op.kwargs.get("beta", 1) != 1:
        raise refuse(op, "has factors")
    stored = lowering.stored(op, x)
    layout, (rows, columns) = stored.layout, lowering.shape(x.value)
    last = layout.sequence((1,))
    if layout.width(1) == columns and layout.sequence((0,)) + sorted(last) == sorted(layout.sequence((0, 1))):
        source = lowering.reshaped(op, stored.tensor, (rows, columns))
        sizes = [layout.sizes[a] for a in last]
        weight = weight.reshape(len(weight), *sizes).transpose(0, *(1 + np.argsort(last))).reshape(len(weight), -1)
    else:
        source = lowering.arranged(op, x, (0, 1))
    bias = lowering.weight(bias_ref[0]) if bias_ref else np.zeros(len(weight))
    if bias.size not in (1, len(weight)) or bias.shape[-1:] not in ((1,), (len(weight),), ()):
        raise refuse(op, "adds another number to each row")
    bias = np.broadcast_to(bias.reshape(-1), len(weight))
    act, value = lowering.activation_behind(op)
    filters = lowering.constant(f"{name}.weight", weight, float(scales(weight.reshape(1, -1))[0]))
    scale = lowering.builder.tensors[source].scale[0] * lowering.builder.tensors[filters].scale[0]
    biases = lowering.biases(name, bias, np.array([scale]))
    out = lowering.result(op, value, name=name)
    lowering.builder.operator("FULLY_CONNECTED", [source, filters, biases], [out], FusedActivationFunction=act)


@lowers("bmm", "matmul")
def product(lowering: Lowering, op: Op) -> None:
    """BATCH_MATMUL."""
    if op.name == "aten.addmm":
        raise refuse(op, "adds to a product of activations")
    operands = [lowering.arranged(op, ref, range(len(lowering.shape(ref.value)))) for ref in op.args[:2]]
    lowering.builder.operator("BATCH_MATMUL", operands, [lowering.result(op, op.outputs[0])])
