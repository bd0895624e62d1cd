"""The accuracy back without labels or training, by the method that held-out images speak for."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from padless.batches import count_of, parts_of
from padless.calls import evaluating, like_model
from padless.choose import Plan
from padless.choose.replay import retrace
from padless.cut import cut
from padless.errors import UsageError, expect, suggest
from padless.graph import Graph, Keep
from padless.graph.shadow import original_of, single, tensor_names
from padless.recover.batchnorm import rebase_batchnorm, reestimate_batchnorm
from padless.recover.closed_form import Mode, reconstruct
from padless.recover.judge import BATCH, HALVES, Judge, apart, fitting, read, restore, tensors

SOLVED: tuple[Mode, ...] = get_args(Mode)
METHODS = ("auto", "none", "bn", *SOLVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What was done. `held_out` is the disagreement with the dense network on held-out images, a method each.

    That is the divergence of the class probabilities in nats (Kullback and Leibler's) for class scores [N, K], else the
    squared error over the outputs' variance. `method` has `+bn` where batch norm was re-estimated after it.
    """

    method: str
    images: int
    seconds: float = field(compare=False)
    held_out: Mapping[str, float]


@torch.inference_mode(False)
@torch.no_grad()
def recover(small: nn.Module, model: nn.Module, plan: Plan, images: Iterable[Any], *, method: str = "auto") -> Recovery:
    """Bring `small`, which is `model` cut by `plan`, back to the outputs of `model`, in place, without labels.

    `images` are batches [N, ...] as the network takes them (tuples of several arguments, or dictionaries): shuffled, from
    the training data, some hundreds. `method`:

    - `none`: nothing; `small` may have been recovered in an earlier stage.
    - `bn`: the statistics of batch norms are re-estimated.
    - `mix`: from the weights of the cut, each layer's missing inputs are replaced by linear combinations of those that are
      left, in seconds.
    - `least-squares`: each layer's weights are solved for, on all their inputs, starting there; wide layers are mixed.
    - `auto`: the one of these that agrees best with `model` on held-out images (an eighth of them).

    After `mix` and `least-squares` batch norm is re-estimated where the held-out images gain by it; where not, its
    statistics become those of its inputs now, and scale and shift make up for it, so that training starts from the same
    function. Layers are solved from the first to the last on their present inputs, all images at once: of more than fit
    into 4 GiB of activations (both networks together) the first are taken. The training mode stays. Raises UsageError when
    there are no images, or when `small` is not that cut; then, and whenever it is stopped, `small` is as it was.
    """
    if method not in METHODS:
        raise UsageError(f"Unknown recovery {method!r}. {suggest(method, METHODS)}")
    expect(plan, Plan, "plan", "Read it with padless.Plan.read(path).")
    graph = retrace(model, plan)
    small, model = original_of(small), original_of(model)
    keep = plan.mask(graph)
    batches = fitting(read(images, plan.takes), graph)
    if any(p.dtype in HALVES for p in small.parameters()):  # sums and solutions need more digits
        wide = single(small)
        recovery = _recovered(wide, single(model), graph, keep, batches, method)
        restore(small, tensors(wide))
        return recovery
    return _recovered(small, model, graph, keep, batches, method)


def _recovered(small: nn.Module, model: nn.Module, graph: Graph, keep: Keep, images: Any, method: str) -> Recovery:
    fresh = cut_tensors(small, model, graph, keep)
    x, started = like_model(images, small), time.monotonic()
    solved_on, held = apart(x)
    before = tensors(small)
    with evaluating(small), evaluating(model):
        judge = Judge(small, model, held)
        try:
            for candidate in _CANDIDATES.get(method, (method,)):
                restore(small, before)
                if candidate == "none":
                    judge.look("none")
                    continue
                mode = next((mode for mode in SOLVED if mode == candidate), None)
                if mode:
                    restore(small, fresh)
                    reconstruct(small, model, graph, keep, solved_on, mode)
                    judge.look(mode)
                if _reestimated(small, solved_on):
                    judge.look(f"{mode}+bn" if mode else "bn")
            restore(small, judge.best)
            if judge.chosen in SOLVED:
                rebase_batchnorm(small, parts_of(solved_on, BATCH))
                if not judge.unchanged():  # such as where norms share their scale
                    restore(small, judge.best)
        except BaseException:
            restore(small, before)
            raise
    seconds = time.monotonic() - started
    return Recovery(method=judge.chosen, images=count_of(x), seconds=seconds, held_out=judge.errors)


_CANDIDATES = {"auto": ("none", "bn", "mix", "least-squares"), "bn": ("none", "bn")}


def _reestimated(small: nn.Module, x: Any) -> bool:
    """Re-estimate batch norms; whether there are any."""
    if not any(isinstance(m, _BatchNorm) for m in small.modules()):
        return False
    reestimate_batchnorm(small, parts_of(x, BATCH))
    return True


def cut_tensors(small: nn.Module, model: nn.Module, graph: Graph, keep: Keep) -> dict[str, Tensor]:
    """The tensors of the cut before any recovery. Raises UsageError where `small` does not have their shapes."""
    tensors = tensor_names(cut(model, graph, keep))
    wanted = {name: t.shape for name, t in tensors.items()}
    shapes = {name: t.shape for name, t in tensor_names(small).items()}
    if wanted != shapes:
        name = next(n for n in (*wanted, *shapes) if wanted.get(n) != shapes.get(n))
        raise UsageError(
            f"The network is not the model cut by this plan: {name} is {_shape(shapes.get(name))}, the plan "
            f"makes it {_shape(wanted.get(name))}. Give padless.prune(model, plan), and the model that it was made from."
        )
    return tensors


def _shape(shape: torch.Size | None) -> str:
    return "missing" if shape is None else str(list(shape))
