"""Which channels stay, and what that makes of an axis and of a layer."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from padless.graph.channels import ChannelIds
from padless.graph.structure import FIXED, Graph, Layer

# [channels of the graph] 0: it goes, 1: it stays, 1 + n: it stays with n channels of zeros behind it.
Keep = npt.NDArray[np.int64]


def places(channels: ChannelIds, keep: Keep) -> Keep:
    """How many places each place of an axis becomes."""
    if not len(keep):  # a network without a layer that could be cut
        return np.ones(len(channels), dtype=np.int64)
    count: Keep = np.where(channels == FIXED, 1, keep[channels])
    return count


def kept_positions(channels: ChannelIds, keep: Keep) -> npt.NDArray[np.int64] | None:
    """The positions that stay, -1 for one of zeros; None where all stay as they are.

    Zeros come behind each run of their channel's places, in as long a run: a channel that a flatten repeats fills all
    the pixels of one map before the next one begins.
    """
    count = places(channels, keep)
    if count.max(initial=1) <= 1:
        return None if count.all() else count.nonzero()[0]
    starts = np.flatnonzero(np.diff(channels, prepend=channels[0] - 1))
    runs = zip(starts.tolist(), [*starts[1:].tolist(), len(channels)], strict=True)
    parts = [np.arange(a, b) if i == 0 else np.full(b - a, -1) for a, b in runs for i in range(count[a])]
    return np.concatenate(parts)


def narrowed(graph: Graph, keep: Keep) -> tuple[Layer, ...]:
    """The layers as they will be once only the channels in `keep` are left, without cutting anything."""

    def kept(channels: ChannelIds) -> ChannelIds:
        return np.repeat(channels, places(channels, keep))

    layers = []
    for layer in graph.layers:
        inputs, outputs = kept(layer.inputs), kept(layer.outputs)
        shape = layer.sized(len(inputs), len(outputs))
        if shape.removed:
            layers.append(layer.without_channels)
            continue
        layers.append(
            replace(layer, c_in=len(inputs), c_out=len(outputs), groups=shape.groups, inputs=inputs, outputs=outputs)
        )
    return tuple(layers)
