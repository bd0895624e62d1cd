"""Numbers that know where they come from, and what a cut does with them."""

import copy
import functools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from padless import plan, prune, trace
from padless.graph.numbers import Log, Number, Real, origin
from padless.graph.origins import Shape
from padless.graph.roots import Attribute, Mixed, Size

LOG = Log()
SIZE, STORED = Size(3, 1), Attribute("block", "width")


def size(n: int, scale: int = 1) -> Number:
    return Number(n, Size(3, 1, Fraction(scale)), LOG)


def stored(n: int) -> Number:
    return Number(n, STORED, LOG)


def test_products_and_exact_quotients_keep_the_root():
    assert (size(12) // 4).root == Size(3, 1, Fraction(1, 4)) and size(12) // 4 == 3
    assert (2 * size(12)).root == Size(3, 1, Fraction(2)) and type(2 * size(12) // 3) is Number
    assert (size(12) * stored(3)).root == (stored(3) * size(12)).root == Size(3, 1, Fraction(3))
    assert (size(12) // stored(3)).root == Size(3, 1, Fraction(1, 3))
    assert size(3) * size(4) == 12 and (size(3) * size(4) * 2 // size(4)).root == Size(3, 1, Fraction(2))
    assert (-size(12)).root == Size(3, 1, Fraction(-1))
    assert (stored(12) // 3).root == Attribute("block", "width", None, Fraction(1, 3))


@pytest.mark.parametrize(
    ("number", "value", "kind"),
    [(size(12) // 5, 2, Number), (size(12) + 1, 13, Number), (1 - size(12), -11, Number), (-stored(12) % 5, 3, Number),
     (size(12) * 0.5, 6.0, Real), (size(12) / 2, 6.0, Real), (24 // size(12), 2, Number), (stored(12) // size(4), 3, Number),
     (stored(3) * stored(4), 12, Number), (size(4) ** -0.5, 0.5, Real),
     (1 / (size(4) ** 0.5), 0.5, Real), ((size(4) + 1) * 2, 10, Number), ((size(4) + 1) // 5, 1, Number)],
)  # fmt: skip
def test_other_results_know_what_they_mix(number, value, kind):
    assert number == value and type(number) is kind and isinstance(number.root, Mixed)
    assert {type(root) for root in number.root.roots} <= {Size, Attribute} and number.root.roots


def test_equality_with_a_stored_number_is_noted():
    LOG.equal.clear()
    assert size(8) == stored(8)
    assert (stored(8) != size(8)) is False
    assert LOG.equal == [(SIZE, STORED)] * 2
    assert size(8) != stored(9) and size(8) == 8 and stored(8) == stored(8) and len(LOG.equal) == 2
    assert {size(8): 1}[8] == 1


def test_what_pythons_functions_are_given_is_noted():
    LOG.leaks.clear()
    assert math.sqrt(size(16)) == 4 and math.ceil(size(5) / 2) == 3 and int(stored(5) / 2) == 2
    assert LOG.leaks == [SIZE, SIZE, STORED]


def test_copies_are_plain():
    assert type(copy.deepcopy(size(8))) is int
    assert Shape((2, 3)).numel() == 6


def test_the_origin_of_an_operations_numbers():
    given = (2, size(12), -1, 4)
    assert origin(given, [12, 7, 4]) == [Size(3, 1), None, 4]  # in the order in which they were given
    assert origin(given, [12]) == [Size(3, 1)]
    assert origin((2, 1), [6]) == [None]  # torch made it: half of something
    assert origin((12, size(12)), [5, 12]) == [None, 12]  # a literal of that value counts first


class Block(nn.Module):
    """Splits by a width that it stores, and views by heads that it stores."""

    def __init__(self):
        super().__init__()
        self.width, self.sizes, self.heads = 8, [4, 12], 2
        self.a, self.b, self.c = nn.Conv2d(3, 16, 1), nn.Conv2d(8, 16, 1), nn.Conv2d(16, 2, 1)

    def forward(self, x):
        left, right = torch.split(self.a(x), self.width, dim=1)
        n, _, h, w = x.shape
        y = self.b(left * right).reshape(n, self.heads, -1, h, w).transpose(1, 2).reshape(n, -1, h, w)
        first, second = y.split(self.sizes, 1)
        return self.c(torch.cat([second, first], 1))


def test_what_a_module_stores_is_cut_with_its_channels():
    torch.manual_seed(0)
    model = Block()
    x = torch.zeros(1, 3, 4, 4)
    groups = {g.id: (g.width, g.pinned) for g in trace(model, x).groups}
    assert groups["a"] == (8, None)
    small = prune(model, plan(model, x, target="unit:2", budget="macs=50%", allocate="uniform"))
    assert small.width == small.a.out_channels // 2 == small.b.in_channels < 8
    assert sum(small.sizes) == small.b.out_channels and small.heads == 2
    assert (model.width, model.sizes) == (8, [4, 12])


@pytest.mark.parametrize(
    "worked_out",
    [lambda m, y: y[:, : m.width] + y[:, m.whole - m.width :], lambda m, y: y * y.shape[1] ** -0.5,
     lambda m, y: y / (y.shape[1] + 1), lambda m, y: y / math.sqrt(y.shape[1]), lambda m, y: 3.0 * (m.whole / y.shape[1]) * y],
)  # fmt: skip
def test_numbers_that_are_worked_out_keep_their_roots(worked_out):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.whole, self.width = nn.Conv2d(3, 8, 1), nn.LazyConv2d(2, 1), 8, 4

        def forward(self, x):
            return self.b(worked_out(self, self.a(x)))

    model, x = Net(), torch.zeros(1, 3, 4, 4)
    model(x)
    reasons = [g.pinned for g in trace(model, x).groups if g.id.startswith("a")]
    known = ("worked out from theirs", "fixed number", "a function of Python")
    assert all(any(k in (r or "") for k in known) for r in reasons)


class Used(nn.Module):
    """Does something with a map of 16 channels between layers that can be cut in any case."""

    def __init__(self, use, width=16):
        super().__init__()
        self.first, self.map, self.last, self.use = (
            nn.Conv2d(3, 16, 1),
            nn.Conv2d(16, 16, 1),
            nn.Conv2d(width, 2, 1),
            use,
        )

    def forward(self, x):
        return self.last(self.use(self.map(self.first(x).relu())))


def pinned_and_pruned(use, width=16):
    """The reason that the map's channels stay, if any; the network is cut, and so checked."""
    torch.manual_seed(0)
    model, x = Used(use, width), torch.zeros(1, 3, 4, 4)
    prune(model, plan(model, x, target="unit:2", budget="macs=70%", allocate="uniform"))
    return next(g.pinned for g in trace(model, x).groups if g.id.startswith("map"))


@pytest.mark.parametrize(
    "use",
    [lambda y: y / np.sqrt(y.shape[1]), lambda y: y / np.maximum(1, y.shape[1]), lambda y: y / float(np.mean(y.shape)),
     lambda y: y / float(np.max(y.shape[1:2])), lambda y: y / len(y[0]), lambda y: y / y[0].numel(),
     lambda y: y / torch.numel(y), lambda y: y / y.shape[1:].numel(), lambda y: y / y[:, :, 0].nelement(),
     lambda y: y / np.prod(y.shape), lambda y: y / math.prod(y.shape[1:]),
     lambda y: y * 2 if y.shape[1] > 8 else y, lambda y: y * 2 if y.size(1) >= 8 else y, lambda y: y / int(y.shape[1]),
     lambda y: y * 2 if y.shape[1] == 16 else y, lambda y: y * {16: 2.0, 8: 3.0}[y.shape[1]],
     lambda y: y * sum([0.5] * y.shape[1]), lambda y: y / round(y.shape[1] / 3), lambda y: y / (y.shape[1] >> 1),
     lambda y: y / divmod(y.shape[1], 5)[1], lambda y: y / (y.shape[1] & 31), lambda y: y / abs(1 - y.shape[1])],
)  # fmt: skip
def test_numbers_that_leave_sight_keep_their_channels(use):
    assert pinned_and_pruned(use)


@pytest.mark.parametrize(
    "use",
    [lambda y: torch.cat(torch.chunk(y, chunks=2, dim=1)[::-1], 1),
     lambda y: torch.cat(y.chunk(dim=1, chunks=4)[::-1], 1),
     lambda y: torch.cat(torch.tensor_split(input=y, sections=2, dim=1)[::-1], 1),
     lambda y: y.reshape(y.shape[0] * y.shape[1], 1, *y.shape[2:]).relu().reshape(y.shape),
     lambda y: y.reshape(y.shape[0], y.shape[1] * y.shape[2] * y.shape[3]).relu().view(y.shape),
     lambda y: y.reshape(y.shape[0], y.numel() // y.shape[0]).relu().reshape_as(other=y),
     lambda y: y.view(len(y), y.shape[1], y.shape[2:].numel()).softmax(2).view(y.shape),
     lambda y: y.view(y.shape[:1] + (y.shape[1:2] + y.shape[2:])).type(y.type()),
     lambda y: y if y.shape[1] > 1 and y.shape[1] >= 1 else y * 2, lambda y: y.type(torch.FloatTensor) * 2],
)  # fmt: skip
def test_exact_numbers_follow_the_cut(use):
    assert pinned_and_pruned(use) is None


def test_as_many_parts_as_there_are_channels_to_a_part():
    assert "a function of Python" in pinned_and_pruned(lambda y: torch.cat(y.chunk(y.shape[1] // 4, 1)[::-1], 1))


class SplitByAnother(nn.Module):
    """Split sizes that are read from another layer's output."""

    def __init__(self, more, places):
        super().__init__()
        self.more, self.a = more, nn.Conv2d(3, 16, 1)
        self.parts, self.out = nn.Conv2d(16, places, 1), nn.Conv2d(16, 2, 1)

    def forward(self, x):
        a = self.a(x)
        first, second, *rest = self.parts(a).split((a.shape[1], a.shape[1], *self.more), 1)
        return self.out(first * second + sum(part.mean(1, keepdim=True) for part in rest))


@pytest.mark.parametrize("more", [(3,), (), (16,)])
def test_parts_as_large_as_another_tensor_lose_the_same_channels(more):
    torch.manual_seed(0)
    model, x = SplitByAnother(more, 32 + sum(more)), torch.zeros(1, 3, 4, 4)
    small = prune(model, plan(model, x, target="unit:2", budget="macs=60%", allocate="uniform"))
    assert small.a.out_channels < 16 and small.parts.out_channels == 2 * small.a.out_channels + sum(small.more)


def test_what_torchs_modules_store_follows():
    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.start, self.up = nn.Linear(8, 128), nn.ConvTranspose2d(8, 4, 2, 2)
            self.spread, self.out = nn.Unflatten(1, (4, 8, 8)), nn.Conv2d(4, 2, 1)
            self.flat = nn.Linear(256, 256)

        def forward(self, x):
            y = self.up(self.start(x).view(-1, self.up.in_channels, 4, 4)).relu()
            return self.out(self.spread(self.flat(y.flatten(1))))

    torch.manual_seed(0)
    model, x = Decoder(), torch.zeros(1, 8)
    assert {g.id: g.pinned for g in trace(model, x).groups}.items() >= {("start", None), ("flat", None)}
    small = prune(model, plan(model, x, target="unit:2", budget="macs=50%", allocate="uniform"))
    assert small.spread.unflattened_size[0] == small.out.in_channels < 4
    assert model.spread.unflattened_size == (4, 8, 8)


@functools.lru_cache(256)
def folded(shape, p):
    b, c, h, w = shape
    return (b, c, h // p, p, w // p, p), (b, -1, h // p, w // p)


class Fold(nn.Module):
    def forward(self, x):
        apart, together = folded(tuple(x.shape), 2)
        return x.reshape(apart).permute(0, 1, 3, 5, 2, 4).reshape(together)


def test_caches_of_sizes_do_not_show_what_ran_before():
    model = nn.Sequential(
        nn.Conv2d(3, 16, 1), Fold(), nn.Conv2d(64, 16, 1), nn.Upsample(scale_factor=2), nn.Conv2d(16, 16, 1), Fold(),
        nn.Conv2d(64, 4, 1),
    ).eval()  # fmt: skip
    x = torch.zeros(1, 3, 8, 8)
    folded.cache_clear()
    fresh = trace(model, x)
    model(x)
    later = trace(model, x)
    assert fresh.digest() == later.digest()
    assert [g.pinned for g in later.groups] == [None, None, None, "output of the network"]
    assert folded.cache_info().currsize == 0  # no number of the recording is left to others


REMEMBERED = []


def test_a_number_of_another_recording_is_a_literal():
    def remembering(y):
        REMEMBERED.append(y.shape[1])
        return y.reshape(y.shape[0], REMEMBERED[0], 4, 4)

    model, x = Used(remembering), torch.zeros(1, 3, 4, 4)
    assert next(g.pinned for g in trace(model, x).groups if g.id == "map") is None
    assert trace(model, x).digest() == trace(model, x).digest()
    assert next(g.pinned for g in trace(model, x).groups if g.id == "map")
    REMEMBERED.clear()
