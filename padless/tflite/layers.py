"""The TFLite form of convolutions, linear layers and the normalisation behind them."""

import numpy as np

from padless.graph.record import Op
from padless.tflite.forms import convolve, grows_plainly, padded, upsample
from padless.tflite.layout import Layout
from padless.tflite.lowering import MAP, Floats, Lowering, Stored, lowers, refuse


@lowers("convolution")
def convolution(lowering: Lowering, op: Op) -> None:
    """With the batch norm and the clamp behind it merged in."""
    x, weight_ref, bias_ref, stride, padding, dilation, transposed, *_ = op.args
    if len(stride) != 2:
        raise refuse(op, "is not two-dimensional")
    if transposed:
        transposed_convolution(lowering, op)
        return
    weight, layer = lowering.weight(weight_ref), lowering.layer_of(weight_ref)
    bias = lowering.weight(bias_ref) if bias_ref is not None else np.zeros(len(weight))
    last = op
    if norm := lowering.normalisation_behind(op):
        gain, shift = affine(lowering, norm)
        weight, bias, last = weight * gain[:, None, None, None], bias * gain + shift, norm
    act, value = lowering.activation_behind(last)
    depthwise = layer.kind == "depthwise"
    stored = weight.transpose(1, 2, 3, 0) if depthwise else weight.transpose(0, 2, 3, 1)  # 1HWO or OHWI
    rows, columns = padding if len(padding) == 2 else padding * 2  # that of padding="valid" is one number
    name = lowering.name(f"{op.module or 'network'} pad")
    source = padded(
        lowering.builder, lowering.arranged(op, x, MAP), (rows, rows), (columns, columns), tuple(stride), name
    )
    scale = lowering.builder.tensors[source].scale[0]
    filters = lowering.filters(layer.name, stored, bias, 3 if depthwise else 0, scale)
    out = lowering.result(op, value, name=layer.name)
    convolve(lowering.builder, [source, *filters], out, tuple(stride), tuple(dilation), act, depthwise)


def transposed_convolution(lowering: Lowering, op: Op) -> None:
    x, weight_ref, bias_ref, stride, padding, dilation, _, _, groups = op.args
    weight, layer = lowering.weight(weight_ref), lowering.layer_of(weight_ref)  # [inputs, outputs, rows, columns]
    if groups != 1 or tuple(dilation) != (1, 1):
        raise refuse(op, "is transposed and in groups, or dilated")
    if not grows_plainly(layer.in_hw, layer.out_hw, layer.kernel, layer.stride, tuple(padding)):
        raise refuse(op, f"is transposed and makes {layer.out_hw} of {layer.in_hw}")
    bias = lowering.weight(bias_ref) if bias_ref is not None else np.zeros(weight.shape[1])
    last = op
    if norm := lowering.normalisation_behind(op):
        gain, shift = affine(lowering, norm)
        weight, bias, last = weight * gain[None, :, None, None], bias * gain + shift, norm
    source = lowering.arranged(op, x, MAP)
    filters = lowering.filters(
        layer.name, weight.transpose(1, 2, 3, 0), bias, 0, lowering.builder.tensors[source].scale[0]
    )
    out = lowering.result(op, last.outputs[0], name=layer.name)
    upsample(lowering.builder, [source, *filters], out, layer.kernel, tuple(stride), tuple(padding))


def affine(lowering: Lowering, norm: Op) -> tuple[Floats, Floats]:
    """Batch norm as y = gain * x + shift."""
    _, gamma, beta, mean, variance, *_, eps = norm.args
    sigma = np.sqrt(lowering.weight(variance) + eps)
    gain = (lowering.weight(gamma) if gamma is not None else 1.0) / sigma
    return gain, (lowering.weight(beta) if beta is not None else 0.0) - lowering.weight(mean) * gain


@lowers("native_batch_norm")
def batch_norm(lowering: Lowering, op: Op) -> None:
    """One that stands before its convolution is a depthwise 1x1 convolution, with the clamp behind it merged in."""
    shape = lowering.shape(op.outputs[0])
    if len(shape) not in (2, 4):
        raise refuse(op, "is not over a feature map or rows")
    gain, shift = affine(lowering, op)
    act, value = lowering.activation_behind(op)
    if len(shape) == 4:
        x = lowering.arranged(op, op.args[0], MAP)
        out = lowering.result(op, value)
    else:
        layout = Layout((1, 1, *shape), ((2,), (3,)))
        x = lowering.reshaped(op, lowering.arranged(op, op.args[0], (0, 1)), layout.sizes)
        out = lowering.result_as(op, value, layout, layout.sizes)
    scale_and_shift(lowering, op, x, gain, shift, out, act)


def scale_and_shift(lowering: Lowering, op: Op, x: int, gain: Floats, shift: Floats, out: int, act: str) -> None:
    """A gain and a shift for each channel of a map: a depthwise 1x1 convolution."""
    scale = lowering.builder.tensors[x].scale[0]
    filters = lowering.filters(op.module or "norm", gain.reshape(1, 1, 1, -1), shift, 3, scale)
    convolve(lowering.builder, [x, *filters], out, (1, 1), (1, 1), act, True)


@lowers("t")
def transpose_weight(lowering: Lowering, op: Op) -> None:
    """A weight's transposition is the next operation's business."""
    ref = op.args[0]
    if lowering.computed(ref):
        lowering.at[op.outputs[0]] = Stored(
            lowering.at[ref.value].tensor, lowering.at[ref.value].layout.permuted((1, 0))
        )
    else:
        lowering.transposed[op.outputs[0]] = ref.value


@lowers("addmm", "mm")
def linear(lowering: Lowering, op: Op) -> None:
    """A row of columns in any order, such as that of a flattened map: the weight's columns follow it.

    One scale for the whole weight.
    """
    *bias_ref, x, weight_ref = op.args
    if weight_ref.value not in lowering.transposed:
        raise refuse(op, "multiplies by something else than a layer's weight")
    weight, layer = lowering.weight(weight_ref), lowering.layer_of(weight_ref)
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
    act, value = lowering.activation_behind(op)
    filters = lowering.constant(f"{layer.name}.weight", weight)
    scale = lowering.builder.tensors[source].scale[0] * lowering.builder.tensors[filters].scale[0]
    biases = lowering.biases(layer.name, bias, np.array([scale]))
    out = lowering.result(op, value, name=layer.name)
    lowering.builder.operator("FULLY_CONNECTED", [source, filters, biases], [out], FusedActivationFunction=act)
