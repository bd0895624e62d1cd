"""What a network makes of constants alone, such as where a branch was removed: worked out, and stored once."""

from collections import Counter

import numpy as np
import pytest
import torch
from checks import tflite_run
from models.networks import shaken
from torch import nn

from padless import trace
from padless.cut import cut
from padless.cut.branches import branches
from padless.tflite import lower, nominal
from padless.tflite.constants import once

pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")

X = torch.randn(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))


class Blocks(nn.Module):
    """Inverted residual blocks one behind the other."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 12, 1), nn.ReLU6(), nn.Conv2d(12, 8, 1, bias=False), nn.BatchNorm2d(8))
            for _ in range(count)
        )
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


class Joined(nn.Module):
    """Two branches joined, and one that is added behind a clamp."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(20, 4, 1)
        self.a = nn.Sequential(nn.Conv2d(8, 6, 1), nn.ReLU(), nn.Conv2d(6, 12, 1))
        self.b = nn.Sequential(nn.Conv2d(8, 10, 1), nn.ReLU(), nn.Conv2d(10, 8, 1))

    def forward(self, x):
        x = self.stem(x).relu()
        return self.head(torch.cat([self.a(x), x + self.b(x)], 1))


def shortened(model: nn.Module, staying: tuple[str, ...] = ()) -> nn.Module:
    graph = trace(model, X)
    keep = np.ones(graph.channels, dtype=np.int64)
    for id in branches(graph, model).without(staying).groups:
        keep[graph.group(id).channels] = 0
    return cut(model, graph, keep)


def written(model: nn.Module):
    """The lowered network, its operators, and how far what it computes lies from the model."""
    lowered = lower(trace(model, X), model)
    (ours,) = tflite_run.run(nominal(lowered), X.permute(0, 2, 3, 1))
    theirs = model(X).detach().double().permute(0, 2, 3, 1)
    off = float((ours - theirs).norm() / theirs.norm())
    return lowered, Counter(op.code for op in lowered.builder.operators), off


def test_what_is_left_of_linear_branches_goes_into_the_bias_before_them():
    torch.manual_seed(0)
    model = shaken(Blocks(3))
    assert written(model)[1] == {"CONV_2D": 8, "ADD": 3}
    _, operators, off = written(shortened(model))
    assert operators == {"CONV_2D": 2} and off < 0.03


@pytest.mark.parametrize("staying", [(0,), (1,), (2,), (0, 2), (0, 3), (1, 2), (0, 1, 2)])
def test_also_where_another_branch_is_added_before(staying):
    torch.manual_seed(0)
    model = shaken(Blocks(4))
    _, operators, off = written(shortened(model, tuple(f"blocks.{i}.0" for i in staying)))
    assert operators == {"CONV_2D": 2 + 2 * len(staying), "ADD": len(staying)} and off < 0.03


class Twice(nn.Module):
    """Two convolutions added, then a constant: it is added once."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.shift = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3), nn.Parameter(torch.randn(8, 1, 1))

    def forward(self, x):
        return (self.a(x) + self.b(x) + self.shift).relu() + self.shift


def test_what_two_layers_could_take_is_taken_by_one():
    torch.manual_seed(0)
    _, operators, off = written(Twice().eval())
    assert operators == {"CONV_2D": 2, "ADD": 2} and off < 0.03


def test_what_is_added_behind_a_clamp_is_stored_once_for_all_places():
    torch.manual_seed(0)
    model = shortened(shaken(Joined()))
    lowered, operators, off = written(model)
    assert operators == {"CONV_2D": 2, "ADD": 1, "CONCATENATION": 1} and off < 0.03
    (add,) = (op for op in lowered.builder.operators if op.code == "ADD")
    assert sorted(lowered.builder.tensors[i].shape for i in add.inputs) == [(1, 1, 1, 8), (1, 7, 7, 8)]


def test_once():
    data = np.broadcast_to(np.arange(3.0)[:, None, None], (2, 3, 4, 5))
    assert once(data).shape == (1, 3, 1, 1) and (once(data).ravel() == [0, 1, 2]).all()
    assert once(np.ones((2, 2))).shape == (1, 1) and once(np.float64(2).reshape(())).shape == ()
    assert once(np.arange(4.0).reshape(2, 2)).shape == (2, 2)


def test_what_only_dead_ends_read_is_not_written():
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.idle, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x):
            x = self.stem(x)
            self.idle(x).relu().mean(1)
            return self.head(x)

    torch.manual_seed(0)
    _, operators, off = written(Idle().eval())
    assert operators == {"CONV_2D": 2} and off < 0.03
