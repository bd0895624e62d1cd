"""The scales of filters: a grid's own where weights lie on one."""

import numpy as np
import pytest
import torch

from padless.treat.grid import COARSE, scales
from padless.treat.treatment import Treatment


def drawn(rows=8, channels=16, seed=0):
    return torch.randn(rows, channels, 3, 3, generator=torch.Generator().manual_seed(seed))


def on(text, gain=1.0):
    """Filters on a grid, [8, 144]."""
    return (Treatment.parse(text).nearest(drawn()).flatten(1) * gain).double().numpy()


def test_the_largest_weight_is_the_largest_code():
    weights = drawn().flatten(1).double().numpy()
    assert scales(weights) == pytest.approx(np.abs(weights).max(1) / 127)


@pytest.mark.parametrize("text", ["grid:5", "grid:9", "grid:17", "grid:65", "2:4+grid:9"])
def test_weights_on_a_grid_are_stored_as_its_levels(text):
    gain = (
        torch.rand(8, 1, generator=torch.Generator().manual_seed(1)) + 0.5
    )  # as a norm behind the layer gives each filter
    weights = on(text, gain)
    codes = weights / scales(weights)[:, None]
    assert codes == pytest.approx(codes.round(), abs=1e-3)
    assert np.abs(codes).max() <= Treatment.parse(text).levels // 2 + 1e-3


def test_a_grid_of_which_a_filter_has_every_other_level_is_a_wider_one():
    weights = np.tile([0.0, 0.5, -1.0, 0.5], (2, 9))
    assert scales(weights).tolist() == [0.5, 0.5]


def test_a_grid_is_kept_where_it_is_as_exact():
    rng = np.random.default_rng(0)
    codes = rng.choice([0.0, 126.0, 127.0], size=(8, 64))  # nearly one value, and not
    assert scales(codes) == pytest.approx(1.0)
    average = (1 + rng.uniform(-0.004, 0.004, size=(8, 49))) / 49
    assert scales(average) == pytest.approx(average.max(1) / 127)
    ternary = rng.choice([-1.0, 0.0, 1.0], size=(8, 64))
    assert scales(ternary).tolist() == [1.0] * 8
    nearly = rng.choice([-0.995, 0.0, 1.0], size=(8, 64))
    assert scales(nearly) == pytest.approx(np.full(8, 1 / 127))


def test_few_weights_beside_zeros_keep_a_fine_scale():
    """A bias is stored in steps of its filter's scale."""
    one_hot = np.eye(32)
    assert scales(one_hot) == pytest.approx(np.full(32, 1 / 127))


def test_filters_of_zeros_have_a_scale():
    weights = on("grid:9")
    weights[3] = 0.0
    assert (scales(weights) > 0).all() and scales(weights)[0] == pytest.approx(np.abs(weights[0]).max() / 4)
    assert (scales(np.zeros((2, 64))) > 0).all()


def test_what_lies_on_no_grid():
    few = np.array([[1.0], [-3.0]])  # one weight a filter lies on any
    assert scales(few) == pytest.approx(np.array([1.0, 3.0]) / 127)
    fine = np.linspace(-1, 1, 2 * COARSE + 3)[None]  # a level more on either side than is looked for
    assert scales(fine)[0] == pytest.approx(1 / 127)
    one_off, others = on("grid:9"), [0, 1, 2, 3, 4, 6, 7]
    one_off[5, np.flatnonzero(one_off[5])[3]] *= 1.05
    assert scales(one_off)[5] == pytest.approx(np.abs(one_off[5]).max() / 127)
    assert scales(one_off)[others] == pytest.approx(scales(on("grid:9"))[others])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("levels", [9, 17, 33])
def test_halves_lie_on_their_grid(dtype, levels):
    weights = Treatment(levels=levels).nearest(drawn()).to(dtype).flatten(1).double().numpy()
    assert (np.abs(weights).max(1) / scales(weights)).round().max() == levels // 2
