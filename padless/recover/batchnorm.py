"""Batch norm re-estimation: the statistics of the network as it is now."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from padless.errors import UsageError
from padless.modes import device_of, evaluating


@torch.no_grad()
def reestimate_batchnorm(model: nn.Module, images: Iterable[Tensor]) -> int:
    """Replace the running statistics of every batch norm in `model` by averages over `images`, in place.

    `images` are batches [N, C, H, W] as the network takes them: shuffled, from the training data, some hundreds or more.
    They need no labels. A batch of one class alone ruins the statistics. Everything else of the model stays, its
    training mode included. Returns the number of images seen; raises UsageError, with the old statistics back, when there
    are none.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    momenta = [m.momentum for m in norms]
    before = [{name: buffer.clone() for name, buffer in m.named_buffers()} for m in norms]
    device, seen = device_of(model), 0
    with evaluating(model):
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain average over batches
            norm.train()
        try:
            for batch in images:
                model(batch.to(device))
                seen += len(batch)
            if not seen:
                raise UsageError("No images to re-estimate batch norm on. Was the iterator used up before?")
        except BaseException:
            for norm, buffers in zip(norms, before, strict=True):
                for name, buffer in norm.named_buffers():
                    buffer.copy_(buffers[name])
            raise
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
    return seen
