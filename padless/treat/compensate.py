"""Weights brought to a grid or a pattern one column after the other; those that are left make up for each.

The order and the updates are those of GPTQ (Frantar et al., ICLR 2023) for grids and SparseGPT (Frantar and Alistarh, ICML
2023) for patterns, after the Optimal Brain Surgeon (Hassibi and Stork, 1993). They start from the weights that least
squares gives for the wanted outputs, from which every departure costs its square in the second moments of the inputs.
"""

import torch
from torch import Tensor

from padless.moments.sums import check_finite
from padless.treat.treatment import KEPT, QUAD, Treatment

DAMPING = 0.01  # of the mean second moment: what is added to each
BLOCK = 64  # columns whose updates reach the others together; a multiple of four


def compensated(weights: Tensor, upper: Tensor, treatment: Treatment, *, shared: bool = False) -> Tensor:
    """Weights [filters, columns] under a treatment, for inputs whose second moments have the `inverse_factor` `upper`.

    Where it is sparse, four neighbouring columns are four neighbouring input channels. `shared` says that all filters lie
    on one grid.
    """
    left, done = weights.clone(), torch.zeros_like(weights)
    step = treatment.step(weights, shared=shared)
    for start in range(0, weights.shape[1], BLOCK):
        block = slice(start, min(start + BLOCK, weights.shape[1]))
        own, factor = left[:, block].clone(), upper[block, block]
        off = torch.zeros_like(own)
        stays = torch.ones_like(own)
        for column in range(own.shape[1]):
            if treatment.sparse and column % QUAD == 0:
                quad = slice(column, column + QUAD)
                stays[:, quad] = _strongest(own[:, quad], factor.diagonal()[quad])
            now = treatment.on_grid(own[:, column : column + 1], step)[:, 0] * stays[:, column]
            off[:, column] = (own[:, column] - now) / factor[column, column]
            own[:, column + 1 :] -= off[:, column, None] * factor[column, column + 1 :]
            done[:, start + column] = now
        left[:, block.stop :] -= off @ upper[block, block.stop :]
    return done


def _strongest(weights: Tensor, factor: Tensor) -> Tensor:
    """[filters, 4] one where a weight is among those whose loss costs most, else zero."""
    cost = (weights / factor).square()
    return torch.zeros_like(weights).scatter(1, cost.topk(KEPT, dim=1).indices, 1.0)


def inverse_factor(squares: Tensor) -> Tensor:
    """The upper U of the inverse, U^T U, of damped second moments [columns, columns]: by row what columns behind make up.

    Raises PadlessError where they are not finite.
    """
    check_finite(squares)
    damping, mean = DAMPING, squares.diagonal().mean().clamp_min(1e-12)
    eye = torch.eye(len(squares), dtype=squares.dtype, device=squares.device)
    while True:
        lower, failed = torch.linalg.cholesky_ex(squares + damping * mean * eye)
        if not failed:
            upper: Tensor
            upper, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
            if not failed:
                return upper
        damping *= 10
