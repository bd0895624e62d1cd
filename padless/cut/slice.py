"""Make the smaller model: every parameter keeps the positions of the kept channels, every module learns its new sizes."""

from collections import defaultdict

import torch
from torch import Tensor, nn

from padless.cost import Mask
from padless.graph import FIXED, Graph, Layer, ParameterAxis
from padless.graph.shadow import rebuilt, tensor_names


def cut(model: nn.Module, graph: Graph, keep: Mask) -> nn.Module:
    """A copy of `model` with only the channels in `keep` (bool [channels]); the original is only read.

    The copy has the same classes and the same forward, no masks and no added operations. It is not checked: `prune` is.
    """
    axes: dict[str, list[ParameterAxis]] = defaultdict(list)
    for axis in graph.axes:
        axes[axis.parameter].append(axis)

    def sliced(name: str, original: Tensor) -> Tensor:
        tensor = original
        for axis in axes[name]:
            kept = torch.from_numpy(((axis.channels == FIXED) | keep[axis.channels]).nonzero()[0]).to(tensor.device)
            if len(kept) < tensor.shape[axis.axis]:
                tensor = tensor.index_select(axis.axis, kept)
        return tensor if tensor is not original else tensor.clone()

    small = rebuilt(model, sliced)
    layers = {layer.weight: layer for layer in graph.layers}
    names = {id(tensor): name for name, tensor in tensor_names(model).items()}  # tied weights have their first name
    for original, module in zip(model.modules(), small.modules(), strict=True):
        _resize(module, layers.get(names.get(id(getattr(original, "weight", None)), "")))
    return small


def _resize(module: nn.Module, layer: Layer | None) -> None:
    """Bring the sizes that a module stores for itself up to date with its parameters."""
    weight = getattr(module, "weight", None)
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        sized = weight if weight is not None else module.running_mean
        module.num_features = module.num_features if sized is None else len(sized)
    elif isinstance(module, nn.modules.conv._ConvNd) and layer is not None and isinstance(weight, Tensor):
        if layer.groups > 1:  # whole groups of filters were cut
            module.groups = weight.shape[0] // (layer.c_out // layer.groups)
        module.out_channels, module.in_channels = weight.shape[0], weight.shape[1] * module.groups
    elif isinstance(module, nn.Linear) and isinstance(weight, Tensor):
        module.out_features, module.in_features = weight.shape
    elif isinstance(module, nn.PReLU) and isinstance(weight, Tensor):
        module.num_parameters = len(weight)
