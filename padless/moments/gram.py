"""Products of a layer's columns with one another."""

from torch import Tensor

BLOCK = 512  # columns


def gram(rows: Tensor) -> Tensor:
    """X^T X [..., D, D] of rows X [..., N, D]: of many columns, each pair is multiplied once."""
    size = rows.shape[-1]
    if size <= BLOCK:
        return rows.mT @ rows
    products = rows.new_empty(*rows.shape[:-2], size, size)
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        products[..., start:stop, :stop] = rows[..., start:stop].mT @ rows[..., :stop]
        products[..., :start, start:stop] = products[..., start:stop, :start].mT
    return products
