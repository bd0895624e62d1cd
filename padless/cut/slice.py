"""Make the smaller model: every parameter keeps the positions of the kept channels, every module learns its new sizes."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from padless.cut.branches import emptied, unremovable
from padless.cut.hollow import hollow
from padless.errors import TraceError, UsageError
from padless.graph import ChannelGroup, ChannelIds, Graph, Keep, ParameterAxis, kept_positions, places
from padless.graph.shadow import modules_of, rebuilt
from padless.graph.structure import StoredSize

BLOCK = 1 << 18  # elements


def cut(model: nn.Module, graph: Graph, keep: Keep) -> nn.Module:
    """A copy of `model` with only the channels in `keep`, and with the zeros it asks for; the original is only read.

    The copy has the same classes and the same forward, no masks and no added operations. It is not checked: `prune` is.
    Where a group keeps no channel, constants stand for the layers that read it, and what only fed them is taken out.

    Raises UsageError for a group that cannot go altogether.
    """
    gone = emptied(graph, keep)
    if gone and (reason := unremovable(graph, model, gone)):
        raise UsageError(
            f"No channel is kept of {', '.join(group.id for group in gone)}, which must keep some: {reason}."
        )
    small = _sliced(model, graph, _with_one(keep, gone))
    if gone:
        try:
            hollow(small, graph, keep)
        except TraceError as error:
            raise UsageError(
                f"No channel is kept of {', '.join(group.id for group in gone)}, and the network does not run without: "
                f"{str(error).splitlines()[0]} Keep some."
            ) from error
    return small


def _with_one(keep: Keep, gone: Sequence[ChannelGroup]) -> Keep:
    """One channel of each group that goes, as place holder: some operations take no tensors without channels."""
    if not gone:
        return keep
    keep = keep.copy()
    for group in gone:
        keep[group.first] = 1
    return keep


def _sliced(model: nn.Module, graph: Graph, keep: Keep) -> nn.Module:
    """A copy of `model` with the kept positions of every axis."""
    axes: dict[str, list[ParameterAxis]] = defaultdict(list)
    for axis in graph.axes:
        axes[axis.parameter].append(axis)

    def sliced(name: str, tensor: Tensor) -> Tensor:
        kept = {}
        for axis in axes[name]:
            positions = kept_positions(axis.channels, keep)
            if positions is not None:
                kept[axis.axis] = torch.from_numpy(positions).to(tensor.device)
        return _selected(tensor, kept) if kept else tensor.clone()

    pointed = {p.buffer: p.channels for p in graph.positions}
    small = rebuilt(model, lambda name, tensor: _repointed(sliced(name, tensor), pointed.get(name), keep))
    modules = dict(modules_of(small))
    for size in graph.stored:
        _store(modules[size.module], size, int(places(size.channels, keep).sum() / size.scale))
    for path, original in modules_of(model):
        _recompute(modules[path])
        _resize(original, modules[path])
    return small


def _selected(tensor: Tensor, kept: dict[int, Tensor]) -> Tensor:
    """The kept positions of some axes. Rows go in blocks that stay in the cache: a fresh gigabyte is slow to touch."""
    added = any(bool((positions < 0).any()) for positions in kept.values())
    if added or 0 not in kept or len(kept) == 1 or tensor.numel() <= BLOCK:
        for axis, positions in kept.items():
            tensor = tensor.index_select(axis, positions.clamp(min=0))
            if added:
                tensor.index_fill_(axis, (positions < 0).nonzero()[:, 0], 0)
        return tensor
    rows, *columns = (kept[axis] for axis in sorted(kept))
    shape = [len(kept[a]) if a in kept else n for a, n in enumerate(tensor.shape)]
    out = tensor.new_empty(shape)
    step = max(1, BLOCK // tensor[0].numel())
    for start in range(0, len(rows), step):
        block = tensor.index_select(0, rows[start : start + step])
        for axis, positions in zip(sorted(kept)[1:], columns, strict=True):
            block = block.index_select(axis, positions)
        out[start : start + step] = block
    return out


def _repointed(tensor: Tensor, channels: ChannelIds | None, keep: Keep) -> Tensor:
    """Positions along an axis, as they are once some of them are gone."""
    if channels is None:
        return tensor
    rank = np.cumsum(places(channels, keep)) - 1
    return torch.from_numpy(rank)[tensor.cpu()].to(tensor)


def _store(module: nn.Module, size: StoredSize, new: int) -> None:
    if size.index is None:
        setattr(module, size.name, new)
    else:
        old = getattr(module, size.name)
        setattr(module, size.name, type(old)(new if i == size.index else n for i, n in enumerate(old)))


def _recompute(module: nn.Module) -> None:
    """Bring what hooks compute before each run (a weight from its norm and direction, a masked one) up to date."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm | SpectralNorm | BasePruningMethod):
            training, module.training = module.training, False  # as then nothing else is changed
            with torch.no_grad():
                hook(module, ())
            module.training = training


def _resize(original: nn.Module, module: nn.Module) -> None:
    """Bring the sizes that torch's modules keep for people to read up to date with their parameters."""
    before, weight = getattr(original, "weight", None), getattr(module, "weight", None)
    if isinstance(module, nn.modules.batchnorm._NormBase):
        sized = weight if weight is not None else module.running_mean
        module.num_features = module.num_features if sized is None else len(sized)
    elif isinstance(module, nn.modules.conv._ConvNd) and isinstance(weight, Tensor) and isinstance(before, Tensor):
        # Rows and columns of the weight; whichever side is grouped counts each group.
        for side, axis in (("out_channels", 0), ("in_channels", 1)):
            axis = 1 - axis if module.transposed else axis
            per_row = getattr(original, side) // before.shape[axis]
            setattr(module, side, weight.shape[axis] * (module.groups if per_row == original.groups else per_row))
    elif isinstance(module, nn.Linear) and isinstance(weight, Tensor):
        module.out_features, module.in_features = weight.shape
    elif isinstance(module, nn.RNNBase | nn.RNNCellBase):
        first = getattr(module, "weight_ih_l0" if isinstance(module, nn.RNNBase) else "weight_ih")
        module.input_size = first.shape[1] if isinstance(first, Tensor) else module.input_size
    elif isinstance(module, nn.PReLU) and isinstance(weight, Tensor):
        module.num_parameters = len(weight)
    elif isinstance(module, nn.RMSNorm) and isinstance(weight, Tensor):
        module.normalized_shape = tuple(weight.shape)
    elif isinstance(module, nn.GroupNorm) and isinstance(weight, Tensor):
        module.num_channels = len(weight)
