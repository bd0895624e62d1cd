"""A network beside another form of it, such as a file: inputs to try both on, and whether their outputs agree."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from padless.batches import mapped, tensors_in
from padless.calls import eager
from padless.errors import PadlessError
from padless.graph.examples import Example
from padless.graph.shadow import rebuilt

Arrays = npt.NDArray[Any]
TOLERANCE = 1e-3  # of the largest output, in float32: kernels sum in other orders
TOLERANCES = {torch.float16: 2e-2, torch.bfloat16: 5e-2}  # a few units of their last place


@torch.no_grad()
def finite_run(model: nn.Module, example: tuple[Any, ...], seed: int) -> tuple[tuple[Any, ...], list[Tensor]]:
    """Inputs on which the outputs are finite, normal, positive or the example itself, and the outputs.

    Raises PadlessError where there are none.
    """
    spec = Example.of(example)
    random = (spec.random(seed, positive=positive) for positive in (False, True))
    for tensors in (*random, [t.detach().cpu() for t in tensors_in(example)]):
        x = spec.arguments(tensors)
        with eager():
            expected = list(tensors_in(model(*x)))
        if all(torch.isfinite(t).all() for t in expected):
            return x, expected
    raise PadlessError(
        "An output of the model is not finite, neither on normal and positive inputs nor on the example, so an exported "
        "file could not be checked. Give padless.export an example from where the network lives, and check the weights."
    )


def agreed(
    model: nn.Module,
    x: tuple[Any, ...],
    expected: Sequence[Tensor],
    got: Sequence[Tensor],
    file: Path,
    precision: torch.dtype,
) -> float:
    """The largest difference between what the model and a file of that precision answer to `x`.

    Where all outputs are nearly zero, it may be ten times float32's own rounding. Raises PadlessError beyond that.
    """
    for number, (a, b) in enumerate(zip(expected, got, strict=True)):
        if a.shape != b.shape:
            raise PadlessError(
                f"Output {number} of {file.name} has the shape {tuple(b.shape)}, the model's {tuple(a.shape)}; not written."
            )
    difference = largest_difference(*([t.double().numpy() for t in tensors] for tensors in (expected, got)))
    tolerance = TOLERANCES.get(precision, TOLERANCE)
    if not difference <= tolerance and not difference <= 10 * _rounding(model, x, expected):
        raise differs(file, difference)
    return difference


def differs(file: Path, difference: float) -> PadlessError:
    return PadlessError(f"{file.name} differs from the model by {difference:.1e} of its largest output; not written.")


def largest_difference(reference: Sequence[Arrays], other: Sequence[Arrays]) -> float:
    """For each output over its own largest number, or a hundredth of the largest of all; the most of them."""
    pairs = [(a.astype(float), b.astype(float)) for a, b in zip(reference, other, strict=True) if a.size]
    largest = [float(np.abs(a).max()) for a, _ in pairs]
    floor = 0.01 * max(largest, default=0.0) or 1.0
    return max(
        (float(np.abs(a - b).max()) / max(own, floor) for (a, b), own in zip(pairs, largest, strict=True)), default=0.0
    )


@torch.no_grad()
def _rounding(model: nn.Module, x: tuple[Any, ...], expected: Sequence[Tensor]) -> float:
    """How far the model's own precision lies from float64."""
    try:
        with eager():
            exact = rebuilt(model, lambda _, t: _wide(t))(*mapped(x, _wide))
    except Exception:  # of any class: it insists on its precision
        return 0.0
    return largest_difference(
        *([t.double().numpy() for t in tensors] for tensors in (list(tensors_in(exact)), expected))
    )


def _wide(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
