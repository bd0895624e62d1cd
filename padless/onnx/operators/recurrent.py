"""Recurrent layers"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from padless.graph.recurrent import WHOLE
from padless.onnx.operators.table import operator

WEIGHTS = (1, 2, 3)  # the places of the weights and biases among the inputs
USUAL = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}


@operator("LSTM", "GRU", "RNN", inputs="x weight recurrence bias lengths hidden cell peepholes", outputs=3)
def recurrent(
    node: Any, x: Tensor, _weight: None, _recurrence: None, _bias: None = None, lengths: Any = None, hidden: Any = None,
    cell: Any = None, peepholes: Any = None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """One layer, in one or both directions, with the usual activations: its inputs are cut, its states stay. A GRU
    may reset before its product or behind it. Lengths, peepholes and clipping are refused.
    """
    directions = 2 if node.get("direction", "forward") == "bidirectional" else 1
    kinds = node.get("activations", USUAL[node.operator] * directions)
    relu = node.operator == "RNN" and kinds == ["Relu"] * directions
    for wrong, why in (
        (lengths is not None, "is given lengths"),
        (peepholes is not None, "has peepholes"),
        (node.get("clip", 0), "clips"),
        (node.get("input_forget", 0), "couples its gates"),
        (kinds != USUAL[node.operator] * directions and not relu, f"has the activations {', '.join(kinds)}"),
        (any(node.is_given(i) for i in WEIGHTS), "has weights that the graph works out"),
    ):
        if wrong:
            raise node.refused(why)
    reverse = node.get("direction", "forward") == "reverse"
    first = node.get("layout", 0) == 1
    x = x.transpose(0, 1) if first else x
    x = x.flip(0) if reverse else x
    weights = [w for suffix in ("", "_reverse")[:directions] for w in _weights(node, suffix)]
    width = node.weight_hh_l0.shape[1]
    states = [s if isinstance(s, Tensor) else x.new_zeros((directions, x.shape[1], width)) for s in (hidden, cell)]
    states = [s.transpose(0, 1) if first and isinstance(g, Tensor) else s
              for s, g in zip(states, (hidden, cell), strict=True)]  # fmt: skip
    options = (node.has_bias, 1, 0.0, False, directions == 2, False)
    gru = torch.gru if node.get("linear_before_reset", 0) else gru_resetting_first
    function: Any = {"LSTM": torch.lstm, "GRU": gru, "RNN": torch.rnn_relu if relu else torch.rnn_tanh}[node.operator]
    given = states if node.operator == "LSTM" else states[0]
    y, *last = function(x, given, weights, *options)
    y = y.flip(0) if reverse else y
    y = y.reshape(y.shape[0], y.shape[1], directions, width)
    y = y.transpose(0, 1) if first else y.permute(0, 2, 1, 3)
    last = [s.transpose(0, 1) if first else s for s in last]
    return (y, *last)


def _weights(node: Any, suffix: str) -> list[Tensor]:
    names = ["weight_ih_l0", "weight_hh_l0", *(["bias_ih_l0", "bias_hh_l0"] if node.has_bias else [])]
    return [getattr(node, name + suffix) for name in names]


def gru_resetting_first(
    x: Tensor, hidden: Tensor, weights: Sequence[Tensor], has_bias: bool, layers: int, dropout: float, train: bool,
    bidirectional: bool, batch_first: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`torch.gru` on x [steps, N, in], but for the reset, which comes before the recurrent product instead of behind it."""
    if has_torch_function((x, hidden, *weights)):  # it may be recorded as one operation
        return handle_torch_function(
            gru_resetting_first, (x, hidden, *weights), x, hidden, weights, has_bias, layers, dropout, train,
            bidirectional, batch_first,
        )  # fmt: skip
    each = len(weights) // len(hidden)
    sequences, last = [], []
    for direction, state in enumerate(hidden):
        steps = _steps(x.flip(0) if direction else x, state, *weights[direction * each : (direction + 1) * each])
        sequences.append(steps.flip(0) if direction else steps)
        last.append(steps[-1])
    return torch.cat(sequences, -1), torch.stack(last)


def _steps(x: Tensor, state: Tensor, weight: Tensor, recurrence: Tensor, *biases: Tensor) -> Tensor:
    """The states [steps, N, width] behind one another; gates are reset, update, new."""
    width = state.shape[-1]
    states = []
    for gates in sum(biases, x @ weight.t()).unbind(0):
        both = torch.sigmoid(gates[:, : 2 * width] + state @ recurrence[: 2 * width].t())
        reset, update = both.chunk(2, -1)
        new = torch.tanh(gates[:, 2 * width :] + (reset * state) @ recurrence[2 * width :].t())
        state = new + update * (state - new)
        states.append(state)
    return torch.stack(states)


WHOLE[gru_resetting_first] = WHOLE[torch.gru]  # its axes are those of torch's own
