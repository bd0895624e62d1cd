"""The least squares of one layer, against the formulas."""

import pytest
import torch
from checks.recovering import FULL
from torch import nn

from padless.recover.solve import RIDGES, Sums, least_squares


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
