"""Sliced equals masked: the proof that runs after every cut.

Where the removed channels' consumers are zeroed, the original computes what the smaller model must compute.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from padless.cost import Mask
from padless.errors import EquivalenceError
from padless.graph import FIXED, Graph
from padless.graph.record import tensors_of
from padless.graph.shadow import rebuilt

TOLERANCE = 1e-10  # relative, in float64; rounding of sums in another order gives about 1e-14


def _double(_name: str, tensor: Tensor) -> Tensor:
    """In float64 on the CPU, which every machine has."""
    return tensor.to("cpu", torch.float64 if tensor.is_floating_point() else tensor.dtype, copy=True)


def masked(model: nn.Module, graph: Graph, keep: Mask) -> nn.Module:
    """A float64 copy of the original in which every consumer of a removed channel has zeros for it."""
    columns = {axis.parameter: axis.channels for axis in graph.axes if axis.axis == 1}
    weights = {layer.weight for layer in graph.layers}

    def zeroed(name: str, tensor: Tensor) -> Tensor:
        tensor = _double(name, tensor)
        if name in weights and name in columns:
            removed = (columns[name] != FIXED) & ~keep[columns[name]]
            tensor[:, torch.from_numpy(removed)] = 0
        return tensor

    return rebuilt(model, zeroed).eval()


@torch.no_grad()
def equivalence_error(model: nn.Module, small: nn.Module, graph: Graph, keep: Mask, *, seed: int = 0) -> float:
    """The largest difference between the cut model and the masked original, over the outputs' largest magnitude.

    Both run once in float64 and evaluation mode on seeded normal inputs of the traced shapes. Raises EquivalenceError
    when the difference exceeds 1e-10, when an output is not finite, or when the cut model does not run.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = [torch.randn(s, generator=generator, dtype=torch.float64) for s in graph.example_shapes]
    small64 = rebuilt(small, _double).eval()
    try:
        found = list(tensors_of(small64(*inputs)))
    except Exception as error:
        raise EquivalenceError(
            f"The cut model does not run: {error}\nIts forward probably holds a channel count as a number; "
            "such a count cannot follow the cut. The original is unchanged."
        ) from error
    return compare(list(tensors_of(masked(model, graph, keep)(*inputs))), found)


def compare(expected: Sequence[Tensor], found: Sequence[Tensor]) -> float:
    """The largest relative difference of two lists of outputs; raises EquivalenceError when they are not the same."""
    worst = 0.0
    for a, b in zip(expected, found, strict=True):
        if a.shape != b.shape:
            raise EquivalenceError(f"The cut changed an output's shape from {tuple(a.shape)} to {tuple(b.shape)}.")
        if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
            raise EquivalenceError("An output is not finite, so the cut cannot be checked. Check the weights.")
        scale = float(a.abs().max()) if a.numel() else 0.0
        worst = max(worst, float((a - b).abs().max()) / (scale or 1.0) if a.numel() else 0.0)
    if worst > TOLERANCE:
        raise EquivalenceError(
            f"The cut model differs from the masked original by {worst:.1e} of its largest output (at most {TOLERANCE:.0e} "
            "is rounding). The cut is refused and the original unchanged; please report the network."
        )
    return worst
