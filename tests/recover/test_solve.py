"""The least squares of one layer, against the formulas."""

import time

import pytest
import torch
from checks.recovering import FULL
from torch import nn

from padless.errors import PadlessError
from padless.moments.gram import BLOCK, gram
from padless.moments.sums import Rows, Sums
from padless.recover import solve
from padless.recover.solve import RIDGES, least_squares, mixed


@pytest.mark.parametrize("shifts", [True, False])
def test_the_weights_are_those_of_the_ridge_regression(shifts):
    torch.manual_seed(0)
    x, weight, true = torch.randn(400, 6), torch.randn(3, 6), torch.randn(3, 6)
    y = x @ true.T + 0.5 + 0.1 * torch.randn(400, 3)
    fit = least_squares(x, y, {**FULL, "weight": weight}, None, linear=True, shifts=shifts)
    xs, ys = x.double(), y.double()
    if shifts:
        xs, ys = xs - xs.mean(0), ys - ys.mean(0)
    found = []
    for ridge in RIDGES:
        much = ridge * 400 * float((xs.square().mean(0)).mean())
        found.append(torch.linalg.solve(xs.T @ xs + much * torch.eye(6), xs.T @ ys + much * weight.double().T).T)
    assert min(float((fit.weight - w).abs().max()) for w in found) < 1e-5
    if shifts:
        assert torch.allclose(
            fit.shift.double(), y.double().mean(0) - fit.weight.double() @ x.double().mean(0), atol=1e-5
        )
    else:
        assert fit.shift is None


def test_what_is_no_better_on_images_held_out_is_left_alone():
    """Fewer rows than columns, and nothing but noise to learn."""
    torch.manual_seed(0)
    x, y = torch.randn(64, 50), torch.randn(64, 30)
    assert least_squares(x, y, {**FULL, "weight": torch.zeros(30, 50)}, None, linear=True, shifts=False) is None


@pytest.mark.parametrize(("off", "learnt"), [(1e-4, False), (1e-2, True)])
def test_what_differs_by_rounding_is_left_alone(off, learnt):
    """Outputs of the same weights, rounded otherwise, are nothing to learn from."""
    torch.manual_seed(0)
    x, weight = torch.randn(256, 12, 8, 8), torch.randn(12, 1, 3, 3)
    y = nn.functional.conv2d(x, weight * (1 + off * torch.randn(weight.shape)), padding=1, groups=12)
    given = {**FULL, "weight": weight, "groups": 12, "padding": (1, 1), "stride": (1, 1), "dilation": (1, 1)}
    assert (least_squares(x, y, given, None, linear=False, shifts=True) is not None) == learnt


@pytest.mark.parametrize("shifts", [True, False])
def test_few_rows_have_the_answer_that_their_sums_have(shifts):
    torch.manual_seed(0)
    x, start = torch.randn(2, 40, 60).double() + 1, torch.randn(2, 60, 3).double()
    y = x @ start + torch.randn(2, 40, 3).double()
    rows, sums = Rows(), Sums()
    for moments in (rows, sums):
        moments.add(x[:, :25], y[:, :25])
        moments.add(x[:, 25:], y[:, 25:])
    for ridge in RIDGES:
        (w, shift), (dual, moved) = sums.ridged(start, ridge, shifts), rows.ridged(start, ridge, shifts)
        assert torch.allclose(w, dual, atol=1e-9) and torch.allclose(shift, moved, atol=1e-9)
        assert rows.error(w, shift) == pytest.approx(sums.error(w, shift), rel=1e-9)
    assert torch.allclose(rows.residual(start), sums.residual(start)) and rows.squares == pytest.approx(sums.squares)


@pytest.mark.parametrize("kind", ["linear", "folded", "conv", "transposed"])
@pytest.mark.parametrize("shifts", [True, False])
def test_few_rows_replace_channels_as_their_sums_do(kind, shifts, monkeypatch):
    """Twelve channels of which nine are there, one of them as zeros, on eight rows."""
    torch.manual_seed(0)
    linear, folded = kind in ("linear", "folded"), 2 if kind == "folded" else 1
    images = 4 if kind == "folded" else 8
    dense = torch.randn(images, 12 * folded) if linear else torch.randn(images, 12, 1, 1)
    kept = torch.tensor([0, 1, 2, -1, 4, 6, 7, 9, 11])
    x = dense.unflatten(1, (12, -1)).index_select(1, kept.clamp_min(0))
    x[:, 3] = 0
    x, dense = (x.flatten(1) if linear else x.reshape(images, 9, 1, 1)).double(), dense.double()
    full = torch.randn({"transposed": (12, 5, 2, 2), "conv": (5, 12, 2, 2)}.get(kind, (5, 12 * folded)))
    shape = list(full.shape)
    shape[0 if kind == "transposed" else 1] = 9 * folded
    given = {"linear": linear, "strides": 4 if kind == "transposed" else None, "shifts": shifts}
    few = mixed(x, dense, torch.empty(shape), full, kept, folded, **given)
    monkeypatch.setattr(solve, "Rows", Sums)
    monkeypatch.setattr(solve, "_replaced_by_rows", solve._replaced_by_sums)
    sums = mixed(x, dense, torch.empty(shape), full, kept, folded, **given)
    assert few.weight.shape == sums.weight.shape and torch.allclose(few.weight, sums.weight, atol=1e-4)
    assert (few.shift is None) == (sums.shift is None) == (not shifts)
    assert not shifts or torch.allclose(few.shift, sums.shift, atol=1e-4)


def test_wide_linear_layers_are_solved_on_few_images_in_time():
    """4,096 inputs and 32 images: their own system would take half a minute."""
    torch.manual_seed(0)
    x, weight = torch.randn(32, 4096), torch.randn(64, 4096)
    started = time.process_time()
    near = mixed(x, x, weight, weight, torch.arange(4096), 1, linear=True, strides=None, shifts=True)
    assert torch.allclose(near.weight, weight, atol=1e-5)
    fit = least_squares(x, x @ weight.T + x[:, :1], {**FULL, "weight": weight}, near, linear=True, shifts=True)
    assert fit is None or fit.weight.isfinite().all()
    assert time.process_time() - started < 5


@pytest.mark.parametrize("rows", [4, 40])
def test_what_is_not_finite_cannot_be_solved(rows):
    x = torch.full((rows, 6), float("nan"))
    with pytest.raises(PadlessError, match="not finite on the calibration images. Check them and the weights"):
        least_squares(x, x[:, :2], {**FULL, "weight": torch.zeros(2, 6)}, None, linear=True, shifts=True)


def test_errors_are_counted_from_sums():
    torch.manual_seed(0)
    x, y, w, shift = (
        torch.randn(2, 50, 4),
        torch.randn(2, 50, 3),
        torch.randn(2, 4, 3).double(),
        torch.randn(2, 3).double(),
    )
    sums = Sums()
    sums.add(x[:, :20], y[:, :20])
    sums.add(x[:, 20:], y[:, 20:])
    exact = (y.double() - x.double() @ w - shift[:, None]).square().sum((0, 2)).mean()
    assert sums.error(w, shift) == pytest.approx(float(exact), rel=1e-5)


def test_windows_of_one_dimension():
    """Whole numbers for stride and padding, as `torch.nn.functional` takes them."""
    torch.manual_seed(0)
    x, weight = torch.randn(64, 4, 20), torch.randn(5, 4, 3)
    given = {**FULL, "weight": torch.zeros(5, 4, 3), "padding": 1}
    fit = least_squares(x, nn.functional.conv1d(x, weight, padding=1), given, None, linear=False, shifts=False)
    assert torch.allclose(fit.weight, weight, atol=0.01)


@pytest.mark.parametrize("columns", [1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 3])
@pytest.mark.parametrize("sets", [(), (2,)])
def test_products_of_columns(columns, sets):
    rows = torch.randn(*sets, 20, columns, dtype=torch.float64)
    assert torch.allclose(gram(rows), rows.mT @ rows, rtol=0, atol=1e-12)
