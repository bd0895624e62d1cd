"""What a layer's rows say of its weights: ridge regression from sums of squares, or from the rows where they are few.

With D columns and n rows the sums are D x D and their system takes D^3 steps. The same answer follows from the n x n
products of the rows (the dual, by Woodbury's identity): with fewer rows than columns that is less by (D / n)^3.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from padless.errors import PadlessError
from padless.moments.gram import gram


@dataclass(slots=True, kw_only=True)
class Sums:
    """Second moments of rows X [G, rows, D] and wanted outputs Y [G, rows, O], a set a group of filters, float64."""

    rows: int = 0
    xx: Any = 0.0  # [G, D, D]
    xy: Any = 0.0  # [G, D, O]
    yy: Any = 0.0  # [G, O]
    x: Any = 0.0  # [G, D]
    y: Any = 0.0  # [G, O]

    @property
    def squares(self) -> float:
        """The sum of all squares of Y."""
        return float(self.yy.sum())

    def add(self, x: Tensor, y: Tensor) -> None:
        self.rows += x.shape[1]
        self.xx += gram(x).double()
        self.xy += (x.transpose(1, 2) @ y).double()
        self.yy += y.square().sum(1, dtype=torch.float64)
        self.x += x.sum(1, dtype=torch.float64)
        self.y += y.sum(1, dtype=torch.float64)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            rows=self.rows + other.rows, xx=self.xx + other.xx, xy=self.xy + other.xy, yy=self.yy + other.yy,
            x=self.x + other.x, y=self.y + other.y,
        )  # fmt: skip

    def residual(self, w: Tensor) -> Tensor:
        """[G, O] the mean of Y - X w, w [G, D, O]."""
        mean: Tensor = self.y / self.rows - self._through(w)
        return mean

    def error(self, w: Tensor, shift: Tensor) -> float:
        """The mean squared error of Y ~ X w + shift, summed over outputs."""
        fitted = self.xx @ w
        squares = self.yy - 2 * (w * self.xy).sum(1) + (w * fitted).sum(1) + self.rows * shift.square()
        squares = squares - 2 * shift * (self.y - (w * self.x[:, :, None]).sum(1))
        return float(squares.sum()) / max(1, self.rows)

    def ridged(self, start: Tensor, ridge: float, shifts: bool) -> tuple[Tensor, Tensor]:
        """w [G, D, O], pulled towards `start` by `ridge` times the mean variance of a column, and the shift [G, O].

        Raises PadlessError where X or Y are not finite.
        """
        xx, xy = self.xx / self.rows, self.xy / self.rows
        if shifts:
            mean_x, mean_y = self.x / self.rows, self.y / self.rows
            xx = xx - mean_x[:, :, None] * mean_x[:, None]
            xy = xy - mean_x[:, :, None] * mean_y[:, None]
        check_finite(xx, xy)
        scale = xx.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-12)[:, None, None]
        factor, ridge = _factored(xx, scale, ridge)
        w = torch.cholesky_solve(xy + ridge * scale * start, factor)
        return w, mean_y - self._through(w) if shifts else torch.zeros_like(self.y)

    def _through(self, w: Tensor) -> Tensor:
        """[G, O] the mean of X w."""
        mean: Tensor = (w * self.x[:, :, None]).sum(1) / self.rows
        return mean


@dataclass(slots=True, kw_only=True)
class Rows:
    """Rows themselves, float64: with the answers that `Sums` has, for fewer rows than columns."""

    rows: int = 0
    x: list[Tensor] = field(default_factory=list)  # [G, some rows, D] each
    y: list[Tensor] = field(default_factory=list)  # [G, some rows, O] each

    @property
    def squares(self) -> float:
        return sum(float(y.square().sum()) for y in self.y)

    def add(self, x: Tensor, y: Tensor) -> None:
        self.rows += x.shape[1]
        self.x.append(x.double())
        self.y.append(y.double())

    def __add__(self, other: "Rows") -> "Rows":
        return Rows(rows=self.rows + other.rows, x=[*self.x, *other.x], y=[*self.y, *other.y])

    def residual(self, w: Tensor) -> Tensor:
        x, y = self.together()
        return (y - x @ w).mean(1)

    def error(self, w: Tensor, shift: Tensor) -> float:
        x, y = self.together()
        return float((y - x @ w - shift[:, None]).square().sum()) / max(1, self.rows)

    def ridged(self, start: Tensor, ridge: float, shifts: bool) -> tuple[Tensor, Tensor]:
        x, y = self.together()
        weights = self.row_weights(y - x @ start, ridge, shifts)
        centred = x - x.mean(1, keepdim=True) if shifts else x
        w = start + centred.transpose(1, 2) @ weights
        return w, self.residual(w) if shifts else torch.zeros_like(y[:, 0])

    def row_weights(self, off: Tensor, ridge: float, shifts: bool) -> Tensor:
        """[G, rows, O] how much of each row the answer has more than the start, whose outputs are `off` by so much."""
        x = self.together()[0]
        if shifts:
            x, off = x - x.mean(1, keepdim=True), off - off.mean(1, keepdim=True)
        check_finite(x, off)
        scale = (x.square().sum((1, 2)) / self.rows / x.shape[2]).clamp_min(1e-12)[:, None, None]
        factor, _ = _factored(x @ x.transpose(1, 2) / self.rows, scale, ridge)
        return torch.cholesky_solve(off, factor) / self.rows

    def together(self) -> tuple[Tensor, Tensor]:
        """X and Y."""
        if len(self.x) > 1:
            self.x, self.y = [torch.cat(self.x, 1)], [torch.cat(self.y, 1)]
        return self.x[0], self.y[0]


def check_finite(*sums: Tensor) -> None:
    """Raises PadlessError for what was summed up over images."""
    if not all(bool(each.isfinite().all()) for each in sums):
        raise PadlessError(
            "A layer's inputs or outputs are not finite on the calibration images. Check them and the weights."
        )


def _factored(squares: Tensor, scale: Tensor, ridge: float) -> tuple[Tensor, float]:
    """The Cholesky factor of squares + ridge * scale, and the ridge: one that fails gets a ridge ten times as high."""
    eye = torch.eye(squares.shape[1], dtype=squares.dtype, device=squares.device)
    while True:
        factor, failed = torch.linalg.cholesky_ex(squares + ridge * scale * eye)
        if not failed.any():
            return factor, ridge
        ridge *= 10
