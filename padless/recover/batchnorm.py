"""Batch norms brought to the statistics of the network as it is now."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from padless.batches import count_of
from padless.calls import evaluating, run
from padless.errors import UsageError

ALONE = "Expected more than 1 value per channel"  # PyTorch's words where a batch has no variance


@torch.no_grad()
def reestimate_batchnorm(model: nn.Module, images: Iterable[Any]) -> int:
    """Replace the running statistics of every batch norm in `model` by averages over `images`, in place.

    `images` are batches [N, C, H, W] as the network takes them: shuffled, from the training data, some hundreds or more.
    They need no labels. A batch of one class alone ruins the statistics. Everything else of the model stays, its
    training mode included. Returns the number of images seen; raises UsageError, with the old statistics back, when there
    are none, or one where a norm sees a single number a channel.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    momenta = [m.momentum for m in norms]
    before = [{name: buffer.clone() for name, buffer in m.named_buffers()} for m in norms]
    seen = 0
    with evaluating(model):
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain average over batches
            norm.train()
        try:
            for batch in images:
                run(model, batch)
                seen += count_of(batch)
            if not seen:
                raise UsageError("No images to re-estimate batch norm on. Was the iterator used up before?")
        except BaseException as error:
            for norm, buffers in zip(norms, before, strict=True):
                for name, buffer in norm.named_buffers():
                    buffer.copy_(buffers[name])
            if isinstance(error, ValueError) and ALONE in str(error):
                raise UsageError(
                    "Batch norm cannot be re-estimated on a single image where a norm sees one number a channel. Give "
                    "batches of two images or more."
                ) from error
            raise
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
    return seen


@torch.no_grad()
def rebase_batchnorm(model: nn.Module, images: Iterable[Any]) -> None:
    """Give every batch norm the statistics of what it gets now, and a scale and shift with which it does what it did.

    In evaluation mode the network stays the function that it was. In training mode, where batches are normed by their own
    statistics, it becomes nearly that function, too: fine-tuning starts from it and not from another. `images` are
    batches as for `reestimate_batchnorm`. Norms without running statistics, or without a scale and shift, stay.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats and m.affine]
    sums = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

    def listen(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, _BatchNorm)
        x = inputs[0].double().transpose(0, 1).flatten(1)
        sums[norm] += torch.stack([torch.full_like(x[:, 0], x.shape[1]), x.sum(1), x.square().sum(1)]).cpu()

    hooks = [norm.register_forward_pre_hook(listen) for norm in norms]
    try:
        with evaluating(model):
            for batch in images:
                run(model, batch)
    finally:
        for hook in hooks:
            hook.remove()
    for norm, (count, total, squares) in sums.items():
        if count[0]:  # else never called
            mean = total / count
            _rebase(norm, mean, (squares / count - mean.square()).clamp_min(0))


def _rebase(norm: _BatchNorm, mean: Tensor, var: Tensor) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None  # as it tracks them
    was_mean, was_var, scale, shift = (
        t.detach().cpu().double() for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    was, now = (was_var + norm.eps).sqrt(), (var + norm.eps).sqrt()
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(var)
    norm.weight.copy_(scale * now / was)
    norm.bias.copy_(shift + scale * (mean - was_mean) / was)
