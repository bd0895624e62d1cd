"""The accuracy back without labels or training, by the method that held-out images speak for."""

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from padless.calls import batches_of, class_scores, count_of, evaluating, images_of, joined, like_model, parts_of, run
from padless.choose import Plan
from padless.choose.replay import retrace
from padless.cut import cut
from padless.errors import UsageError, expect, suggest
from padless.graph import Graph, Keep
from padless.graph.examples import batch_of
from padless.graph.liveness import moments
from padless.graph.record import tensors_of
from padless.graph.shadow import original_of, single, tensor_names
from padless.recover.batchnorm import rebase_batchnorm, reestimate_batchnorm
from padless.recover.closed_form import Mode, reconstruct

SOLVED: tuple[Mode, ...] = get_args(Mode)
METHODS = ("auto", "none", "bn", *SOLVED)
HELD_OUT = 8  # one image of so many judges, the others are solved on
LIVE_BYTES = 4 << 30  # of activations, of both networks together
BATCH = 128
HALVES = (torch.float16, torch.bfloat16)
SAME = 1e-3  # of the largest output: what rounding may change


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
    batches = _fitting(images, graph, plan.takes)
    if any(p.dtype in HALVES for p in small.parameters()):  # sums and solutions need more digits
        wide = single(small)
        recovery = _recovered(wide, single(model), graph, keep, batches, method)
        _restore(small, _tensors(wide))
        return recovery
    return _recovered(small, model, graph, keep, batches, method)


def _recovered(small: nn.Module, model: nn.Module, graph: Graph, keep: Keep, images: Any, method: str) -> Recovery:
    fresh = _cut_tensors(small, model, graph, keep)
    x, started = like_model(images, small), time.monotonic()
    count = count_of(x)
    judged = max(1, count // HELD_OUT)
    held = images_of(x, count - judged)
    solved_on = images_of(x, 0, count - judged) if count > 1 else x
    before = _tensors(small)
    with evaluating(small), evaluating(model):
        judge = _Judge(small, model, held)
        try:
            for candidate in _CANDIDATES.get(method, (method,)):
                _restore(small, before)
                if candidate == "none":
                    judge.look("none")
                    continue
                mode = next((mode for mode in SOLVED if mode == candidate), None)
                if mode:
                    _restore(small, fresh)
                    reconstruct(small, model, graph, keep, solved_on, mode)
                    judge.look(mode)
                if _reestimated(small, solved_on):
                    judge.look(f"{mode}+bn" if mode else "bn")
            _restore(small, judge.best)
            if judge.chosen in SOLVED:
                rebase_batchnorm(small, parts_of(solved_on, BATCH))
                if not judge.unchanged():  # such as where norms share their scale
                    _restore(small, judge.best)
        except BaseException:
            _restore(small, before)
            raise
    seconds = time.monotonic() - started
    return Recovery(method=judge.chosen, images=count, seconds=seconds, held_out=judge.errors)


_CANDIDATES = {"auto": ("none", "bn", "mix", "least-squares"), "bn": ("none", "bn")}


class _Judge:
    """How well a network agrees with the dense one on held-out images, and its best state."""

    def __init__(self, small: nn.Module, model: nn.Module, held: Any) -> None:
        self.small, self.held = small, held
        self.expected = _outputs(model, held)
        self.errors: dict[str, float] = {}
        self.chosen, self.best, self.outputs = "", _tensors(small), self.expected

    def look(self, name: str) -> None:
        outputs = _outputs(self.small, self.held)
        self.errors[name] = disagreement(self.expected, outputs)
        if not self.chosen or self.errors[name] < self.errors[self.chosen]:
            self.chosen, self.best, self.outputs = name, _tensors(self.small), outputs

    def unchanged(self) -> bool:
        """Whether the network still gives what the best one gave."""
        pairs = zip(self.outputs, _outputs(self.small, self.held), strict=True)
        return all(
            torch.allclose(a, b, rtol=0, atol=SAME * float(a.abs().max())) for a, b in pairs if a.is_floating_point()
        )


def disagreement(expected: list[Tensor], outputs: list[Tensor]) -> float:
    """The divergence of class probabilities in nats for outputs [N, K], else the squared error over the variance.

    Outputs whose own channels were cut are left out.
    """
    if len(expected) == 1 and expected[0].ndim == 2 and expected[0].shape[1] > 1:
        dense, small = (class_scores(t[0]).double().log_softmax(1) for t in (expected, outputs))
        return float(F.kl_div(small, dense, log_target=True, reduction="batchmean"))
    errors = [
        float((a.double() - b.double()).square().mean() / a.double().var(correction=0).clamp_min(1e-30))
        for a, b in zip(expected, outputs, strict=True)
        if a.is_floating_point() and a.numel() and a.shape == b.shape
    ]
    return sum(errors) / max(1, len(errors))


def _outputs(model: nn.Module, x: Any) -> list[Tensor]:
    parts = [list(tensors_of(run(model, part))) for part in parts_of(x, BATCH)]
    return [torch.cat(tensors) for tensors in zip(*parts, strict=True)]


def _reestimated(small: nn.Module, x: Any) -> bool:
    """Re-estimate batch norms; whether there are any."""
    if not any(isinstance(m, _BatchNorm) for m in small.modules()):
        return False
    reestimate_batchnorm(small, parts_of(x, BATCH))
    return True


def _fitting(images: Iterable[Any], graph: Graph, takes: int) -> Any:
    """The images [N, ...] that fit."""
    batches = batches_of(images, takes)
    if not batches or not sum(map(count_of, batches)):
        raise UsageError("No images to recover on. Was the iterator used up before?")
    shape = graph.recording.shape
    floats = max(sum(math.prod(shape(value)) for value in moment.values) for moment in moments(graph))
    bytes_an_image = 2 * 4 * floats / max(1, batch_of(graph.example_shapes))
    return images_of(joined(batches), 0, max(HELD_OUT, int(LIVE_BYTES / bytes_an_image)))


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensor_names(model).items()}


def _restore(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    for name, tensor in tensor_names(model).items():
        tensor.copy_(state[name])


def _cut_tensors(small: nn.Module, model: nn.Module, graph: Graph, keep: Keep) -> dict[str, Tensor]:
    """The tensors of the cut before any recovery. Raises UsageError where `small` does not have their shapes."""
    tensors = tensor_names(cut(model, graph, keep))
    wanted = {name: t.shape for name, t in tensors.items()}
    shapes = {name: t.shape for name, t in tensor_names(small).items()}
    if wanted != shapes:
        name = next(n for n in (*wanted, *shapes) if wanted.get(n) != shapes.get(n))
        raise UsageError(
            f"The network to recover is not the model cut by this plan: {name} is {_shape(shapes.get(name))}, the plan "
            f"makes it {_shape(wanted.get(name))}. Give padless.prune(model, plan), and the model that it was made from."
        )
    return tensors


def _shape(shape: torch.Size | None) -> str:
    return "missing" if shape is None else str(list(shape))
