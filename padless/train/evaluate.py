"""What a network is judged by: accuracy where there are labels, agreement with the dense network where there are none."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from padless.batches import parts_of, tensors_in
from padless.calls import device_of, evaluating, run
from padless.errors import UsageError, expect
from padless.inputs import Images
from padless.progress import bar

BATCH = 500


def evaluate(model: nn.Module, images: Images) -> float:
    """A network on the test set in percent, in its own type, evaluation mode.

    With labels it is the top-1 accuracy. Without it is the agreement with the dense network that answered (`against`):
    the share of samples with the same first choice; for other outputs than class scores [N, K] the share of the dense
    outputs' power that is met, 1 - |y - dense|^2 / |dense|^2, at least 0, a mean over the outputs that keep their channels.

    Raises UsageError when a label lies beyond the network's outputs, or there is nothing to compare with.
    """
    expect(images, Images, "images", "Give padless.load_images(…), or as_images(…).")
    if images.test_labels is not None:
        check_outputs(model, images)
        right = choices(outputs_on(model, images)[0]) == images.test_labels
        return 100.0 * int(right.sum()) / len(right)
    if images.answers is None:
        raise UsageError(f"{images.name} has no labels. Give evaluate padless.against(images, dense).")
    return 100.0 * agreement(outputs_on(model, images), images.answers)


def against(images: Images, dense: nn.Module) -> Images:
    """Samples without labels, with the dense network's answers in their place; others as they are.

    Its outputs on the test set are what `evaluate` compares with. Where they are class scores, its first choices are also
    the labels that `finetune` trains on.
    """
    expect(images, Images, "images", "Give padless.load_images(…), or as_images(…).")
    if images.test_labels is not None:
        return images
    answers = outputs_on(dense, images)
    labels = None
    if _are_scores(answers):
        batches = parts_of(images.train, BATCH)
        with torch.no_grad(), evaluating(dense), bar("Asking the dense network", len(images.train)) as shown:
            chosen = []
            for part in batches:
                chosen.append(run(dense, images.normalised(part)).argmax(1).cpu())
                shown.advance(len(part))
        labels = torch.cat(chosen)
    return replace(images, answers=tuple(answers), train_labels=labels)


def agreement(outputs: Sequence[Tensor], answers: Sequence[Tensor]) -> float:
    """How far outputs are the dense network's answers, from 0 to 1, as `evaluate` says.

    Outputs whose own channels were cut (`outputs=` of `plan`) are left out. Raises UsageError where none is left.
    """
    alike = [pair for pair in zip(outputs, answers, strict=False) if pair[0].shape == pair[1].shape]
    if len(outputs) != len(answers) or not alike:
        shapes = " and ".join(
            ", ".join(str(list(t.shape[1:])) for t in tensors) or "nothing" for tensors in (outputs, answers)
        )
        raise UsageError(
            f"The network's outputs are no cut of the dense network's: {shapes} a sample. Give padless.against the network "
            "that it was cut from."
        )
    if _are_scores(answers):
        return float((choices(outputs[0]) == choices(answers[0])).double().mean())
    met = []
    for output, answer in alike:
        output, answer = output.double(), answer.double()
        power = float(answer.square().sum())
        lost = float((output - answer).square().sum())
        met.append(max(0.0, 1 - lost / power) if power else float(lost == 0))
    return sum(met) / len(met)


def choices(scores: Tensor) -> Tensor:
    """The class of the highest score, for each of [N, K]."""
    return scores.argmax(1)


def _are_scores(outputs: Sequence[Tensor]) -> bool:
    return len(outputs) == 1 and outputs[0].ndim == 2 and outputs[0].shape[1] > 1


@torch.no_grad()
def outputs_on(model: nn.Module, images: Images) -> list[Tensor]:
    """The network's outputs on the test set, on the CPU: [N, ...], flat where samples are not their first axis."""
    columns: list[list[Tensor]] = []
    with evaluating(model), bar("Testing", len(images.test)) as shown:
        for part in parts_of(images.test, BATCH):
            outputs = [t.cpu() for t in tensors_in(run(model, images.normalised(part)))]
            columns.append([t if t.ndim and len(t) == len(part) else t.flatten() for t in outputs])
            shown.advance(len(part))
    return [torch.cat(column) for column in zip(*columns, strict=True)]


def check_outputs(model: nn.Module, images: Images) -> None:
    """Raises UsageError when the network gives no class scores, or a label lies beyond them."""
    with evaluating(model), torch.no_grad():
        outputs = run(model, images.normalised(images.test[:1]))
    _check_scores(outputs, "")
    if images.classes > outputs.shape[1]:
        raise UsageError(
            f"{images.name} has labels up to {images.classes - 1}, the network {outputs.shape[1]} outputs."
        )


def check_trainable(model: nn.Module, images: Images) -> None:
    """Raises UsageError when `finetune` cannot train the network, in either mode."""
    expect(images, Images, "images", "Give padless.load_images(…), or as_images(…).")
    check_outputs(model, images)
    if images.train_labels is None:
        raise UsageError(
            f"{images.name} has no labels. Give finetune padless.against(images, dense): the dense network's choices."
        )
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
