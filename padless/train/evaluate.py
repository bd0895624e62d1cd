"""The accuracy that a network is judged by."""

import torch
from torch import nn

from padless.errors import UsageError
from padless.inputs import Images
from padless.modes import device_of, evaluating
from padless.progress import bar


@torch.no_grad()
def evaluate(model: nn.Module, images: Images, *, batch: int = 500) -> float:
    """Top-1 accuracy on the test set in percent, float32, evaluation mode.

    Raises UsageError when a label lies beyond the network's outputs.
    """
    check_outputs(model, images)
    device, right = device_of(model), 0
    with evaluating(model), bar("Testing", len(images.test)) as shown:
        for x, y in zip(images.test.split(batch), images.test_labels.split(batch), strict=True):
            right += int((model(images.normalised(x).to(device)).argmax(1).cpu() == y).sum())
            shown.advance(len(x))
    return 100.0 * right / len(images.test)


def check_outputs(model: nn.Module, images: Images) -> None:
    """Raises UsageError when a label lies beyond the network's outputs."""
    with evaluating(model), torch.no_grad():
        outputs = model(images.normalised(images.test[:1]).to(device_of(model))).shape[1]
    if images.classes > outputs:
        raise UsageError(f"{images.name} has labels up to {images.classes - 1}, the network {outputs} outputs.")
