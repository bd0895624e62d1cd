"""The main job, start to end: measure, plan, cut, check, recover, measure again, write one folder."""

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from padless.api import check_prunable, make_plan, read_budgets
from padless.choose import WATCHING
from padless.cut import prune_with_error
from padless.deploy import check_folder, save
from padless.errors import UsageError
from padless.graph import trace
from padless.hardware import Target
from padless.inputs import Images, Source, load_images, load_model, load_weights
from padless.pricing import Pricing
from padless.progress import bar, console
from padless.recover import evaluate, finetune, recover
from padless.report import page

CALIBRATION = 2048  # images for batch norm re-estimation
WATCHED = 512  # images for importance


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What `padless prune` was asked for."""

    model: str
    target: Target
    budgets: tuple[str, ...]
    weights: Path | None = None
    data: str | None = None
    importance: str | None = None
    allocate: str = "optimal"
    align: str = "unit"
    repair: str = "down"
    freeze: tuple[str, ...] = ()
    floor: float = 0.0
    time_limit: float = 10.0
    epochs: int = 0
    seed: int = 0
    input_shape: tuple[int, ...] | None = None
    oracle: str | None = None
    system_config: str | None = None
    memory_mode: str | None = None
    out: Path
    command: str


def run(job: Job) -> dict[str, Any]:
    """Do the job, write its folder and return the summary. Nothing is written when any step fails."""
    check_folder(job.out)
    read_budgets(job.budgets)
    if job.importance in WATCHING and not job.data:
        raise UsageError(f"The importance {job.importance} watches calibration images. Give --data.")
    if job.epochs and not job.data:
        raise UsageError("Fine-tuning needs images. Give --data, or leave --epochs out.")
    torch.manual_seed(job.seed)
    return prune_and_save(job, *opened(job.model, job.weights, job.data, job.input_shape))


def opened(
    model: str, weights: Path | None, data: str | None, input_shape: tuple[int, ...] | None
) -> tuple[Source, Images | None]:
    """A model with its weights, and its images where there are any. Raises UsageError for what is not there."""
    source = load_model(model, input_shape=input_shape)
    if weights:
        load_weights(source.model, weights)
    elif ":" not in model:  # a factory may well bring its own
        console.print(f"No --weights: {model} has random weights, so only its costs mean anything.", style="yellow")
    if not data:
        return source, None
    if len(source.input_shape) != 4:
        raise UsageError(f"Images need an input shape of N,C,H,W; {model} takes {source.input_shape}.")
    check_prunable(trace(source.model, torch.zeros(source.input_shape)))  # before minutes are spent on data
    shape = (source.input_shape[1], source.input_shape[2], source.input_shape[3])
    return source, load_images(data, shape=shape, normalise=source.normalise)


def prune_and_save(job: Job, source: Source, images: Images | None) -> dict[str, Any]:
    """The part of `run` after loading."""
    say = console.print
    example, budgets = torch.zeros(source.input_shape), read_budgets(job.budgets)
    with Pricing(
        source.model,
        (example,),
        job.target,
        oracle=job.oracle,
        system_config=job.system_config,
        memory_mode=job.memory_mode,
    ) as pricing:
        dense = pricing.dense()
        plan = make_plan(
            pricing,
            budgets,
            criterion=job.importance,
            images=list(images.calibration(WATCHED, job.seed)) if images else (),
            allocate=job.allocate,
            align=job.align,
            repair=job.repair,
            freeze=job.freeze,
            floor=job.floor,
            time_limit=job.time_limit,
            seed=job.seed,
            dense=dense,
        )
        before: dict[str, Any] = {**dense.totals()}
        after: dict[str, Any] = {}
        if images:
            before["accuracy"] = evaluate(source.model, images)
            say(f"Dense accuracy {before['accuracy']:.2f} %")
        with bar("Cutting, and checking against the masked original", None):
            small, error = prune_with_error(source.model, plan)
        if images:
            after["accuracy_before_recovery"] = evaluate(small, images)
            seen = recover(small, images.calibration(CALIBRATION, job.seed))
            after["accuracy_after_batchnorm"] = evaluate(small, images)
            say(
                f"Cut: {after['accuracy_before_recovery']:.2f} %, batch norm re-estimated on {seen} images: "
                f"{after['accuracy_after_batchnorm']:.2f} %"
            )
            if job.epochs:
                losses = finetune(small, images, epochs=job.epochs, seed=job.seed)
                say(f"Fine-tuned {job.epochs} epoch(s), last mean loss {losses[-1]:.3f}")
            after["accuracy"] = evaluate(small, images) if job.epochs else after["accuracy_after_batchnorm"]
        small.eval()
        final_graph = trace(small, example)
        # Trained weights compress otherwise than the cut ones, so the compiler is asked again.
        with bar("Counting cycles", None):
            final = pricing.whole(small, final_graph)
    summary = {
        "model": job.model,
        "target": job.target.id,
        "input_shape": list(source.input_shape),
        "budgets": [
            {**asdict(outcome), "achieved": budget.of(final), "met": budget.of(final) <= outcome.asked}
            for budget, outcome in zip(budgets, plan.outcomes, strict=True)
        ],
        "solver": asdict(plan.solver) if plan.solver else None,
        "ratio": plan.ratio,
        "importance_kept": plan.importance_kept,
        "importance": plan.importance,
        "allocate": job.allocate,
        "align": job.align,
        "repair": job.repair,
        "freeze": list(job.freeze),
        "floor": job.floor,
        "epochs": job.epochs,
        "data": job.data,
        "before": before,
        "after": {**final.totals(), **after},
        "widths": {
            old.name: {"c_in": [old.c_in, new.c_in], "c_out": [old.c_out, new.c_out]}
            for old, new in zip(pricing.graph.layers, final_graph.layers, strict=True)
        },
        "equivalence_max_error": error,
        "versions": versions(),
        "seed": job.seed,
        "command": job.command,
    }  # fmt: skip
    save(job.out, small, plan, summary, page=page(summary, dense, final))
    return summary


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    found = {"python": platform.python_version()}
    for package in ("padless", "torch", "ethos-u-vela", "torchvision", "timm", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
