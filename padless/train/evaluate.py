"""The accuracy that a network is judged by."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from padless.calls import device_of, evaluating, run
from padless.errors import UsageError, expect
from padless.inputs import Images
from padless.progress import bar


@torch.no_grad()
def evaluate(model: nn.Module, images: Images, *, batch: int = 500) -> float:
    """Top-1 accuracy on the test set in percent, in the model's own type, evaluation mode.

    Raises UsageError when a label lies beyond the network's outputs.
    """
    check_outputs(model, images)
    right = 0
    with evaluating(model), bar("Testing", len(images.test)) as shown:
        for x, y in zip(images.test.split(batch), images.test_labels.split(batch), strict=True):
            right += int((run(model, images.normalised(x)).argmax(1).cpu() == y).sum())
            shown.advance(len(x))
    return 100.0 * right / len(images.test)


def check_outputs(model: nn.Module, images: Images) -> None:
    """Raises UsageError when the network gives no class scores, or a label lies beyond them."""
    expect(images, Images, "images", "Give padless.load_images(…), or as_images(…).")
    with evaluating(model), torch.no_grad():
        outputs = run(model, images.normalised(images.test[:1]))
    _check_scores(outputs, "")
    if images.classes > outputs.shape[1]:
        raise UsageError(
            f"{images.name} has labels up to {images.classes - 1}, the network {outputs.shape[1]} outputs."
        )


def check_trainable(model: nn.Module, images: Images) -> None:
    """Raises UsageError when `finetune` cannot train the network, in either mode."""
    check_outputs(model, images)
    if not any(p.requires_grad for p in model.parameters()):
        raise UsageError("No parameter of the network requires gradients: there is nothing to train.")
    trial = copy.deepcopy(model).train()  # batch norms take note of what they see
    with torch.no_grad(), torch.random.fork_rng():
        _check_scores(trial(images.normalised(images.train[:2]).to(device_of(model))), " in training mode")


def _check_scores(outputs: Any, when: str) -> None:
    if not isinstance(outputs, Tensor) or outputs.ndim != 2:
        shape = list(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise UsageError(
            f"The network gives {shape}{when}; expected class scores [N, K]. Wrap it, or use your own loop: a pruned "
            "network is an ordinary module."
        )
