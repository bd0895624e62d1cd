"""The dense network as a teacher: its class scores, and its maps for the channels that are left."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from padless.calls import class_scores
from padless.choose import Plan
from padless.choose.replay import retrace
from padless.errors import UsageError
from padless.graph import Graph, kept_positions, narrowed
from padless.train.batches import Batch
from padless.train.recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Lesson:
    """The loss of a batch: of labels, and of what a teacher says. Use it as a context: inside, maps are listened to."""

    def __init__(self, model: nn.Module, recipe: Recipe, teacher: nn.Module | None, plan: Plan | None) -> None:
        if recipe.features and (teacher is None or plan is None):
            raise UsageError("Distilling features takes the teacher, and the plan that the network was cut by.")
        self.model, self.recipe = model, recipe
        self.teacher = teacher if recipe.distill or recipe.features else None
        self.taps = _taps(teacher, plan) if recipe.features and teacher and plan else {}
        self.student_maps: dict[str, Tensor] = {}
        self.teacher_maps: dict[str, Tensor] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """The teacher in evaluation mode and without gradients; both networks' maps at the taps are kept."""
        modes = {m: m.training for m in self.teacher.modules()} if self.teacher else {}
        hooks = [
            network.get_submodule(name).register_forward_hook(_kept_in(maps, name))
            for network, maps in ((self.model, self.student_maps), (self.teacher, self.teacher_maps))
            for name in self.taps
            if network
        ]
        try:
            if self.teacher:
                self.teacher.eval()
            yield
        finally:
            for hook in hooks:
                hook.remove()
            for module, training in modes.items():
                module.training = training

    def loss(self, fabric: "Fabric", student: Callable[[Tensor], Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """The mean loss, and how many are right."""
        recipe, logits = self.recipe, class_scores(student(batch.x))
        loss = batch.kept * F.cross_entropy(logits, batch.y, label_smoothing=recipe.label_smoothing)
        if batch.kept < 1:
            loss = loss + (1 - batch.kept) * F.cross_entropy(
                logits, batch.y_mixed_in, label_smoothing=recipe.label_smoothing
            )
        if self.teacher:
            with torch.no_grad(), fabric.autocast():
                teacher_logits = class_scores(self.teacher(batch.x))
            heat = recipe.temperature
            soft = F.kl_div(
                (logits.float() / heat).log_softmax(1), (teacher_logits.float() / heat).log_softmax(1), log_target=True,
                reduction="batchmean",
            )  # fmt: skip
            loss = (1 - recipe.distill) * loss + recipe.distill * heat**2 * soft
            for name, kept in self.taps.items():
                target = self.teacher_maps[name].index_select(1, kept.to(logits.device)).float()
                distance = (self.student_maps[name].float() - target).square().mean()
                error = distance / target.square().mean().clamp_min(1e-12)
                loss = loss + recipe.features / len(self.taps) * error
        return loss, (logits.detach().argmax(1) == batch.y).sum()


def _taps(teacher: nn.Module, plan: Plan) -> Mapping[str, Tensor]:
    """The last convolution at each size of map that is a module called once, and which of its channels are left."""
    graph: Graph = retrace(teacher, plan)
    keep = plan.mask(graph)
    modules = dict(teacher.named_modules())
    left = [layer for layer, now in zip(graph.layers, narrowed(graph, keep), strict=True) if not now.removed]
    last = {layer.out_hw: layer for layer in left if layer.kind != "linear" and layer.name in modules}
    taps = {}
    for layer in last.values():
        kept = kept_positions(layer.outputs, keep)
        if kept is None or (kept >= 0).all():  # channels of zeros have no counterpart
            taps[layer.name] = torch.arange(len(layer.outputs)) if kept is None else torch.from_numpy(kept)
    return taps


def _kept_in(maps: dict[str, Tensor], name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        maps[name] = output

    return hook
