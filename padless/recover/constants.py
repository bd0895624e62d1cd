"""What stands in the place of removed branches brought to their mean: the constant nearest to what they gave."""

from typing import Any

import torch
from torch import Tensor, nn

from padless.batches import parts_of
from padless.calls import run
from padless.cut.hollow import Constant, Settled, silent_layers
from padless.graph import Graph, Keep, kept_positions
from padless.graph.shadow import modules_of
from padless.recover.judge import BATCH


@torch.no_grad()
def centre(small: nn.Module, dense: nn.Module, graph: Graph, keep: Keep, x: Any) -> None:
    """Give each constant of `small`, in place, the mean over images x [N, ...] of what `dense` has there.

    `small` is `dense` (with `graph`) cut to `keep`; both are in evaluation mode.
    """
    silent = {each.last: each for each in silent_layers(graph, keep, dense)}
    if not silent:
        return
    modules, originals = dict(modules_of(small)), dict(modules_of(dense))
    sums: dict[str, Tensor] = {}

    def listen(path: str, y: Tensor) -> None:
        rows = (y if isinstance(originals[silent[path].path], nn.Linear) else y.movedim(1, -1)).flatten(0, -2).double()
        total = torch.cat([rows.sum(0), rows.new_tensor([len(rows)])])
        sums[path] = total if path not in sums else sums[path] + total

    hooks = [originals[path].register_forward_hook(lambda _m, _x, y, path=path: listen(path, y)) for path in silent]
    try:
        for part in parts_of(x, BATCH):
            run(dense, part)
    finally:
        for hook in hooks:
            hook.remove()
    outputs = {layer.weight.removesuffix(".weight"): layer.outputs for layer in graph.layers}
    for path, total in sums.items():
        mean = total[:-1] / total[-1]
        kept = kept_positions(outputs[silent[path].path], keep)
        if kept is not None:
            at = torch.from_numpy(kept).to(mean.device)
            mean = torch.where(at >= 0, mean[at.clamp(min=0)], 0.0)
        constant, norm = modules[silent[path].path], modules[path]
        assert isinstance(constant, Constant)
        _give(constant, norm if isinstance(norm, Settled) else None, mean)


def _give(constant: Constant, norm: Settled | None, mean: Tensor) -> None:
    """Move the shift of what comes last so that it gives `mean` [C]."""
    if norm is None:
        constant.bias.copy_(mean)
        return
    missing = mean - norm(constant.bias.reshape(1, -1, 1)).reshape(-1)
    if norm.bias is not None:
        norm.bias.add_(missing.to(norm.bias))
    else:
        scale = (norm.running_var + norm.eps).sqrt() / (1 if norm.weight is None else norm.weight)
        constant.bias.add_((missing * scale).nan_to_num(0, 0, 0).to(constant.bias))  # a weight may be 0
