"""Batch norm re-estimation: the statistics of the network as it is now."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def recover(model: nn.Module, images: Iterable[Tensor]) -> int:
    """Replace the running statistics of every batch norm in `model` by averages over `images`, in place.

    `images` are batches [N, C, H, W] as the network takes them: shuffled, from the training data, some hundreds or more.
    They need no labels. A batch of one class alone ruins the statistics. Everything else of the model stays, its
    training mode included. Returns the number of images seen.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    modes = {m: m.training for m in model.modules()}
    momenta = [m.momentum for m in norms]
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    seen = 0
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over batches
        norm.train()
    try:
        for batch in images:
            model(batch.to(device))
            seen += len(batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in modes.items():
            module.training = training
    return seen
