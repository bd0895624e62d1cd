"""Training that empties whole channels before they are cut."""

import numpy as np
import torch
from torch import Tensor, nn

from padless.graph import FIXED, Graph
from padless.graph.shadow import tensor_names


class GroupSparsity:
    """The sum over all channels that may be cut of the norm of every parameter that a cut takes with them.

    A group lasso (Wen et al., arXiv:1608.03665) over the filters, norms and consumers' inputs that are one channel (Fang
    et al., arXiv:2301.12900).
    """

    def __init__(self, graph: Graph, model: nn.Module) -> None:
        free = np.zeros(graph.channels, dtype=bool)
        for group in graph.groups:
            free[group.channels] = group.pinned is None
        tensors = tensor_names(model)
        self.parts: list[tuple[Tensor, int, Tensor, Tensor]] = []  # parameter, axis, places there, their channels
        for axis in graph.axes:
            parameter = tensors.get(axis.parameter)
            if isinstance(parameter, nn.Parameter) and parameter.requires_grad:
                places = np.flatnonzero((axis.channels != FIXED) & free[axis.channels])
                channels = torch.from_numpy(axis.channels[places]).to(parameter.device)
                self.parts.append((parameter, axis.axis, torch.from_numpy(places).to(parameter.device), channels))
        self.free = torch.from_numpy(np.flatnonzero(free))

    def __call__(self) -> Tensor:
        device = self.parts[0][0].device if self.parts else torch.device("cpu")
        squares = torch.zeros(int(self.free.max()) + 1 if len(self.free) else 0, device=device)
        for parameter, axis, places, channels in self.parts:
            rest_of_axes = [a for a in range(parameter.ndim) if a != axis]
            per_channel = parameter.float().square().sum(rest_of_axes) if rest_of_axes else parameter.float().square()
            squares = squares.index_add(0, channels, per_channel[places])
        return (squares[self.free.to(device)] + 1e-12).sqrt().sum()
