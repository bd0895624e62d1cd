"""Inputs that a file is tried on, one at a time, beside what the model answers to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from padless.batches import arguments, count_of, parts_of, tensors_in
from padless.calls import device_of, eager, like_model
from padless.errors import PadlessError, UsageError
from padless.inputs import Images
from padless.progress import bar

Arrays = npt.NDArray[Any]
BATCH = 250


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """`inputs` and `outputs` have for each in- and output of the model an array [n, *its shape for a batch of one]."""

    inputs: list[Arrays]
    outputs: list[Arrays]
    labels: Arrays | None = None  # [n], where they are known

    def __len__(self) -> int:
        return len(self.inputs[0])


def trial_of(model: nn.Module, batches: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> Trial:
    """The images of some batches and the model's answers. `shapes` are those of the model's inputs for a batch of one.

    Raises UsageError for images of another shape, PadlessError where an answer is not finite.
    """
    columns: list[list[Arrays]] = [[] for _ in shapes]
    answers: list[list[Arrays]] = []
    with torch.no_grad(), eager(), bar("Running the model", sum(map(count_of, batches))) as shown:
        for batch in batches:
            for part in parts_of(batch, 1):
                single = like_model(part, model)
                tensors = list(tensors_in(arguments(single)))
                if [tuple(t.shape) for t in tensors] != list(shapes):
                    raise UsageError(
                        f"One of the calibration images is {[list(t.shape) for t in tensors]}; the example is "
                        f"{[list(shape) for shape in shapes]}. Give an example of one image, and images without labels."
                    )
                for column, tensor in zip(columns, tensors, strict=True):
                    column.append(_array(tensor))
                answers.append([_array(t) for t in tensors_in(model(*arguments(single)))])
                shown.advance()
    if not answers:
        raise UsageError("There are no calibration images. Give images=[…], or --data.")
    outputs = [np.stack(column) for column in zip(*answers, strict=True)]
    if not all(np.isfinite(column).all() for column in outputs):
        raise PadlessError(
            "The network's output is not finite on the calibration images, so no file can be compared with it. Look at the "
            "weights, and at how the images are normalised."
        )
    return Trial(inputs=[np.stack(column) for column in columns], outputs=outputs)


@torch.no_grad()
def trial_of_test(model: nn.Module, images: Images) -> Trial:
    """The test set, and the class scores that the model gives it.

    Raises UsageError where it gives none, or fewer than the test set has classes.
    """
    if images.test_labels is None:
        raise UsageError(
            f"{images.name} has no labels. Leave test out: the file is then compared on the calibration images."
        )
    scored = classes_of(model, images)
    if scored is None or scored < images.classes:
        raise UsageError(
            f"The network gives no class scores [N, {images.classes}] for the test images of {images.name}. Leave test out: "
            "then the file is compared on the calibration images."
        )
    device = device_of(model)
    scores, inputs = [], []
    with eager(), bar("Testing the network", len(images.test)) as shown:
        for part in parts_of(images.test, BATCH):
            x = images.normalised(part)
            scores.append(_array(model(x.to(device))))
            inputs.append(_array(x))
            shown.advance(len(part))
    return Trial(
        inputs=[np.concatenate(inputs)[:, None]], outputs=[np.concatenate(scores)[:, None]],
        labels=images.test_labels.numpy(),
    )  # fmt: skip


@torch.no_grad()
def classes_of(model: nn.Module, images: Images) -> int | None:
    """How many class scores the network gives for an image of the test set; None where it gives something else."""
    try:
        with eager():
            scores = model(images.normalised(images.test[:1]).to(device_of(model)))
    except (RuntimeError, TypeError, ValueError, AttributeError):  # it takes something else
        return None
    return scores.shape[1] if isinstance(scores, torch.Tensor) and scores.ndim == 2 else None


def _array(tensor: torch.Tensor) -> Arrays:
    tensor = tensor.detach().cpu()
    return np.asarray(tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy())
