"""How much memory a network's activations need at once: the live ranges of its tensors.

A tensor lives from the operation that writes it to the last one that reads it. Channels are padded to the target's memory
block (those of the network's inputs and outputs only where a layout without padding does not exist) and tensors to its
alignment. What compilers for NPUs do without a copy needs no memory of its own: views, what is merged into the operation
before it (normalisation, activation functions), an elementwise operation that may overwrite an operand nobody reads
again, and a concatenation, whose parts are written where they belong.

The answer is the largest sum of what lives at the same time: what an allocator without gaps needs, if whole tensors are
kept. A compiler that cuts maps into stripes and passes them on (cascading) may need less; one that buffers weights in the
same memory needs more.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from padless.graph import Graph, channel_axis
from padless.graph.liveness import moments
from padless.hardware import Target, ceil_div, round_up

Widths = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The most bytes that activations need at once, and the operation (module) at which they do."""

    bytes: int
    where: str


def peak_memory(graph: Graph, target: Target) -> Peak:
    """Live-range analysis of one run of the recorded network, in the precision that the target prices."""
    best = Peak(bytes=0, where="network")
    for moment in moments(graph):
        live = sum(int(value_bytes(graph, value, target)) for value in moment.values)
        if live > best.bytes:
            best = Peak(bytes=live, where=moment.where)
    return best


def value_bytes(graph: Graph, value: int, target: Target, widths: Widths | None = None) -> Widths:
    """Bytes of a recorded value, [] or at each of `widths` of the axis that a cut changes."""
    recording = graph.recording
    shape: list[int | Widths] = list(recording.shape(value))
    if not shape:
        return np.array(0)
    if widths is not None:
        shape[graph.values[value].axis] = widths
    axis = channel_axis(recording.shape(value))
    plain = target.memory.channel_block_optional and value in (*recording.inputs, *recording.outputs)
    block, align = 1 if plain else target.block, target.memory.align_bytes or 1
    shape[axis] = round_up(shape[axis], block)
    elements = math.prod(shape)
    return np.asarray(ceil_div(elements * target.activation_bits, 8 * align) * align)
