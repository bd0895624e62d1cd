"""Recurrent layers: their inputs are cut, what they remember stays."""

from padless.graph.channels import MODEL, Call, ChannelIds, Channels
from padless.graph.recording import Op, Ref
from padless.graph.rules.registry import argument, rule


@rule("lstm", "gru", "rnn_tanh", "rnn_relu")
def recurrent(op: Op, channels: Channels) -> None:
    """A whole layer, all its steps. The last axis of its input is cut, with the columns of its first weights; states stay.

    It may have several layers, both directions, projections, and a packed input. Every weight counts as a linear layer.
    """
    packed = op.function._overloadname == "data"
    x, weights = op.args[0], argument(op, "params")
    directions = 1 + argument(op, "bidirectional")
    each = len(weights) // (argument(op, "num_layers") * directions)
    rows = channels.shape(x)[0] if packed else channels.shape(x)[0] * channels.shape(x)[1]
    inputs = _inputs(op, channels, x, [weights[i * each] for i in range(directions)])
    for start in range(0, len(weights), each):
        first = start < directions * each
        _count(op, channels, weights[start], inputs if first else None, rows)
        for weight in weights[start + 1 : start + each]:
            if len(channels.shape(weight)) == 2:
                _count(op, channels, weight, None, rows)


@rule("lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
def cell(op: Op, channels: Channels) -> None:
    """One step of a recurrent layer: its input is cut, with the columns of its first weight; states stay."""
    x, own, remembered = op.args[0], argument(op, "w_ih"), argument(op, "w_hh")
    inputs = _inputs(op, channels, x, [own])
    rows = channels.shape(x)[0]
    _count(op, channels, own, inputs, rows)
    _count(op, channels, remembered, None, rows)


def _inputs(op: Op, channels: Channels, x: Ref, weights: list[Ref]) -> ChannelIds | None:
    """The ids of the input's last axis, which are those of the weights' columns; all else that is read stays."""
    axes = dict(channels.of(x))
    inputs = axes.pop(len(channels.shape(x)) - 1, None)
    for ids in axes.values():
        channels.pin(ids, f"{op.name} runs along them")
    for value in op.inputs():
        if value != x.value and channels.recording.values[value].origin not in MODEL:
            channels.pin_value(value, f"{op.name} remembers them")
    if inputs is None:
        return None
    if any(channels.recording.values[w.value].origin != "parameter" for w in weights):
        channels.pin(inputs, f"{op.name} has a weight that is no parameter")
        return None
    for weight in weights:
        channels.belong(weight, 1, inputs, "")
        channels.masked.append((weight.value, 1, inputs))
    return inputs


def _count(op: Op, channels: Channels, weight: Ref, inputs: ChannelIds | None, rows: int) -> None:
    """A weight as the linear layer that it is."""
    c_out, c_in = channels.shape(weight)
    value = channels.weights.get(weight.value, weight.value)
    channels.calls.append(Call(op=op, weight=value, inputs=inputs, outputs=None, c_in=c_in, c_out=c_out, rows=rows))


@rule("_pack_padded_sequence")
def pack(op: Op, channels: Channels) -> None:
    """The steps of sequences of several lengths, one after the other; channels on axes behind them pass."""
    for axis, ids in channels.of(op.args[0]).items():
        if axis < 2:
            channels.pin(ids, f"{op.name} runs along them")
    channels.place(op.outputs[0], {axis - 1: ids for axis, ids in channels.of(op.args[0]).items() if axis >= 2})


@rule("_pad_packed_sequence")
def unpack(op: Op, channels: Channels) -> None:
    """The reverse of `_pack_padded_sequence`."""
    for axis, ids in channels.of(op.args[0]).items():
        if axis == 0:
            channels.pin(ids, f"{op.name} runs along them")
    channels.place(op.outputs[0], {axis + 1: ids for axis, ids in channels.of(op.args[0]).items() if axis >= 1})
