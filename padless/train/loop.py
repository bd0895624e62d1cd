"""The fine-tuning loop: from any step to the end, to the same result however often it was stopped."""

import copy
import csv
import io
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from padless.calls import device_of
from padless.choose import Plan
from padless.errors import UsageError
from padless.files import write_atomically
from padless.graph import Graph
from padless.inputs import Images, weights_digest
from padless.progress import bar
from padless.train.batches import Batch, Batches
from padless.train.checkpoint import Checkpoints
from padless.train.evaluate import check_trainable
from padless.train.fabric import GlobalBatchNorm, make_fabric
from padless.train.recipe import Recipe
from padless.train.sparsity import GroupSparsity
from padless.train.teacher import Lesson

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LOG = "log.csv"  # of a training, beside its checkpoints and in the folder of its result


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a training run did: the mean loss of each step and epoch. Seconds and speed are of all processes
    that worked on it, up to the last checkpoint of each that was stopped."""

    step_losses: tuple[float, ...]
    losses: tuple[float, ...]
    seconds: float = field(compare=False)
    images_per_second: float = field(compare=False)


def finetune(
    model: nn.Module,
    images: Images,
    recipe: Recipe | None = None,
    *,
    teacher: nn.Module | None = None,
    plan: Plan | None = None,
    graph: Graph | None = None,
    checkpoints: Checkpoints | None = None,
    fabric: "Fabric | None" = None,
    until: int | None = None,
) -> History:
    """Train `model` in place, all its modules in training mode; evaluation mode at the end.

    The state after the last step stays, not the best one. With a `teacher` (the dense network) its class scores are
    distilled, and with `plan` its features too where the recipe asks for them. Sparsity takes the model's `graph`. With
    `checkpoints` a run goes on from the last one there; each step depends on the seed and its number alone, so the result
    is that of a run that was never stopped. `fabric` says on which devices; by default where the model is. With several
    processes the batch is shared and batch norms see all of it. `until` is an epoch to pause after: the next call with these
    checkpoints goes on from there.

    Raises UsageError when the network gives no class scores, a label lies beyond them, nothing can be trained, a batch
    cannot be shared, or a checkpoint is of another run.
    """
    recipe = recipe or Recipe()
    check_trainable(model, images)
    device = device_of(model)
    fabric = fabric or make_fabric(device.type, [device.index] if device.index is not None else 1, recipe.precision)
    if recipe.sparsity and graph is None:
        raise UsageError("Training towards sparsity takes the model's graph: give graph=padless.trace(model, example).")
    sparsity = GroupSparsity(graph, model) if recipe.sparsity and graph else None
    run = _Run(model, images, recipe, Lesson(model, recipe, teacher, plan), sparsity, fabric)
    if checkpoints:
        run.take_up(checkpoints)
    if until is not None:
        if not checkpoints:
            raise UsageError(
                "Training that pauses needs checkpoints to go on from. Give checkpoints=, or leave until out."
            )
        run.last = min(run.total, max(run.step, until * run.batches.steps))
    return run.to_the_end(checkpoints)


class _Run:
    """Everything that a step changes."""

    def __init__(
        self,
        model: nn.Module,
        images: Images,
        recipe: Recipe,
        lesson: Lesson,
        sparsity: GroupSparsity | None,
        fabric: "Fabric",
    ) -> None:
        self.model, self.recipe, self.lesson, self.sparsity, self.fabric = model, recipe, lesson, sparsity, fabric
        self.batches = Batches(images, recipe, fabric.global_rank, fabric.world_size)
        self.total = self.last = recipe.epochs * self.batches.steps
        self.facts = {
            "recipe": asdict(recipe), "data": images.name, "images": images.digest(), "preprocess": repr(images.preprocess),
            "start": weights_digest(model),
            "teacher": weights_digest(lesson.teacher) if lesson.teacher else None,
        }  # fmt: skip
        self.layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        _lay_out(model, self.layout)
        self.optimiser = torch.optim.SGD(_parameters(model, recipe.weight_decay), recipe.peak_lr, 0.9, nesterov=True)
        self.schedule = _schedule(self.optimiser, recipe, self.total)
        compiled: Any = torch.compile(model) if recipe.compile else model
        self.student, self.stepper = fabric.setup(compiled, self.optimiser)
        self.home = device_of(lesson.teacher) if lesson.teacher else None
        if lesson.teacher:
            _lay_out(lesson.teacher.to(fabric.device), self.layout)
        self.average = copy.deepcopy(model).requires_grad_(False) if recipe.ema else None
        self.losses = torch.zeros(self.total)
        self.right = torch.zeros(self.total)
        self.step = 0
        self.spent, self.started = 0.0, time.monotonic()  # seconds of earlier processes; when this one began

    # --- on and off the disk ---------------------------------------------------------------------------------------

    def take_up(self, checkpoints: Checkpoints) -> None:
        last = checkpoints.read(self.facts)
        if last is None:
            return
        facts, tensors = last
        try:
            self._restore(facts, tensors)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise UsageError(
                f"The checkpoint in {checkpoints.folder} does not hold what this training needs ({error}). Remove it."
            ) from error

    def _restore(self, facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        live = self._live()
        for name, tensor in {**live, "losses": self.losses, "right": self.right}.items():
            if tensors[name].shape != tensor.shape:  # before any of them is changed
                raise ValueError(f"{name} is {list(tensors[name].shape)}, not {list(tensor.shape)}")
        step, spent = facts["step"], float(facts["seconds"])
        if not 0 <= step <= self.total:
            raise ValueError(f"step is {step} of {self.total}")
        self.schedule.load_state_dict(facts["schedule"])
        for group, numbers in zip(self.optimiser.param_groups, facts["groups"], strict=True):
            group.update(numbers)
        for i, parameter in enumerate(self._trained()):
            if f"momentum.{i}" in tensors:
                momentum = tensors[f"momentum.{i}"].to(parameter.device)
                self.optimiser.state[parameter]["momentum_buffer"] = momentum.reshape(parameter.shape)
        with torch.no_grad():
            for name, tensor in live.items():
                tensor.copy_(tensors[name])
        self.step, self.spent = step, spent
        self.losses, self.right = tensors["losses"], tensors["right"]

    def write(self, checkpoints: Checkpoints) -> None:
        momenta = {
            f"momentum.{i}": self.optimiser.state[p]["momentum_buffer"]
            for i, p in enumerate(self._trained())
            if self.optimiser.state[p].get("momentum_buffer") is not None
        }
        groups = [{k: v for k, v in g.items() if isinstance(v, int | float)} for g in self.optimiser.param_groups]
        schedule = {k: v for k, v in self.schedule.state_dict().items() if isinstance(v, int | float | list | str)}
        tensors = {**self._live(), **momenta, "losses": self.losses, "right": self.right}
        write_atomically(checkpoints.folder / LOG, self.log())  # first: no checkpoint is without its log
        facts = {**self.facts, "schedule": schedule, "groups": groups, "seconds": self.seconds()}
        checkpoints.write(self.step, tensors, facts)

    def seconds(self) -> float:
        """Of all processes so far."""
        return self.spent + time.monotonic() - self.started

    def _live(self) -> dict[str, Tensor]:
        networks = {"model": self.model, **({"average": self.average} if self.average else {})}
        return {f"{side}.{name}": t for side, network in networks.items() for name, t in network.state_dict().items()}

    def _trained(self) -> list[Tensor]:
        return [p for group in self.optimiser.param_groups for p in group["params"]]

    def log(self) -> str:
        """One row an epoch that is done, as CSV."""
        text, steps = io.StringIO(), self.batches.steps
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["epoch", "steps", "loss", "training_accuracy_percent"])
        for epoch in range(1, self.step // steps + 1):
            part = slice((epoch - 1) * steps, epoch * steps)
            loss, right = self.losses[part].mean(), 100 * self.right[part].mean()
            rows.writerow([epoch, epoch * steps, f"{loss:.6f}", f"{right:.3f}"])
        return text.getvalue()

    # --- training --------------------------------------------------------------------------------------------------

    def to_the_end(self, checkpoints: Checkpoints | None) -> History:
        self.started, first = time.monotonic(), self.step
        norms = GlobalBatchNorm(self.fabric.world_size) if self.fabric.world_size > 1 else nullcontext()
        self.model.train()
        with (
            torch.random.fork_rng(), self.lesson.listening(), norms, bar("Fine-tuning", self.total) as shown,
        ):  # fmt: skip
            shown.advance(first)
            for batch in self.batches.since(first, self.last):
                self.advance(_moved(batch, self))
                shown.advance(1, self.note())
                ended = self.step % self.batches.steps == 0
                if checkpoints and self.fabric.is_global_zero and (ended or checkpoints.due):
                    self.write(checkpoints)
        if self.average:
            self.model.load_state_dict(self.average.state_dict())
        _lay_out(self.model, torch.contiguous_format)
        if self.lesson.teacher:
            _lay_out(self.lesson.teacher.to(self.home), torch.contiguous_format)
        self.model.eval()
        seconds = self.seconds()
        return History(
            step_losses=tuple(self.losses[: self.last].tolist()),
            losses=tuple(float(part.mean()) for part in self.losses[: self.last].split(self.batches.steps)),
            seconds=seconds,
            images_per_second=self.last * self.batches.size / max(seconds, 1e-9),
        )

    def advance(self, batch: Batch) -> None:
        """One step."""
        recipe, fabric = self.recipe, self.fabric
        # What draws numbers inside the network (dropout) does so from the step alone, on each device anew.
        torch.manual_seed(self.batches.generator(self.step).initial_seed() + fabric.global_rank)
        loss, right = self.lesson.loss(fabric, self.student, batch)
        if self.sparsity:
            loss = loss + recipe.sparsity * self.sparsity()
        self.stepper.zero_grad(set_to_none=True)
        fabric.backward(loss)
        if recipe.clip:
            fabric.clip_gradients(self.student, self.stepper, max_norm=recipe.clip, error_if_nonfinite=False)
        self.stepper.step()
        self.schedule.step()
        loss_and_accuracy = torch.stack([loss.detach(), right.float() / len(batch.x)])
        if fabric.world_size > 1:
            loss_and_accuracy = cast(Tensor, fabric.all_reduce(loss_and_accuracy, reduce_op="mean"))
        self.losses[self.step], self.right[self.step] = loss_and_accuracy.cpu()
        self.step += 1
        if self.average:
            averaged(self.average, self.model, min(recipe.ema, self.step / (9 + self.step)))

    def note(self) -> str:
        epoch = (self.step - 1) // self.batches.steps
        part = slice(epoch * self.batches.steps, self.step)
        loss, right = self.losses[part].mean(), 100 * self.right[part].mean()
        return f"epoch {epoch + 1}/{self.recipe.epochs}  loss {loss:.3f}  accuracy {right:.1f} %"


def _lay_out(model: Any, layout: torch.memory_format) -> None:
    model.to(memory_format=layout)


def _moved(batch: Batch, run: _Run) -> Batch:
    x = batch.x.to(run.fabric.device).contiguous(memory_format=run.layout)
    return Batch(x=x, y=batch.y.to(x.device), y_mixed_in=batch.y_mixed_in.to(x.device), kept=batch.kept)


def _parameters(model: nn.Module, weight_decay: float) -> list[dict[str, list[nn.Parameter] | float]]:
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _schedule(optimiser: torch.optim.Optimizer, recipe: Recipe, steps: int) -> torch.optim.lr_scheduler.OneCycleLR:
    """Up in a quarter of the steps and down to nothing; `cosine`: up in a fiftieth, the momentum as it is."""
    total = max(3, steps + 1)
    cycle = recipe.schedule == "one-cycle"
    warm_up = max(2.0, (0.25 if cycle else 0.02) * total) / total  # a phase is divided by its steps less one
    return torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.peak_lr, total_steps=total, pct_start=warm_up, cycle_momentum=cycle
    )


@torch.no_grad()
def averaged(average: nn.Module, model: nn.Module, decay: float) -> None:
    updated: set[int] = set()  # tied weights have several names
    now, mean = cast("dict[str, Tensor]", model.state_dict()), cast("dict[str, Tensor]", average.state_dict())
    for name, tensor in mean.items():
        if tensor.data_ptr() in updated:
            continue
        updated.add(tensor.data_ptr())
        if tensor.is_floating_point():
            tensor.lerp_(now[name], 1 - decay)
        else:
            tensor.copy_(now[name])
