"""Recording and grouping, on networks whose groups are known by hand."""

import dataclasses
import types

import numpy as np
import pytest
import torch
from networks import Reads, Residual, Small, SqueezeExcite
from rich.console import Console
from torch import nn
from torch.nn import functional as F

from padless import trace
from padless.errors import TraceError
from padless.graph import FIXED


def pins(model: nn.Module, *shape: int) -> dict[str, str | None]:
    return {g.id: g.pinned for g in trace(model, torch.zeros(shape)).groups}


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


class Ask(nn.Module):
    """A convolution, then something odd, then a convolution."""

    def __init__(self, odd):
        super().__init__()
        self.a, self.b, self.odd = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1), odd
        self.square = nn.Parameter(torch.ones(8, 8))
        self.rows = nn.Parameter(torch.ones(1, 1, 4, 1))
        self.filters = nn.Parameter(torch.ones(8, 1, 1, 1))
        self.compiled = torch.jit.script(nn.Conv2d(8, 8, 1))

    def forward(self, x):
        return self.b(self.odd(self, self.a(x)))


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (lambda m, x: x.softmax(1), "aten._softmax works along the channels"),
        (lambda m, x: x.cumsum(1), "aten.cumsum works along the channels"),
        (lambda m, x: x.flatten(1).cumsum(1).view(1, 8, 4, 4), "aten.cumsum works along the channels"),
        (lambda m, x: x.argmax(1, keepdim=True).float() + x, "aten.argmax works along the channels"),
        (lambda m, x: x + x.argmax(2).float().mean(), "aten.argmax drops an axis"),
        (lambda m, x: x.max(1, keepdim=True)[1].float() + x, "aten.max gives positions of channels"),
        (lambda m, x: x.sort(1)[0], "aten.sort works along the channels"),
        (lambda m, x: x.view(1, 2, 4, 4, 4).flatten(1, 2), "aten.view splits the channel axis by sizes in the source text"),
        (lambda m, x: x.view(1, 8, 16).view(x.shape), "the size given to aten.view is a fixed number"),
        (lambda m, x: x + torch.ones(8, 1, 1), "aten.add meets a tensor of fixed size"),
        (lambda m, x: x / x.shape[1], "aten.div is given their number"),
        (lambda m, x: F.conv2d(x, torch.ones(8, 8, 1, 1)), "aten.convolution has a weight that is no parameter"),
        (lambda m, x: F.conv2d(x, m.filters, groups=8), "the input of filters is fixed"),
        (lambda m, x: F.batch_norm(x, torch.zeros(8), torch.ones(8)), "aten.native_batch_norm has statistics of fixed size"),
        (lambda m, x: F.layer_norm(x.transpose(1, 3), (8,)).transpose(1, 3), "the size given to aten.native_layer_norm is a fixed number"),
        (lambda m, x: x.view(0, 8, 4, 4)[:0].sum() + x if x.numel() == 0 else x[:0].view(0, 8, 16).sum() + x, "has no rule"),
        (lambda m, x: (m.rows * x.mean((2, 3), keepdim=True)).flatten(1).sum() + x, "aten.view merges two channel axes"),
        (lambda m, x: F.avg_pool2d(x.transpose(1, 3), 1).transpose(1, 3), "aten.avg_pool2d works along a channel axis"),
        (lambda m, x: F.conv_transpose2d(x, torch.ones(8, 8, 1, 1)), "aten.convolution has a weight that is no parameter"),
        (lambda m, x: F.pad(x, (0, 0, 0, 0, 1, -1)), "aten.constant_pad_nd"),
        (lambda m, x: F.max_pool2d(x.flatten(2), 1).view(1, 8, 4, 4), "aten.max_pool2d_with_indices works along a channel axis"),
        (lambda m, x: F.conv3d(x[:, :, None], torch.ones(8, 8, 1, 1, 1))[:, :, 0], "aten.convolution has no rule"),
        (lambda m, x: torch.cat([x.transpose(1, 2), torch.ones(1, 1, 8, 4)], 1)[:, :4].transpose(1, 2), "joins a part of fixed size"),
        (lambda m, x: F.conv2d(x.transpose(1, 2), torch.ones(4, 4, 1, 1)).transpose(1, 2), "runs along the channels"),
        (lambda m, x: torch.cat(x.split([3, 5], 1)[::-1], 1), "the size given to aten.split_with_sizes is a fixed number"),
        (lambda m, x: torch.cat(x.chunk(3, 1)[::-1], 1), "makes unequal parts"),
        (lambda m, x: torch.cat([x[:, -3:], x[:, :-3]], 1), "a bound of aten.slice is a fixed number"),
        (lambda m, x: torch.cat([x[:, ::3]] * 3, 1)[:, :8], "takes every 3th of a number of channels"),
        (lambda m, x: x + x[:, 7:8], "a bound of aten.slice is a fixed number"),
        (lambda m, x: x + x.select(1, 7)[:, None], "aten.select takes channels by their number"),
        (lambda m, x: sum(x.unbind(1))[:, None] + x, "aten.unbind takes channels by their number"),
        (lambda m, x: x.roll(7, 1), "aten.roll moves a fixed number of channels"),
        (lambda m, x: x.roll(1), "aten.roll has no rule"),
        (lambda m, x: x[:, [7, 6, 5, 4, 3, 2, 1, 0]], "aten.index reads channels by fixed positions"),
        (lambda m, x: x[:, x.flatten()[:8].long()], "aten.index reads channels by positions that are computed"),
        (lambda m, x: x + x.flatten()[m.square.flatten()[:1].long()], "reads"),
        (lambda m, x: x.gather(1, torch.zeros(1, 8, 4, 4).long()), "aten.gather reads elements by their positions"),
        (lambda m, x: x.as_strided((1, 8, 4, 4), (128, 1, 8, 32)), "aten.as_strided has no rule"),
        (lambda m, x: x + F.grid_sample(torch.ones(1, 1, 4, 4), x.permute(0, 2, 3, 1)[..., ::4], align_corners=True), "aten.grid_sampler_2d reads positions"),
        (lambda m, x: F.scaled_dot_product_attention(*[x.flatten(2).transpose(1, 2)] * 3).transpose(1, 2).view(x.shape), "attention is scaled by their number"),
        (lambda m, x: torch.baddbmm(torch.ones(1, 8, 8), x.flatten(2), x.flatten(2).transpose(1, 2)).sum() + x, "has an addend of fixed size"),
        (lambda m, x: torch.bmm(x.flatten(0, 1), torch.ones(8, 4, 4)).view(x.shape), "aten.bmm has a batch of fixed size"),
        (lambda m, x: x.mean((1, 2, 3)).view(1, 1, 1, 1).expand(1, x.shape[1] - 2, 4, 4).sum() + x, "aten.expand is given a number worked out from theirs"),
        (lambda m, x: x.repeat(1, x.shape[1] // 8, 1, 1), "aten.repeat is given their number"),
        (lambda m, x: torch.ones(1, 2, 4, 4).view(1, 2, 16).repeat(1, x.shape[1], 1).sum() + x, "aten.repeat is given their number"),
        (lambda m, x: torch.rot90(x, 1, (1, 2)).transpose(1, 2), "aten.rot90 turns the channels"),
        (lambda m, x: m.compiled(x), "belongs to a compiled module"),
        (lambda m, x: x.view(1, m.square.shape[0], 4, 4), "the size given to aten.view is taken from an axis with other channels"),
        (lambda m, x: x.view(1, x.shape[2] * 2, 4, 4), "the size given to aten.view is that of an axis of fixed size"),
    ],
)  # fmt: skip
def test_what_has_no_exact_cut_stays_and_says_why(odd, reason):
    found = pins(Ask(odd), 1, 3, 4, 4)
    reasons = {v for k, v in found.items() if k.split("/")[0] == "a"}
    assert any(reason in (r or "") for r in reasons), found


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


def test_a_model_that_cannot_be_copied():
    model = Small()
    model.kept = model.stem(torch.zeros(1, 3, 16, 16))
    with pytest.raises(TraceError, match="cannot be copied: .*\n.*keep a computed tensor"):
        trace(model, torch.zeros(1, 3, 16, 16))


def test_tensors_in_objects():
    @dataclasses.dataclass
    class Out:
        feature: torch.Tensor

    class Net(nn.Module):
        def __init__(self, wrap):
            super().__init__()
            self.a, self.b, self.wrap = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1), wrap

        def forward(self, x):
            y = self.a(x)
            return self.b(y), self.wrap(y)

    assert pins(Net(Out), 1, 3, 4, 4)["a"] == "output of the network"
    with pytest.raises(TraceError, match="returned a SimpleNamespace, in which tensors may hide"):
        pins(Net(lambda y: types.SimpleNamespace(y=y)), 1, 3, 4, 4)


def test_an_addend_of_a_product_is_cut_with_its_columns():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 8), nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, x):
            return self.c(torch.addmm(self.a(x), x, self.b.weight.t()))

    graph = trace(Net(), torch.zeros(3, 4))
    assert {g.id: (g.width, g.pinned) for g in graph.groups} == {"a": (8, None), "c": (2, "output of the network")}


def test_a_list_that_starts_with_an_empty_tensor():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x):
            return self.b(torch.cat([torch.tensor([]), self.a(x)], 1))

    assert pins(Net(), 1, 3, 4, 4)["a"] is None


def test_layers_with_computed_weights_are_counted():
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 1)), nn.Conv2d(8, 4, 1))
    assert [(ly.c_in, ly.c_out) for ly in trace(model, torch.zeros(1, 3, 4, 4)).layers] == [(3, 8), (8, 4)]


def test_outputs_of_any_form_are_pinned():
    class Many(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x):
            y = self.a(x)
            return {"features": [y], "logits": (self.b(y),)}

    assert pins(Many(), 1, 3, 4, 4) == {"a": "output of the network", "b": "output of the network"}


def test_tracing_leaves_the_model_alone():
    model = Small().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    trace(model, torch.zeros(1, 3, 16, 16))
    assert model.training and all(m.training for m in model.modules())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_forward_that_fails_names_operator_module_and_line():
    with pytest.raises(
        TraceError, match=r"input 1x5x16x16 in aten\.convolution\S*, module stem, line .*networks\.py:\d+"
    ):
        trace(Small(), torch.zeros(1, 5, 16, 16))
    with pytest.raises(TraceError, match=r"module inner\.1, line .*networks\.py:\d+"):
        trace(Reads(), torch.zeros(1, 3, 4, 4))


def test_a_model_without_tensor_outputs():
    class Empty(nn.Module):
        def forward(self, x):
            return None

    with pytest.raises(TraceError, match="returned NoneType without any tensor"):
        trace(Empty(), torch.zeros(1, 3))


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
