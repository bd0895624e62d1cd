"""Fine-tuning of a run's folder into another one: whole or not there, resumable in between."""

import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from padless.choose import Plan
from padless.cost import NetworkCost
from padless.errors import UsageError
from padless.files import digest
from padless.hardware import Target
from padless.inputs import Images, LoadedModel
from padless.progress import console, quiet
from padless.report.making import priced_again, with_tests
from padless.report.notes import notes
from padless.report.report import Report
from padless.report.summary import FILE, Finetuned, Summary
from padless.runs.again import (
    costs,
    expect_dense,
    reopened,
    spent,
    taken_up,
    tested,
    treated,
    treated_note,
    treatments_of,
)
from padless.runs.exchange import claimed, mended
from padless.runs.facts import measures, versions
from padless.runs.folder import DENSE, PLAN, WEIGHTS, check_folder, load, save
from padless.runs.job import CALIBRATION
from padless.runs.trust import Repeated, believed, vouched
from padless.train import LOG, Checkpoints, Recipe, evaluate, finetune, make_fabric

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetuning:
    """What `padless finetune` was asked for."""

    folder: Path
    out: Path
    recipe: Recipe
    repeated: Repeated = field(default_factory=Repeated)  # its data are those of the run by default
    preprocess: str | None = None  # that of the run by default
    weights: Path | None = None
    accelerator: str = "auto"
    devices: int = 1
    resume: bool = False
    checkpoint_seconds: float = 60.0
    held_out: float = 0.0  # the share of the training images that is not trained on, to compare runs by
    command: str


def run_finetuning(job: Finetuning) -> Summary | None:
    """Fine-tune, write the folder, return its summary; None in processes that only help.

    While it runs, `OUT.training` holds the checkpoints and the log. Raises UsageError for what does not fit together.
    """
    summary, report, target, data = taken_up(job.folder, job.out, job.repeated)
    start = _file_digest(job.folder / WEIGHTS)
    check_folder(job.out)
    with claimed(job.out):
        scratch = _scratch(job, summary, data, start)
        if scratch is None:
            return Summary.read(job.out)
        fabric = make_fabric(job.accelerator, job.devices, job.recipe.precision)
        with quiet(not fabric.is_global_zero):
            return _trained(job, summary, report, target, data, start, scratch, fabric)


def run_until(job: Finetuning, epoch: int) -> float:
    """Fine-tune as `run_finetuning` with these options does, pause after an epoch, and test on the images held out.

    Returns the accuracy there in percent (without labels the agreement with the dense network's choices). What
    `run_finetuning` does afterwards goes on from it. Raises what that raises.
    """
    summary = Summary.read(mended(job.folder))
    believed(job.folder, summary, job.repeated, prices=True, images=True)
    plan, fabric = Plan.read(job.folder / PLAN), make_fabric(job.accelerator, job.devices, job.recipe.precision)
    data = job.repeated.data or summary.data or ""
    loaded, images = reopened(job.folder, summary, plan, job.weights, data, _preprocess(job, summary))
    small, apart = load(job.folder, loaded.model), images.held_out(job.held_out)
    teacher = _teacher(job, summary, loaded, images)
    checkpoints = Checkpoints(job.out.with_name(f"{job.out.name}.training"), job.checkpoint_seconds)
    with claimed(job.out):
        finetune(
            small, apart, job.recipe, teacher=teacher, plan=plan, checkpoints=checkpoints, fabric=fabric, until=epoch
        )
    return evaluate(small.cpu(), apart)


def _trained(
    job: Finetuning,
    summary: Summary,
    report: Report,
    target: Target,
    data: str,
    start: str,
    scratch: Path,
    fabric: "Fabric",
) -> Summary | None:
    plan = Plan.read(job.folder / PLAN)
    loaded, images = reopened(job.folder, summary, plan, job.weights, data, _preprocess(job, summary))
    teacher = _teacher(job, summary, loaded, images)
    small = load(job.folder, loaded.model)
    before = evaluate(small, images)
    console.print(f"Before: {before:.2f} %")
    treatments = treatments_of(summary, small, plan, loaded.model)
    trained_on = images.held_out(job.held_out) if job.held_out else images
    history = finetune(
        small, trained_on, job.recipe, teacher=teacher, plan=plan,
        checkpoints=Checkpoints(scratch, job.checkpoint_seconds), fabric=fabric,
    )  # fmt: skip
    if not fabric.is_global_zero:
        return None
    small = small.cpu()
    treating = None
    if treatments:  # training moves weights off their levels
        count = summary.treating.images if summary.treating else CALIBRATION
        treating = treated(
            small, images, images.calibration(count, summary.seed), treatments, plan, dense=None,
            before=evaluate(small, images), folder=str(job.folder), data=data,
        )  # fmt: skip
    dense_cost, cost = costs(summary, target, plan, loaded.model.cpu(), small, treating)
    scores = tested(small, images, summary, treating)
    epochs, after = job.recipe.epochs, treating.before if treating else scores[images.measured]
    console.print(f"Fine-tuned {epochs} epoch(s), last mean loss {history.losses[-1]:.3f}: {after:.2f} %")
    finetuned = Finetuned(
        start=start, folder=str(job.folder), data=data, recipe=asdict(job.recipe), devices=fabric.world_size,
        accelerator=fabric.device.type, before=before, after=after, losses=history.losses,
        seconds=round(history.seconds, 1), images_per_second=round(history.images_per_second, 1),
        held_out=len(images.train) - len(trained_on.train),
    )  # fmt: skip
    noted = (*notes(dense_cost, cost), *([treated_note(treating)] if treating else []))
    tuned = replace(_continued(summary, finetuned, job, cost, scores), treating=treating, notes=noted)
    kept = loaded.model if (job.folder / DENSE).exists() else None
    report = with_tests(
        priced_again(report, dense_cost, cost), summary.before, scores, images.measured, len(images.test),
        counted=images.counted,
    )  # fmt: skip
    own = vouched(job.folder, summary, job.repeated, tuned)
    save(job.out, small, plan, tuned, report=report, log=(scratch / LOG).read_text(), dense=kept, own=own)
    shutil.rmtree(scratch)
    return tuned


def _preprocess(job: Finetuning, summary: Summary) -> str | None:
    return job.preprocess or summary.preprocess


def _teacher(job: Finetuning, summary: Summary, loaded: LoadedModel, images: Images) -> nn.Module | None:
    """The dense network, where it teaches. Raises UsageError where it is not the one that the run cut, and is needed."""
    teaches = bool(job.recipe.distill or job.recipe.features)
    answers = images.answers is not None and not summary.regularize  # that changes it after it has answered
    if teaches or answers:
        task = "whose answers stand for labels" if answers else "that is to teach"
        expect_dense(job.folder, summary, loaded, task, "" if answers else ", or --distill 0")
    return loaded.model if teaches else None


def _continued(
    summary: Summary, finetuned: Finetuned, job: Finetuning, cost: NetworkCost, scores: dict[str, float]
) -> Summary:
    """The run's summary, of the network as it is now."""
    return replace(
        spent(summary, cost), after=measures(cost, scores), epochs=job.recipe.epochs, finetuning=finetuned,
        versions=versions(), command=job.command, files={}, data=summary.data or finetuned.data,
        preprocess=_preprocess(job, summary),
    )  # fmt: skip


def _scratch(job: Finetuning, summary: Summary, data: str, start: str) -> Path | None:
    """Where checkpoints go; None where the result is there already."""
    scratch = job.out.with_name(f"{job.out.name}.training")
    if job.resume and (job.out / FILE).exists():
        there = Summary.read(job.out)
        done, asked = there.finetuning, (str(job.folder), start, data, _preprocess(job, summary), asdict(job.recipe))
        if done and (done.folder, done.start, done.data, there.preprocess, done.recipe) == asked:
            console.print(f"{job.out} is finished already.")
            shutil.rmtree(scratch, ignore_errors=True)  # a kill may have come before that
            return None
    if scratch.exists() and not job.resume:
        raise UsageError(f"{scratch} holds a fine-tuning that was stopped. Go on with --resume, or remove it.")
    return scratch


def _file_digest(file: Path) -> str:
    try:
        return digest(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error}.") from error
