"""The TFLite form of convolutions, linear layers and the normalisation behind them."""

import numpy as np

from padless.graph.record import Op
from padless.tflite.forms import convolve, grows_plainly, padded, upsample
from padless.tflite.layout import Layout
from padless.tflite.lowering import MAP, Floats, Lowering, Stored, lowers, refuse


@lowers("convolution")
def convolution(net: Lowering, op: Op) -> None:
    """With the batch norm and the clamp behind it merged in."""
    x, weight_ref, bias_ref, stride, padding, dilation, transposed, *_ = op.args
    if len(stride) != 2:
        raise refuse(op, "is not two-dimensional")
    if transposed:
        transposed_convolution(net, op)
        return
    weight, layer = net.weight(weight_ref), net.layer_of(weight_ref)
    bias = net.weight(bias_ref) if bias_ref is not None else np.zeros(len(weight))
    last = op
    if norm := net.normalisation_behind(op):
        gain, shift = affine(net, norm)
        weight, bias, last = weight * gain[:, None, None, None], bias * gain + shift, norm
    act, value = net.activation_behind(last)
    depthwise = layer.kind == "depthwise"
    stored = weight.transpose(1, 2, 3, 0) if depthwise else weight.transpose(0, 2, 3, 1)  # 1HWO or OHWI
    rows, columns = padding
    name = net.name(f"{op.module or 'network'} pad")
    source = padded(net.builder, net.arranged(op, x, MAP), (rows, rows), (columns, columns), tuple(stride), name)
    scale = net.builder.tensors[source].scale[0]
    filters = net.filters(layer.name, stored, bias, 3 if depthwise else 0, scale)
    out = net.result(op, value, name=layer.name)
    convolve(net.builder, [source, *filters], out, tuple(stride), tuple(dilation), act, depthwise)


def transposed_convolution(net: Lowering, op: Op) -> None:
    x, weight_ref, bias_ref, stride, padding, dilation, _, _, groups = op.args
    weight, layer = net.weight(weight_ref), net.layer_of(weight_ref)  # [inputs, outputs, rows, columns]
    if groups != 1 or tuple(dilation) != (1, 1):
        raise refuse(op, "is transposed and in groups, or dilated")
    if not grows_plainly(layer.in_hw, layer.out_hw, layer.kernel, layer.stride, tuple(padding)):
        raise refuse(op, f"is transposed and makes {layer.out_hw} of {layer.in_hw}")
    bias = net.weight(bias_ref) if bias_ref is not None else np.zeros(weight.shape[1])
    last = op
    if norm := net.normalisation_behind(op):
        gain, shift = affine(net, norm)
        weight, bias, last = weight * gain[None, :, None, None], bias * gain + shift, norm
    source = net.arranged(op, x, MAP)
    filters = net.filters(layer.name, weight.transpose(1, 2, 3, 0), bias, 0, net.builder.tensors[source].scale[0])
    out = net.result(op, last.outputs[0], name=layer.name)
    upsample(net.builder, [source, *filters], out, layer.kernel, tuple(stride), tuple(padding))


def affine(net: Lowering, norm: Op) -> tuple[Floats, Floats]:
    """Batch norm as y = gain * x + shift."""
    _, gamma, beta, mean, variance, *_, eps = norm.args
    sigma = np.sqrt(net.weight(variance) + eps)
    gain = (net.weight(gamma) if gamma is not None else 1.0) / sigma
    return gain, (net.weight(beta) if beta is not None else 0.0) - net.weight(mean) * gain


@lowers("native_batch_norm")
def batch_norm(net: Lowering, op: Op) -> None:
    """One that stands before its convolution is a depthwise 1x1 convolution, with the clamp behind it merged in."""
    shape = net.shape(op.outputs[0])
    if len(shape) not in (2, 4):
        raise refuse(op, "is not over a feature map or rows")
    gain, shift = affine(net, op)
    act, value = net.activation_behind(op)
    if len(shape) == 4:
        x = net.arranged(op, op.args[0], MAP)
        out = net.result(op, value)
    else:
        layout = Layout((1, 1, *shape), ((2,), (3,)))
        x = net.reshaped(op, net.arranged(op, op.args[0], (0, 1)), layout.sizes)
        out = net.result_as(op, value, layout, layout.sizes)
    scale_and_shift(net, op, x, gain, shift, out, act)


def scale_and_shift(net: Lowering, op: Op, x: int, gain: Floats, shift: Floats, out: int, act: str) -> None:
    """A gain and a shift for each channel of a map: a depthwise 1x1 convolution."""
    scale = net.builder.tensors[x].scale[0]
    filters = net.filters(op.module or "norm", gain.reshape(1, 1, 1, -1), shift, 3, scale)
    convolve(net.builder, [x, *filters], out, (1, 1), (1, 1), act, True)


@lowers("t")
def transpose_weight(net: Lowering, op: Op) -> None:
    """A weight's transposition is the next operation's business."""
    ref = op.args[0]
    if net.computed(ref):
        net.at[op.outputs[0]] = Stored(net.at[ref.value].tensor, net.at[ref.value].layout.permuted((1, 0)))
    else:
        net.transposed[op.outputs[0]] = ref.value


@lowers("addmm", "mm")
def linear(net: Lowering, op: Op) -> None:
    """A row of columns in any order, such as that of a flattened map: the weight's columns follow it.

    One scale for the whole weight.
    """
    *bias_ref, x, weight_ref = op.args
    if weight_ref.value not in net.transposed:
        raise refuse(op, "multiplies by something else than a layer's weight")
    weight, layer = net.weight(weight_ref), net.layer_of(weight_ref)
    stored = net.stored(op, x)
    layout, (rows, columns) = stored.layout, net.shape(x.value)
    last = layout.sequence((1,))
    if layout.width(1) == columns and layout.sequence((0,)) + sorted(last) == sorted(layout.sequence((0, 1))):
        source = net.reshaped(op, stored.tensor, (rows, columns))
        sizes = [layout.sizes[a] for a in last]
        weight = weight.reshape(len(weight), *sizes).transpose(0, *(1 + np.argsort(last))).reshape(len(weight), -1)
    else:
        source = net.arranged(op, x, (0, 1))
    bias = net.weight(bias_ref[0]) if bias_ref else np.zeros(len(weight))
    act, value = net.activation_behind(op)
    filters = net.constant(f"{layer.name}.weight", weight)
    scale = net.builder.tensors[source].scale[0] * net.builder.tensors[filters].scale[0]
    biases = net.biases(layer.name, bias, np.array([scale]))
    out = net.result(op, value, name=layer.name)
    net.builder.operator("FULLY_CONNECTED", [source, filters, biases], [out], FusedActivationFunction=act)
