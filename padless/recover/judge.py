"""How well a network agrees with the dense one, on images that are held out from what it was solved on."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from padless.batches import batches_of, count_of, images_of, joined, parts_of, tensors_in
from padless.calls import class_scores, run
from padless.errors import UsageError
from padless.graph import Graph
from padless.graph.examples import batch_of
from padless.graph.liveness import moments
from padless.graph.shadow import tensor_names

HELD_OUT = 8  # one image of so many judges, the others are solved on
LIVE_BYTES = 4 << 30  # of activations, of both networks together
BATCH = 128
HALVES = (torch.float16, torch.bfloat16)
SAME = 1e-3  # of the largest output: what rounding may change


def apart(x: Any) -> tuple[Any, Any]:
    """Images to solve on and images held out: of a single one both."""
    count = count_of(x)
    judged = max(1, count // HELD_OUT)
    return images_of(x, 0, count - judged) if count > 1 else x, images_of(x, count - judged)


class Judge:
    """How well a network agrees with the dense one on held-out images, and its best state."""

    def __init__(self, small: nn.Module, model: nn.Module, held: Any) -> None:
        self.small, self.held = small, held
        self.expected = outputs_of(model, held)
        self.errors: dict[str, float] = {}
        self.chosen, self.best, self.outputs = "", tensors(small), self.expected

    def look(self, name: str) -> None:
        outputs = outputs_of(self.small, self.held)
        self.errors[name] = disagreement(self.expected, outputs)
        if not self.chosen or self.errors[name] < self.errors[self.chosen]:
            self.chosen, self.best, self.outputs = name, tensors(self.small), outputs

    def unchanged(self) -> bool:
        """Whether the network still gives what the best one gave."""
        pairs = zip(self.outputs, outputs_of(self.small, self.held), strict=True)
        return all(
            torch.allclose(a, b, rtol=0, atol=SAME * float(a.abs().max())) for a, b in pairs if a.is_floating_point()
        )


def disagreement(expected: list[Tensor], outputs: list[Tensor]) -> float:
    """The divergence of class probabilities in nats for outputs [N, K], else the squared error over the variance.

    Outputs whose own channels were cut are left out.
    """
    if len(expected) == 1 and expected[0].ndim == 2 and expected[0].shape[1] > 1:
        dense, small = (class_scores(t[0]).double().log_softmax(1) for t in (expected, outputs))
        return float(F.kl_div(small, dense, log_target=True, reduction="batchmean"))
    errors = [
        float((a.double() - b.double()).square().mean() / a.double().var(correction=0).clamp_min(1e-30))
        for a, b in zip(expected, outputs, strict=True)
        if a.is_floating_point() and a.numel() and a.shape == b.shape
    ]
    return sum(errors) / max(1, len(errors))


def outputs_of(model: nn.Module, x: Any) -> list[Tensor]:
    parts = [list(tensors_in(run(model, part))) for part in parts_of(x, BATCH)]
    return [torch.cat(tensors) for tensors in zip(*parts, strict=True)]


def read(images: Iterable[Any], takes: int) -> list[Any]:
    """Batches for a network of so many arguments. Raises UsageError where there are none."""
    batches = batches_of(images, takes)
    if not batches or not sum(map(count_of, batches)):
        raise UsageError("No images. Was the iterator used up before?")
    return batches


def fitting(batches: list[Any], graph: Graph) -> Any:
    """Those of the images [N, ...] that fit."""
    shape = graph.recording.shape
    floats = max(sum(math.prod(shape(value)) for value in moment.values) for moment in moments(graph))
    bytes_an_image = 2 * 4 * floats / max(1, batch_of(graph.example_shapes))
    return images_of(joined(batches), 0, max(HELD_OUT, int(LIVE_BYTES / bytes_an_image)))


def tensors(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensor_names(model).items()}


def restore(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    for name, tensor in tensor_names(model).items():
        tensor.copy_(state[name])
