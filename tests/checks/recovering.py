"""Images, cut networks, and how far two networks are apart."""

import numpy as np
import torch
from torch import nn

from padless import plan, prune, trace
from padless.cut import cut

X = torch.zeros(1, 3, 16, 16)
FULL = {"bias": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}


def images(count=64, shape=(3, 16, 16), seed=0):
    """Smooth ones, as images are: neighbours agree."""
    noise = torch.randn(
        count, shape[0], *(n // 4 + 1 for n in shape[1:]), generator=torch.Generator().manual_seed(seed)
    )
    return nn.functional.interpolate(noise, size=shape[1:], mode="bilinear")


def cut_by_half(model, x=X, target="unit:4", share="50%"):
    made = plan(model, x, target=target, budget=f"macs={share}")
    return made, prune(model, made).eval()


def apart(a, b, x):
    with torch.no_grad():
        return float((a(x) - b(x)).square().mean())


def cut_first(model, layer, count, x=X):
    graph = trace(model, x)
    keep = np.ones(graph.channels, dtype=np.int64)
    group = graph.group(layer)
    keep[group.first : group.first + count] = 0
    return graph, keep, cut(model, graph, keep).eval()
