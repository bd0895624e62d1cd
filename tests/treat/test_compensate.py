"""Weights on a grid or a pattern: what they are then, and that the others make up for it."""

import itertools

import pytest
import torch

from padless.errors import PadlessError, UsageError
from padless.treat.compensate import DAMPING, compensated, inverse_factor
from padless.treat.treatment import Treatment


def correlated(columns, seed=0, rows=400):
    """Second moments of inputs that say much of one another, and weights of six filters."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.randn(columns, columns, generator=generator, dtype=torch.float64)
    basis += 2 * torch.randn(columns, 1, generator=generator, dtype=torch.float64)
    x = torch.randn(rows, columns, generator=generator, dtype=torch.float64) @ basis
    return x.T @ x / rows, torch.randn(6, columns, generator=generator, dtype=torch.float64)


def loss(w, off, squares):
    return float(torch.einsum("oc,cd,od->", w - off, squares, w - off))


def by_the_book(w, squares, treatment):
    """Column after column: the best of those that are left, each time solved anew."""
    squares = squares + DAMPING * squares.diagonal().mean() * torch.eye(len(squares), dtype=squares.dtype)
    w, step = w.clone(), treatment.step(w)
    for column in range(w.shape[1]):
        inverse = torch.linalg.inv(squares[column:, column:])
        if treatment.sparse and column % 4 == 0:
            # What the loss of each of the four costs is read from the factor, as SparseGPT does.
            factor = torch.linalg.cholesky(inverse, upper=True).diagonal()[:4]
            stays = torch.zeros_like(w[:, :4]).scatter(
                1, (w[:, column : column + 4] / factor).abs().topk(2).indices, 1.0
            )
        now = treatment.on_grid(w[:, column : column + 1], step)[:, 0]
        if treatment.sparse:
            now = now * stays[:, column % 4]
        off = (w[:, column] - now) / inverse[0, 0]
        w[:, column + 1 :] -= off[:, None] * inverse[0, 1:]
        w[:, column] = now
    return w


TREATMENTS = ["grid:3", "grid:9", "grid:33", "2:4", "2:4+grid:9"]


@pytest.mark.parametrize("columns", [4, 24, 136])  # below, and more than, two blocks
@pytest.mark.parametrize("text", TREATMENTS)
def test_blocks_give_what_columns_one_by_one_give(text, columns):
    squares, w = correlated(columns)
    treatment = Treatment.parse(text)
    torch.testing.assert_close(
        compensated(w, inverse_factor(squares), [treatment])[0], by_the_book(w, squares, treatment)
    )


@pytest.mark.parametrize("shared", [False, True])
def test_several_at_once_are_each_alone(shared):
    squares, w = correlated(72)
    treatments = [Treatment.parse(text) for text in TREATMENTS]
    upper = inverse_factor(squares)
    together = compensated(w, upper, treatments, shared=shared)
    for treatment, treated in zip(treatments, together, strict=True):
        torch.testing.assert_close(treated, compensated(w, upper, [treatment], shared=shared)[0])


@pytest.mark.parametrize("text", TREATMENTS)
def test_treated_weights_are_what_they_should_be_and_lose_less_than_rounded_ones(text):
    treatment = Treatment.parse(text)
    for seed in range(5):
        squares, w = correlated(48, seed)
        treated = compensated(w, inverse_factor(squares), [treatment])[0]
        if treatment.levels:
            codes = treated / treatment.step(w)
            assert (codes - codes.round()).abs().max() < 1e-9 and codes.abs().max() < treatment.levels // 2 + 1e-9
        if treatment.sparse:
            assert ((treated != 0).unflatten(1, (-1, 4)).sum(2) <= 2).all()
            kept = w.unflatten(1, (-1, 4)).abs().topk(2, dim=2).indices
            rounded = (
                torch.zeros_like(w).unflatten(1, (-1, 4)).scatter(2, kept, w.unflatten(1, (-1, 4)).gather(2, kept))
            )
            rounded = treatment.on_grid(rounded.flatten(1), treatment.step(w))
        else:
            rounded = treatment.on_grid(w, treatment.step(w))
        assert loss(treated, w, squares) < 0.8 * loss(rounded, w, squares)


def test_the_loss_is_near_the_least_of_all_grids():
    """Against every choice of three levels for four columns."""
    treatment = Treatment.parse("grid:3")
    ratios = []
    for seed in range(20):
        squares, w = correlated(4, seed)
        squares += DAMPING * squares.diagonal().mean() * torch.eye(4, dtype=squares.dtype)
        treated, step = compensated(w, inverse_factor(squares), [treatment])[0], treatment.step(w)
        every = torch.tensor(list(itertools.product((-1.0, 0.0, 1.0), repeat=4)), dtype=w.dtype)
        least = sum(min(loss(w[o : o + 1], codes[None] * step[o], squares) for codes in every) for o in range(len(w)))
        assert least <= loss(treated, w, squares) * (1 + 1e-9)
        ratios.append(loss(treated, w, squares) / least)
    assert sorted(ratios)[10] < 2


def test_inputs_that_never_vary_are_borne():
    w = torch.randn(3, 8, dtype=torch.float64)
    assert (
        compensated(w, inverse_factor(torch.zeros(8, 8, dtype=torch.float64)), [Treatment.parse("grid:5")])
        .isfinite()
        .all()
    )
    singular = -1e-3 * torch.eye(8, dtype=torch.float64)  # as rounding may leave it
    singular[0, 0] = 1.0
    assert compensated(w, inverse_factor(singular), [Treatment.parse("2:4")]).isfinite().all()


@pytest.mark.parametrize("text", ["int8", "grid:17", "2:4", "2:4+grid:9"])
def test_names(text):
    assert str(Treatment.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("grid", "Unknown treatment 'grid'. Such are int8, grid:17, 2:4 and 2:4\\+grid:17"),
        ("grid:17+grid:9", "Unknown treatment"),
        ("2:4+2:4", "Unknown treatment"),
        ("", "Unknown treatment"),
        ("int8+2:4", "Unknown treatment"),
        ("grid:16", "odd number of levels from 3 to 255; got 'grid:16'"),
        ("grid:1", "odd number of levels"),
        ("grid:257", "odd number of levels"),
    ],
)
def test_names_that_are_none(text, message):
    with pytest.raises(UsageError, match=message):
        Treatment.parse(text)


def test_moments_that_are_not_finite():
    squares = torch.eye(8, dtype=torch.float64)
    squares[2, 2] = torch.nan
    with pytest.raises(PadlessError, match="not finite on the calibration images"):
        inverse_factor(squares)
