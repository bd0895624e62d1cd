"""Sliced equals masked: the proof that runs after every cut.

Where the removed channels' consumers are zeroed, the original computes what the smaller model must compute.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from padless.batches import mapped, tensors_in
from padless.calls import eager
from padless.cut.draws import Draws
from padless.cut.reference import Reference
from padless.errors import EquivalenceError
from padless.graph import Graph, Keep
from padless.graph.examples import Example
from padless.graph.shadow import eval_only, rebuilt, tensor_names

# Relative; sums in another order round to about 1e-15 and 1e-6.
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4}


def converted(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy in evaluation mode with floating point tensors of `dtype`, on the CPU, which every machine has."""
    return eval_only(rebuilt(model, lambda _, t: t.to("cpu", dtype if t.is_floating_point() else t.dtype, copy=True)))


class _NotFiniteError(EquivalenceError):
    """An output of the original is not finite, perhaps because the network takes other inputs."""


Inputs = Callable[[torch.dtype], tuple[Any, ...]]  # the forward's arguments, floating point tensors of a type


@torch.no_grad()
def equivalence_error(
    model: nn.Module, small: nn.Module, graph: Graph, keep: Keep, *, seed: int = 0, images: Sequence[Any] = ()
) -> float:
    """The largest difference between the cut model and the masked original, over the outputs' largest magnitude.

    Both run once, in evaluation mode, on seeded normal inputs of the traced shapes and types, in float64, or in float32
    where the original's forward converts to that itself. Where an output is not finite on those (a logarithm comes first),
    positive inputs follow, then the first of the calibration `images` [N, ...]. What the forward draws at random is drawn
    for the original; the cut model gets the part that it has kept. Raises EquivalenceError when the difference exceeds
    1e-10 (1e-4 in float32), when an output is not finite on any of these, or when the cut model does not run.
    """
    tried: list[str] = []
    for name, inputs in _inputs(graph.example, seed, images):
        try:
            return _error(model, small, graph, keep, seed, inputs)
        except _NotFiniteError:
            tried.append(name)
    hint = (
        "Check the calibration images and the weights" if tried[-1] == CALIBRATION
        else "Give calibration images from there (--data, or images=), and check the weights"
    )  # fmt: skip
    raise EquivalenceError(
        f"An output of the original is not finite on {', '.join(tried)} inputs, so no cut of it can be checked. Inputs must "
        f"lie where the network lives. {hint}; or prune what comes behind its front end."
    )


CALIBRATION = "calibration"


def _inputs(example: Example, seed: int, images: Sequence[Any]) -> Iterator[tuple[str, Inputs]]:
    """What the check runs on, one after the other, each with its name."""
    yield "normal", lambda dtype: example.arguments(example.random(seed, dtype))
    yield "positive", lambda dtype: example.arguments(example.random(seed, dtype, positive=True))
    tensors = example.of_images(images)
    if tensors:
        given = example.arguments(tensors)
        yield CALIBRATION, lambda dtype: mapped(given, lambda t: t.to(dtype) if t.is_floating_point() else t)


def _error(model: nn.Module, small: nn.Module, graph: Graph, keep: Keep, seed: int, inputs_of: Inputs) -> float:
    reference, draws = Reference(graph, keep), Draws(graph, keep)
    dtype = torch.float64
    try:
        inputs = inputs_of(dtype)
        with draws.original(seed):
            expected = reference.run(converted(model, dtype), inputs)
    except RuntimeError:
        dtype = torch.float32
        inputs = inputs_of(dtype)
        try:
            with draws.original(seed):
                expected = reference.run(converted(model, dtype), inputs)
        except RuntimeError as error:
            raise EquivalenceError(
                f"The original runs neither in float64 nor in float32, so no cut of it can be checked: {error}"
            ) from error
    try:
        with eager(), draws.cut(seed):
            outputs = list(tensors_in(converted(small, dtype)(*inputs)))
    except Exception as error:
        raise EquivalenceError(
            f"The cut model does not run: {error}\nIts forward probably holds a channel count as a number; "
            "such a count cannot follow the cut. The original is unchanged."
        ) from error
    return compare(expected, outputs, TOLERANCES[dtype])


def awakened(model: nn.Module, seed: int = 0) -> nn.Module | None:
    """A copy in which tensors of nothing but zeros are random, or None where there are none.

    A branch that ends in zeros (a residual branch as it is initialised, a fresh layer scale) hides every mistake in it.
    """
    generator = torch.Generator().manual_seed(seed)
    asleep = {n for n, t in tensor_names(model).items() if t.is_floating_point() and t.numel() and not t.any()}

    def wake(name: str, tensor: Tensor) -> Tensor:
        tensor = tensor.to("cpu", copy=True)
        return tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5) if name in asleep else tensor

    return rebuilt(model, wake) if asleep else None


def compare(expected: Sequence[Tensor], outputs: Sequence[Tensor], tolerance: float) -> float:
    """The largest relative difference of two lists of outputs; raises EquivalenceError when they are not the same."""
    worst = 0.0
    largest = max((float(a.abs().max()) for a in expected if a.numel() and a.is_floating_point()), default=0.0)
    for a, b in zip(expected, outputs, strict=True):
        if a.shape != b.shape:
            raise EquivalenceError(f"The cut changed an output's shape from {tuple(a.shape)} to {tuple(b.shape)}.")
        if not torch.isfinite(a).all():
            raise _NotFiniteError("An output of the original is not finite.")
        if not torch.isfinite(b).all():
            raise EquivalenceError(
                "An output of the cut model is not finite where the masked original's is. The cut is refused and the "
                "original unchanged; please report the network."
            )
        a, b = a.double(), b.double()
        # An output that is nothing but rounding (a mean of what was normalised) is measured by the others.
        scale = max(float(a.abs().max()), 1e-3 * largest) if a.numel() else 0.0
        worst = max(worst, float((a - b).abs().max()) / (scale or 1.0) if a.numel() else 0.0)
    if worst > tolerance:
        raise EquivalenceError(
            f"The cut model differs from the masked original by {worst:.1e} of its largest output (at most {tolerance:.0e} "
            "is rounding). The cut is refused and the original unchanged; please report the network."
        )
    return worst
