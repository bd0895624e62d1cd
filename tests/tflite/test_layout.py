"""Layouts: the order in which a map's elements lie."""

import pytest

from padless.tflite.layout import Layout, moves

pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")


def test_views_regroup_atoms():
    layout = Layout.of((1, 12, 5, 5), (0, 2, 3, 1))
    assert (layout.sizes, layout.axes) == ((1, 5, 5, 12), ((0,), (3,), (1,), (2,)))
    split = layout.viewed((1, 12, 5, 5), (1, 3, 4, 5, 5))
    assert (split.sizes, split.axes) == ((1, 5, 5, 3, 4), ((), (3,), (4,), (1,), (2,)))
    swapped = split.permuted((0, 2, 1, 3, 4))
    joined = swapped.viewed((1, 4, 3, 5, 5), (1, 12, 5, 5))
    assert joined.axes[1] == (4, 3) and joined.order() is None
    assert joined.sequence((0, 2, 3, 1)) == [1, 2, 4, 3]
    assert moves(joined.sizes, [1, 2, 4, 3]) == ((25, 3, 4), (0, 2, 1))
    assert layout.viewed((1, 12, 5, 5), (1, 5, 60)) is None  # it would cut an atom
    assert swapped.order() == (0, 3, 4, 2, 1)


def test_what_lies_as_asked_is_not_moved():
    layout = Layout.of((1, 12, 5, 5), (0, 2, 3, 1))
    assert layout.stored((0, 2, 3, 1)) and layout.stored((2, 0, 3, 1)) and not layout.stored((0, 1, 2, 3))
    assert Layout.of((1, 12, 1, 1)).stored((0, 2, 3, 1))
