"""Recurrent layers: their inputs follow the cut, their states stay, and every multiplication is counted."""

import pytest
import torch
from checks.cutting import check
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from padless import inspect, load_target, plan, prune, trace
from padless.errors import TraceError

X = torch.zeros(2, 1, 8, 10)


class Reader(nn.Module):
    """Convolutions whose columns are read one after the other."""

    def __init__(self, reader: nn.Module, width: int, packed: bool = False) -> None:
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU())
        self.reader, self.head, self.packed = reader, nn.Linear(width, 5), packed

    def forward(self, x):
        y = self.maps(x).mean(2)
        y = y.transpose(1, 2) if self.reader.batch_first else y.permute(2, 0, 1)
        if self.packed:
            y = pack_padded_sequence(y, [2, 3], batch_first=self.reader.batch_first, enforce_sorted=False)
            y = pad_packed_sequence(self.reader(y)[0], batch_first=self.reader.batch_first)[0]
        else:
            y = self.reader(y)[0]
        return self.head(y.relu())


READERS = {
    "lstm": (nn.LSTM(12, 6), 6, False),
    "both ways, batch first": (nn.LSTM(12, 6, bidirectional=True, batch_first=True), 12, False),
    "deep": (nn.GRU(12, 6, num_layers=2, bidirectional=True), 12, False),
    "projected": (nn.LSTM(12, 6, proj_size=4, batch_first=True), 4, False),
    "without biases": (nn.RNN(12, 6, bias=False, nonlinearity="relu"), 6, False),
    "packed": (nn.LSTM(12, 6, batch_first=True), 6, True),
    "packed, deep": (nn.GRU(12, 6, num_layers=2, bidirectional=True), 12, True),
    "packed, plain": (nn.RNN(12, 6, batch_first=True), 6, True),
}


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("name", READERS)
def test_inputs_follow_the_cut(name):
    reader, width, packed = READERS[name]
    model = Reader(reader, width, packed).eval()
    graph = trace(model, X)
    assert {g.id: g.pinned for g in graph.groups} == {
        "maps.0": None, "maps.2": None, "head": "output of the network",
    }  # fmt: skip
    check(model, X, load_target("unit:2"), seed=1)
    small = prune(model, plan(model, X, target="unit:4", budget="macs=60%", allocate="uniform"))
    assert small.reader.input_size == small.reader.weight_ih_l0.shape[1] == small.maps[2].out_channels < 12
    assert small.reader.hidden_size == 6


def test_every_weight_is_a_linear_layer_with_a_row_a_step():
    model = Reader(nn.LSTM(12, 6, num_layers=2, bidirectional=True), 12).eval()
    rows = {row.layer.name: row for row in inspect(model, X, target="unit:4").layers}
    steps = 3
    assert rows["reader.weight_ih_l0"].cost.macs == rows["reader.weight_ih_l0_reverse"].cost.macs == steps * 12 * 24
    assert rows["reader.weight_ih_l1"].cost.macs == steps * 12 * 24
    assert rows["reader.weight_hh_l1_reverse"].cost.macs == steps * 6 * 24
    assert len(rows) == 2 + 8 + 1


class Cells(nn.Module):
    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.maps, self.cell, self.head = nn.Conv2d(1, 12, 3), cell, nn.Linear(6, 3)

    def forward(self, x):
        state = None
        for step in self.maps(x).mean(2).unbind(2):
            state = self.cell(step, state)
        return self.head(state[0] if isinstance(state, tuple) else state)


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_cells_are_cut_too(kind):
    model = Cells(kind(12, 6)).eval()
    assert trace(model, X).group("maps").pinned is None
    check(model, X, load_target("unit:2"), seed=1)
    small = prune(model, plan(model, X, target="unit:4", budget="macs=70%", allocate="uniform"))
    assert small.cell.input_size == small.cell.weight_ih.shape[1] == small.maps.out_channels < 12


class Odd(nn.Module):
    """An LSTM over channels in a place where they must stay."""

    def __init__(self, read) -> None:
        super().__init__()
        self.maps, self.read, self.head = nn.Conv2d(1, 8, 1), read, nn.Linear(4, 3)
        self.lstm, self.scale = nn.LSTM(10, 4), nn.Parameter(torch.ones(1))
        self.wide = nn.LSTM(8, 4)

    def forward(self, x):
        return self.head(self.read(self, self.maps(x).mean(2)))


def scaled(m, x):
    h = torch.zeros(1, 2, 4)
    weights = [m.wide.weight_ih_l0 * m.scale, *m.wide._flat_weights[1:]]
    return torch.lstm(x.permute(2, 0, 1), (h, h), weights, True, 1, 0.0, False, False, False)[0]


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (lambda m, x: m.lstm(x, (torch.zeros(1, 8, 4), torch.zeros(1, 8, 4)))[0], "aten.lstm runs along them (module lstm)"),
        (scaled, "aten.lstm has a weight that is no parameter"),
        (lambda m, x: pad_packed_sequence(m.lstm(pack_padded_sequence(x.transpose(0, 1), [8, 8]))[0])[0],
         "aten._pack_padded_sequence runs along them"),
    ],
)  # fmt: skip
def test_what_stays_says_why(read, reason):
    assert reason in str(trace(Odd(read).eval(), X).group("maps").pinned)


def test_states_that_come_from_channels_stay():
    class Started(nn.Module):
        def __init__(self):
            super().__init__()
            self.start, self.maps, self.lstm = nn.Linear(10, 4), nn.Conv2d(1, 8, 1), nn.LSTM(8, 4)

        def forward(self, x):
            h = self.start(x.mean((1, 2)))[None]
            return self.lstm(self.maps(x).mean(2).permute(2, 0, 1), (h, h))[0]

    pinned = {g.id: g.pinned for g in trace(Started().eval(), X).groups}
    assert pinned == {"start": "aten.lstm remembers them (module lstm)", "maps": None}


def test_an_input_of_the_wrong_width():
    cell = nn.GRUCell(5, 4)
    with pytest.raises(TraceError, match="a recurrent layer of 5 inputs was given 8"):
        trace(Odd(lambda m, x: torch.gru_cell(x[:, :, 0], x.new_zeros(2, 4), cell.weight_ih, cell.weight_hh)), X)
