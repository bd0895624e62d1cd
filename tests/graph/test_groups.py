"""Grouping, on networks whose groups are known by hand."""

import numpy as np
import torch
from models.networks import Residual, Small, SqueezeExcite
from rich.console import Console
from torch import nn

from padless import trace
from padless.graph import FIXED


def test_chain_of_convolutions():
    graph = trace(
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 5, 1)), torch.zeros(1, 3, 9, 9)
    )
    first, last = graph.groups
    assert (first.id, first.width, first.pinned) == ("0", 8, None)
    assert [(m.layer, m.side, m.repeats) for m in first.members] == [("0", "out", 1), ("3", "in", 1)]
    assert (last.id, last.width, last.pinned) == ("3", 5, "output of the network")
    assert (graph.layers[0].inputs == FIXED).all()
    assert {a.parameter for a in graph.axes if set(a.channels) == set(range(8))} == {
        "0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "3.weight",
    }  # fmt: skip


def test_residual_ties_its_ends_and_frees_its_middle():
    graph = trace(Small(), torch.zeros(1, 3, 16, 16))
    ids = {g.id: (g.width, g.pinned) for g in graph.groups}
    assert ids == {
        "stem": (16, None),
        "block.body.0": (24, None),
        "down": (32, None),
        "head": (4, "output of the network"),
    }
    stem = graph.group("stem")
    assert {(m.layer, m.side) for m in stem.members} == {
        ("stem", "out"), ("block.body.0", "in"), ("block.body.3", "out"), ("down", "in"),
    }  # fmt: skip


def test_flatten_repeats_each_channel():
    graph = trace(
        nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Flatten(), nn.Linear(6 * 4, 2)), torch.zeros(1, 3, 2, 2)
    )
    member = graph.group("0").members[1]
    assert (member.layer, member.repeats) == ("2", 4)
    assert np.array_equal(graph.layers[1].inputs, np.repeat(np.arange(6), 4))


def test_concat_joins_groups():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 6, 1), nn.Conv2d(10, 2, 1)

        def forward(self, x):
            return self.c(torch.cat([self.a(x), self.b(x)], 1))

    graph = trace(Net(), torch.zeros(1, 3, 4, 4))
    assert np.array_equal(graph.layers[2].inputs, np.arange(10))
    assert {g.id: g.width for g in graph.groups} == {"a": 4, "b": 6, "c": 2}


def test_depthwise_ties_each_output_to_its_input():
    graph = trace(
        nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 16, 3, groups=8), nn.Conv2d(16, 2, 1)), torch.zeros(1, 3, 8, 8)
    )
    assert graph.layers[1].kind == "depthwise"
    assert {g.id: g.width for g in graph.groups} == {"0": 8, "2": 2}
    assert np.array_equal(graph.layers[1].outputs, np.repeat(np.arange(8), 2))


def test_grouped_convolution_is_cut_by_whole_groups():
    graph = trace(
        nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 12, 3, groups=4), nn.Conv2d(12, 2, 1)), torch.zeros(1, 3, 8, 8)
    )
    group = graph.group("0")
    assert group.width == 4
    assert [(m.layer, m.side, m.repeats) for m in group.members] == [
        ("0", "out", 2), ("1", "in", 2), ("1", "out", 3), ("2", "in", 3),
    ]  # fmt: skip


def test_squeeze_excite_leaves_its_middle_free():
    graph = trace(nn.Sequential(nn.Conv2d(3, 8, 1), SqueezeExcite(8, 4), nn.Conv2d(8, 2, 1)), torch.zeros(1, 3, 4, 4))
    assert {g.id: g.width for g in graph.groups if not g.pinned} == {"0": 8, "1.fc1": 4}


def test_shared_layer_has_two_rows_and_one_weight():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1)
            self.c = nn.Conv2d(8, 2, 1)

        def forward(self, x):
            return self.c(self.b(self.b(self.a(x)).relu()))

    graph = trace(Net(), torch.zeros(1, 3, 4, 4))
    assert [ly.name for ly in graph.layers] == ["a", "b", "b@2", "c"]
    assert {g.id: g.width for g in graph.groups} == {"a": 8, "c": 2}


def test_linear_on_tokens():
    graph = trace(nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 3)), torch.zeros(2, 7, 5))
    assert (graph.group("0").width, graph.group("0").pinned) == (8, None)
    assert graph.layers[0].out_hw == (7, 1)


def test_frozen_parameters_are_cut_as_any_other():
    model = Small().requires_grad_(False)
    assert trace(model, torch.zeros(1, 3, 16, 16)).group("stem").pinned is None


def test_a_parameter_that_scales_channels_is_cut_with_them():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.gamma = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1), nn.Parameter(torch.ones(8, 1, 1))

        def forward(self, x):
            return self.b(self.a(x) * self.gamma)

    graph = trace(Scaled(), torch.zeros(1, 3, 4, 4))
    assert graph.group("a").pinned is None
    assert "gamma" in {a.parameter for a in graph.axes}


def test_a_parameter_over_rows_and_columns_does_not_confuse_a_flatten():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.place = nn.Conv2d(3, 8, 1), nn.Linear(8 * 16, 2), nn.Parameter(torch.ones(1, 8, 4, 4))

        def forward(self, x):
            y = self.a(x) + self.place
            return self.b((y * y.mean((2, 3), keepdim=True).expand_as(y)).flatten(1))

    graph = trace(Net(), torch.zeros(1, 3, 4, 4))
    assert graph.group("a").pinned is None
    assert [a.axis for a in graph.axes if a.parameter == "place"] == [1]


def test_an_addend_of_a_product_is_cut_with_its_columns():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 8), nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, x):
            return self.c(torch.addmm(self.a(x), x, self.b.weight.t()))

    graph = trace(Net(), torch.zeros(3, 4))
    assert {g.id: (g.width, g.pinned) for g in graph.groups} == {"a": (8, None), "c": (2, "output of the network")}


def test_layers_with_computed_weights_are_counted():
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 1)), nn.Conv2d(8, 4, 1))
    assert [(ly.c_in, ly.c_out) for ly in trace(model, torch.zeros(1, 3, 4, 4)).layers] == [(3, 8), (8, 4)]


def test_digest_follows_structure_not_weights():
    x = torch.zeros(1, 3, 16, 16)
    assert trace(Small(), x).digest() == trace(Small(), x).digest()
    assert trace(Small(), x).digest() != trace(Small(), torch.zeros(1, 3, 32, 32)).digest()
    assert (
        trace(Residual(4, 6), torch.zeros(1, 4, 8, 8)).digest()
        != trace(Residual(4, 7), torch.zeros(1, 4, 8, 8)).digest()
    )


def test_a_graph_is_printed_in_one_line_and_shown_as_a_table_of_its_groups():
    graph = trace(Small(), torch.zeros(1, 3, 16, 16))
    assert repr(graph) == "Graph(5 layers, 76 channels in 4 groups, 3 of which may be cut)"
    console = Console(width=80)
    with console.capture() as shown:
        console.print(graph)
    rows = [line.split() for line in shown.get().splitlines()]
    assert ["stem", "16", "free"] in rows
    assert ["head", "4", "output", "of", "the", "network"] in rows


def test_zero_channels_that_are_padded_on_are_cut_with_what_they_meet():
    class Widening(nn.Module):
        def __init__(self, c_in, c_out, more):
            super().__init__()
            self.conv, self.more = nn.Conv2d(c_in, c_out, 1), more

        def forward(self, x):
            return self.conv(x) + nn.functional.pad(x, (0, 0, 0, 0, 0, self.more or 8))

    def groups(more):
        model = nn.Sequential(nn.Conv2d(3, 16, 1), Widening(16, 24, more), nn.Conv2d(24, 2, 1))
        return {g.id: (g.width, g.pinned) for g in trace(model, torch.zeros(1, 3, 4, 4)).groups}

    last = {"2": (2, "output of the network")}
    assert groups(8) == {"0": (16, None), "1.conv": (8, None)} | last
    pinned = (8, "aten.constant_pad_nd adds a fixed number (module 1)")  # a number in the source text stays
    assert groups(0) == {"0": (16, None), "1.conv": pinned} | last


def test_groups_that_cannot_go_are_narrowed():
    class Summed(nn.Module):
        def __init__(self, grouped, parts):
            super().__init__()
            self.a, self.grouped, self.parts = nn.Conv2d(3, 32, 1), grouped, parts

        def forward(self, x):
            y = self.grouped(self.a(x))
            n, _, h, w = y.shape
            return y.view(n, 4 if self.parts == 0 else self.parts, -1, h, w).sum(1).mean(1)

    def groups(grouped, parts=0):
        graph = trace(Summed(grouped, parts), torch.zeros(1, 3, 4, 4))
        return [(g.id, g.width, g.pinned) for g in graph.groups], [layer.drops_groups for layer in graph.layers]

    conv = nn.Conv2d(32, 32, 3, padding=1, groups=4)
    assert groups(conv) == ([("a", 8, None), ("grouped", 8, None)], [False, False])
    assert groups(nn.Sequential(conv, nn.GroupNorm(4, 32)))[0] == [("a", 8, None), ("grouped.0", 8, None)]
    # Whole ones go where they can, and where neither can, nothing changes.
    assert groups(nn.Conv2d(32, 32, 3, padding=1, groups=8), 2) == ([("a", 4, None)], [False, True])
    pinned, drops = groups(nn.Sequential(nn.Conv2d(32, 32, 1, groups=4), nn.Softmax(1)))
    assert all(reason is not None for *_, reason in pinned) and drops == [False, True]


def test_an_axis_of_the_size_of_another_is_cut_alike():
    """Attention over pixels: `view(b, c, h, w)` takes c from the input, and what is viewed are the values."""

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.q, self.v, self.out = (nn.Conv2d(i, o, 1) for i, o in ((3, 16), (16, 8), (16, 16), (16, 4)))

        def forward(self, x):
            x = self.stem(x)
            b, c, h, w = x.shape
            q, v = self.q(x).flatten(2), self.v(x).flatten(2)
            return self.out((v @ (q.mT @ q).softmax(-1).mT).view(b, c, h, w))

    graph = trace(Attention(), torch.zeros(1, 3, 4, 4))
    assert [(g.id, g.width, g.pinned) for g in graph.groups] == [
        ("stem", 16, None), ("q", 8, None), ("out", 4, "output of the network"),
    ]  # fmt: skip
    assert {m.layer for m in graph.group("stem").members if m.side == "out"} == {"stem", "v"}
