"""Numbers that know where they come from, and what a cut does with them."""

import copy
import math
from fractions import Fraction

import pytest
import torch
from torch import nn

from padless import plan, prune, trace
from padless.graph.numbers import Attribute, Log, Mixed, Number, Real, Shape, Size, origin

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
    assert (-size(12)).root == Size(3, 1, Fraction(-1))
    assert (stored(12) // 3).root == Attribute("block", "width", None, Fraction(1, 3))


@pytest.mark.parametrize(
    ("number", "value", "kind"),
    [(size(12) // 5, 2, Number), (size(12) + 1, 13, Number), (1 - size(12), -11, Number), (-stored(12) % 5, 3, Number),
     (size(12) * 0.5, 6.0, Real), (size(12) / 2, 6.0, Real), (24 // size(12), 2, Number), (stored(12) // size(4), 3, Number),
     (size(3) * size(4), 12, Number), (stored(3) * stored(4), 12, Number), (size(4) ** -0.5, 0.5, Real),
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
