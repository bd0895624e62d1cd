"""Weights brought to a grid or a pattern one column after the other; those that are left make up for each.

The order and the updates are those of GPTQ (Frantar et al., ICLR 2023) for grids and SparseGPT (Frantar and Alistarh, ICML
2023) for patterns, after the Optimal Brain Surgeon (Hassibi and Stork, 1993). They start from the weights that least
squares gives for the wanted outputs, from which every departure costs its square in the second moments of the inputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from padless.moments.sums import check_finite
from padless.treat.treatment import KEPT, QUAD, Treatment, nearest_level

DAMPING = 0.01  # of the mean second moment: what is added to each
BLOCK = 64  # columns whose updates reach the others together; a multiple of four


def compensated(weights: Tensor, upper: Tensor, treatments: Sequence[Treatment], *, shared: bool = False) -> Tensor:
    """[treatments, filters, columns] weights [filters, columns] under each, all of them at once.

    `upper` is the `inverse_factor` of the inputs' second moments. Where a treatment is sparse, four neighbouring columns are
    four neighbouring input channels. `shared` says that all filters lie on one grid.
    """
    left, done = weights.repeat(len(treatments), 1), weights.new_empty(len(treatments) * len(weights), weights.shape[1])
    rows = _Rows.of(weights, treatments, shared=shared)
    for start in range(0, weights.shape[1], BLOCK):
        block = slice(start, min(start + BLOCK, weights.shape[1]))
        own = left[:, block].T.contiguous()  # [columns, rows]: each column lies in one piece
        factor = upper[block, block]
        off, stays = torch.empty_like(own), torch.ones_like(own)
        for column, now in enumerate(own):
            if rows.sparse is not None and column % QUAD == 0:
                quad = slice(column, column + QUAD)
                stays[quad] = torch.where(rows.sparse, _strongest(own[quad], factor.diagonal()[quad]), 1.0)
            treated = rows.treated(now) * stays[column]
            off[column] = (now - treated) / factor[column, column]
            own[column + 1 :].addr_(factor[column, column + 1 :], off[column], alpha=-1)
            now.copy_(treated)
        done[:, block] = own.T
        left[:, block.stop :].addmm_(off.T, upper[block, block.stop :], alpha=-1)
    by_treatment: Tensor = done.unflatten(0, (len(treatments), -1))
    return by_treatment


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """What becomes of a column [rows], filters under one treatment after the other."""

    step: Tensor  # of its grid
    half: Tensor  # levels above zero
    free: Tensor | None  # whether there is no grid; None where all have one
    sparse: Tensor | None  # whether two of four stay; None where all do

    @classmethod
    def of(cls, weights: Tensor, treatments: Sequence[Treatment], *, shared: bool) -> "_Rows":
        def each(values: Sequence[Any], dtype: torch.dtype) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=weights.device).repeat_interleave(len(weights))

        gridless = torch.ones_like(weights[:, :1])
        steps = [treatment.step(weights, shared=shared) for treatment in treatments]
        free = each([step is None for step in steps], torch.bool)
        sparse = each([treatment.sparse for treatment in treatments], torch.bool)
        return cls(
            step=torch.cat([gridless if step is None else step for step in steps])[:, 0],
            half=each([(treatment.levels or 1) // 2 for treatment in treatments], weights.dtype),
            free=free if free.any() else None,
            sparse=sparse if sparse.any() else None,
        )

    def treated(self, column: Tensor) -> Tensor:
        """Each at the nearest level of its grid."""
        nearest = nearest_level(column, self.step, self.half)
        return nearest if self.free is None else torch.where(self.free, column, nearest)


def _strongest(weights: Tensor, factor: Tensor) -> Tensor:
    """[4, rows] one where a weight is among those whose loss costs most, else zero."""
    cost = (weights / factor[:, None]).square()
    return torch.zeros_like(weights).scatter(0, cost.topk(KEPT, dim=0).indices, 1.0)


def inverse_factor(squares: Tensor) -> Tensor:
    """The upper U of the inverse, U^T U, of damped second moments [columns, columns]: by row what columns behind make up.

    With S = R R^T, R upper triangular, U is the inverse of R; R is the Cholesky factor of S read from its end. Raises
    PadlessError where they are not finite.
    """
    check_finite(squares)
    damping, mean = DAMPING, squares.diagonal().mean().clamp_min(1e-12)
    eye = torch.eye(len(squares), dtype=squares.dtype, device=squares.device)
    while True:
        damped = squares.flip(0, 1)
        damped.diagonal().add_(damping * mean)
        lower, failed = torch.linalg.cholesky_ex(damped)
        if not failed:
            upper: Tensor = torch.linalg.solve_triangular(lower, eye, upper=False).flip(0, 1)
            return upper
        damping *= 10
