"""The main job, start to end: measure, plan, cut, check, recover, measure again, write one folder."""

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from padless.choose import Outcome, Plan
from padless.choose.budget import read_budgets
from padless.choose.restrict import check_prunable
from padless.cost.pricing import Pricing
from padless.deploy import Int8
from padless.errors import UsageError, suggest
from padless.graph import trace
from padless.hardware import Target
from padless.importance import WATCHING
from padless.inputs import Images, LoadedModel, load_images, load_model, load_weights, weights_digest
from padless.progress import bar, console
from padless.recover import METHODS, Recovery, recover
from padless.report import page
from padless.runs.folder import check_folder, save
from padless.runs.stages import Staged, prune_in_stages
from padless.train import Recipe, check_trainable, evaluate, finetune

CALIBRATION = 512  # images for importance and recovery
SPARSITY = 0.01  # weight of the channels' norms where a network is regularised before it is cut


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
    steps: int = 1
    recover: str = "auto"
    calibration: int = CALIBRATION
    regularize: int = 0
    epochs: int = 0
    int8: bool = False
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
    if not job.data:
        for asked, what in (
            (job.epochs, "Fine-tuning needs images. Give --data, or leave --epochs out."),
            (job.regularize, "Training needs images. Give --data, or leave --regularize out."),
            (job.int8, "INT8 needs images to be calibrated on. Give --data."),
        ):
            if asked:
                raise UsageError(what)
    if job.recover not in METHODS:
        raise UsageError(f"recover cannot be {job.recover!r}. {suggest(job.recover, METHODS)}")
    torch.manual_seed(job.seed)
    return prune_and_save(job, *opened(job.model, job.weights, job.data, job.input_shape))


def opened(
    model: str, weights: Path | None, data: str | None, input_shape: tuple[int, ...] | None
) -> tuple[LoadedModel, Images | None]:
    """A model with its weights, and its images where there are any. Raises UsageError for what is not there."""
    loaded = load_model(model, input_shape=input_shape)
    if weights:
        load_weights(loaded.model, weights)
    elif ":" not in model:  # a factory may well bring its own
        console.print(f"No --weights: {model} has random weights, so only its costs mean anything.", style="yellow")
    if not data:
        return loaded, None
    if len(loaded.input_shape) != 4:
        raise UsageError(f"Images need an input shape of N,C,H,W; {model} takes {loaded.input_shape}.")
    check_prunable(trace(loaded.model, torch.zeros(loaded.input_shape)))  # before minutes are spent on data
    shape = (loaded.input_shape[1], loaded.input_shape[2], loaded.input_shape[3])
    return loaded, load_images(data, shape=shape, normalise=loaded.normalise)


def prune_and_save(job: Job, loaded: LoadedModel, images: Images | None) -> dict[str, Any]:
    """The part of `run` after loading."""
    say = console.print
    if images and (job.epochs or job.regularize):
        check_trainable(loaded.model, images)
    example, budgets = torch.zeros(loaded.input_shape), read_budgets(job.budgets)
    if images and job.regularize:
        recipe = Recipe(epochs=job.regularize, sparsity=SPARSITY, clip=0.0, seed=job.seed)  # clipped, the pull is lost
        finetune(loaded.model, images, recipe, graph=trace(loaded.model, example))
    with Pricing(
        loaded.model,
        (example,),
        job.target,
        oracle=job.oracle,
        system_config=job.system_config,
        memory_mode=job.memory_mode,
    ) as pricing:
        dense = pricing.dense()
        before: dict[str, Any] = {**dense.totals()}
        after: dict[str, Any] = {}
        calibration = list(images.calibration(job.calibration, job.seed)) if images else []
        if images:
            before["accuracy"] = evaluate(loaded.model, images)
            say(f"Dense accuracy {before['accuracy']:.2f} %")

        def recovered(small: nn.Module, plan: Plan) -> Recovery | None:
            if not images:
                return None
            after["accuracy_before_recovery"] = after["accuracy"] = evaluate(small, images)
            say(f"Cut to {' and '.join(map(_outcome, plan.outcomes))}: {after['accuracy']:.2f} %")
            found = recover(small, loaded.model, plan, calibration, method=job.recover)
            after["accuracy_after_recovery"] = after["accuracy"] = evaluate(small, images)
            say(f"Recovered ({found.method}, {found.images} images, {found.seconds:.1f} s): {after['accuracy']:.2f} %")
            return found

        staged = prune_in_stages(
            pricing, budgets, dense, recovered, steps=job.steps, floor=job.floor, criterion=job.importance,
            images=calibration, allocate=job.allocate, align=job.align, repair=job.repair, freeze=job.freeze,
            time_limit=job.time_limit, seed=job.seed,
        )  # fmt: skip
        small, plan = staged.model, staged.plan
        if images and job.epochs:
            history = finetune(small, images, Recipe(epochs=job.epochs, seed=job.seed), teacher=loaded.model)
            after["accuracy"] = evaluate(small, images)
            say(f"Fine-tuned {job.epochs} epoch(s), last mean loss {history.losses[-1]:.3f}: {after['accuracy']:.2f} %")
        small.eval()
        if images and job.int8:
            for side, network in ((before, loaded.model), (after, small)):
                side["accuracy_int8"] = evaluate(Int8(network, calibration), images)
            say(f"In INT8: {before['accuracy_int8']:.2f} % dense, {after['accuracy_int8']:.2f} % pruned")
        final_graph = trace(small, example)
        # Trained weights compress otherwise than the cut ones, so the compiler is asked again.
        with bar("Counting cycles", None):
            final = pricing.whole(small, final_graph)
    summary = {
        "model": job.model,
        "target": job.target.id,
        "input_shape": list(loaded.input_shape),
        "weights": str(job.weights.absolute()) if job.weights else None,
        "weights_digest": weights_digest(loaded.model),
        "oracle": job.oracle,
        "system_config": job.system_config,
        "memory_mode": job.memory_mode,
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
        "steps": job.steps,
        "recovery": _recovery(staged, after),
        "calibration": job.calibration,
        "regularize": job.regularize,
        "epochs": job.epochs,
        "data": job.data,
        "before": before,
        "after": {**final.totals(), **after},
        "widths": {
            old.name: {"c_in": [old.c_in, new.c_in], "c_out": [old.c_out, new.c_out]}
            for old, new in zip(pricing.graph.layers, final_graph.layers, strict=True)
        },
        "equivalence_max_error": staged.error,
        "versions": versions(),
        "seed": job.seed,
        "command": job.command,
    }  # fmt: skip
    save(job.out, small, plan, summary, page=page(summary, dense, final))
    return summary


def _outcome(outcome: Outcome) -> str:
    return f"{outcome.compiler_total:,.0f} {outcome.budget.partition('=')[0]}"


def _recovery(staged: Staged, after: dict[str, Any]) -> dict[str, Any] | None:
    """Of the last stage; the seconds of all."""
    if not staged.recoveries:
        return None
    return {
        **asdict(staged.recoveries[-1]),
        "seconds": round(sum(found.seconds for found in staged.recoveries), 3),
        "accuracy_before": after["accuracy_before_recovery"],
        "accuracy_after": after["accuracy_after_recovery"],
    }


def versions(*others: str) -> dict[str, str]:
    """The versions that a result depends on; of `others`, too, where they are installed."""
    found = {"python": platform.python_version()}
    for package in ("padless", "torch", "ethos-u-vela", "torchvision", "timm", "numpy", *others):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
