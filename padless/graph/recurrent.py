"""Recurrent layers, each recorded as one operation: how they are computed step by step differs from device to device.

Nothing is computed here, either: the shapes of the results follow from those of the inputs and the weights.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
LAYERS = {torch.lstm: aten.lstm, torch.gru: aten.gru, torch.rnn_tanh: aten.rnn_tanh, torch.rnn_relu: aten.rnn_relu}
CELLS = {
    torch.lstm_cell: aten.lstm_cell, torch.gru_cell: aten.gru_cell,
    torch.rnn_tanh_cell: aten.rnn_tanh_cell, torch.rnn_relu_cell: aten.rnn_relu_cell,
}  # fmt: skip
Results = Tensor | tuple[Tensor, ...]


def _layer(packet: Any, args: tuple[Any, ...]) -> tuple[Any, Results]:
    packed = isinstance(args[3], list | tuple)  # the weights come behind the batch sizes
    x, states, weights = args[0], args[1 + packed], args[2 + packed]
    bidirectional = args[7 + packed]
    _check(x, weights[0])
    width = weights[1].shape[1] * (1 + bidirectional)
    states = (states,) if isinstance(states, Tensor) else states
    results = (x.new_empty((*x.shape[:-1], width)), *(x.new_empty(state.shape) for state in states))
    return packet.data if packed else packet.input, results


def _cell(packet: Any, args: tuple[Any, ...]) -> tuple[Any, Results]:
    x, states, weight = args[:3]
    _check(x, weight)
    if isinstance(states, Tensor):
        return packet.default, x.new_empty(states.shape)
    return packet.default, tuple(x.new_empty(state.shape) for state in states)


def _check(x: Tensor, weight: Tensor) -> None:
    if x.shape[-1] != weight.shape[1]:
        raise RuntimeError(f"a recurrent layer of {weight.shape[1]} inputs was given {x.shape[-1]}")


def _pack(x: Tensor, lengths: Tensor, batch_first: bool) -> tuple[Any, Results]:
    steps = [int(n) for n in lengths.tolist()]
    sizes = [sum(n > step for n in steps) for step in range(max(steps))]
    return aten._pack_padded_sequence.default, (x.new_empty((sum(steps), *x.shape[2:])), torch.tensor(sizes))


def _pad(data: Tensor, sizes: Tensor, batch_first: bool, _: float, least: int) -> tuple[Any, Results]:
    running = [int(n) for n in sizes.tolist()]
    lengths = [sum(n > example for n in running) for example in range(running[0])]
    steps = max(len(running), least)
    lead = (running[0], steps) if batch_first else (steps, running[0])
    return aten._pad_packed_sequence.default, (data.new_empty((*lead, *data.shape[1:])), torch.tensor(lengths))


# What torch calls -> from its arguments the operation that is recorded, and its results.
WHOLE: dict[Any, Callable[..., tuple[Any, Results]]] = {
    **{function: (lambda *args, p=packet: _layer(p, args)) for function, packet in LAYERS.items()},
    **{function: (lambda *args, p=packet: _cell(p, args)) for function, packet in CELLS.items()},
    torch._VF._pack_padded_sequence: _pack,
    torch._VF._pad_packed_sequence: _pad,
}
