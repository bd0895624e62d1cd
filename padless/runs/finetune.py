"""Fine-tuning of a run's folder into another one: whole or not there, resumable in between."""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from padless.choose import Plan
from padless.choose.budget import read_budgets
from padless.cost.pricing import Pricing
from padless.deploy import Int8
from padless.errors import UsageError
from padless.graph import trace
from padless.hardware import load_target
from padless.inputs import weights_digest
from padless.progress import bar, console
from padless.report import page
from padless.runs.folder import PLAN, SUMMARY, WEIGHTS, check_folder, load, read_summary, save
from padless.runs.prune import opened, versions
from padless.train import LOG, Checkpoints, Recipe, evaluate, finetune, make_fabric

NEEDED = ("data", "weights", "weights_digest", "seed", "input_shape", "target", "oracle", "system_config", "memory_mode",
          "budgets", "calibration", "before", "after")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Finetuning:
    """What `padless finetune` was asked for."""

    folder: Path
    out: Path
    recipe: Recipe
    data: str | None = None  # those of the run by default
    weights: Path | None = None
    accelerator: str = "auto"
    devices: int = 1
    resume: bool = False
    checkpoint_seconds: float = 60.0
    command: str


def run_finetuning(job: Finetuning) -> dict[str, Any] | None:
    """Fine-tune, write the folder, return its summary; None in processes that only help.

    While it runs, `OUT.training` holds the checkpoints and the log. Raises UsageError for what does not fit together.
    """
    summary = read_summary(job.folder)
    if "model" not in summary:
        raise UsageError(
            f"{job.folder} was saved from Python and does not say which model it is of. There, use padless.finetune."
        )
    if missing := [key for key in NEEDED if key not in summary]:
        raise UsageError(f"{job.folder} does not say its {missing[0]}: an older padless made it. Prune again.")
    data = job.data or summary["data"]
    if not data:
        raise UsageError(f"{job.folder} was made without images. Give --data.")
    identity = {
        "from": str(job.folder), "start": _file_digest(job.folder / WEIGHTS), "data": data, "recipe": asdict(job.recipe),
    }  # fmt: skip
    scratch = _checked(job, identity)
    if scratch is None:
        return read_summary(job.out)
    weights = job.weights or (Path(summary["weights"]) if summary["weights"] else None)
    teach = bool(job.recipe.distill or job.recipe.features)
    fabric = make_fabric(job.accelerator, job.devices, job.recipe.precision)
    console.quiet = not fabric.is_global_zero
    torch.manual_seed(summary["seed"])
    shape = tuple(summary["input_shape"])
    loaded, images = opened(summary["model"], weights, data, shape)
    assert images is not None
    if teach and weights_digest(loaded.model) != summary["weights_digest"]:
        raise UsageError(
            f"The dense network that is to teach does not have the weights that {job.folder} was cut from. "
            "Give --weights, or --distill 0."
        )
    small, plan = load(job.folder, loaded.model), Plan.read(job.folder / PLAN)
    before = evaluate(small, images)
    console.print(f"Before: {before:.2f} %")
    history = finetune(
        small, images, job.recipe, teacher=loaded.model if teach else None, plan=plan,
        checkpoints=Checkpoints(scratch, job.checkpoint_seconds), fabric=fabric,
    )  # fmt: skip
    if not fabric.is_global_zero:
        return None
    small, dense = small.cpu(), loaded.model.cpu()
    example = torch.zeros(shape)
    with (
        bar("Counting cycles", None),
        Pricing(
            dense, (example,), load_target(summary["target"]), oracle=summary["oracle"],
            system_config=summary["system_config"], memory_mode=summary["memory_mode"],
        ) as pricing,
    ):  # fmt: skip
        costs = pricing.whole(dense, pricing.graph), pricing.whole(small, trace(small, example))
    accuracy = evaluate(small, images)
    told = {"accuracy": accuracy}
    if "accuracy_int8" in summary["after"]:
        calibration = images.calibration(summary["calibration"], summary["seed"])
        told["accuracy_int8"] = evaluate(Int8(small, calibration), images)
    console.print(f"Fine-tuned {job.recipe.epochs} epoch(s), last mean loss {history.losses[-1]:.3f}: {accuracy:.2f} %")
    summary |= {
        "after": {**summary["after"], **costs[1].totals(), **told},
        "epochs": job.recipe.epochs,
        "finetuning": {
            **identity, "devices": fabric.world_size,
            "accelerator": fabric.device.type, "accuracy_before": before, "accuracy_after": accuracy,
            "losses": list(history.losses), "seconds": round(history.seconds, 1),
            "images_per_second": round(history.images_per_second, 1),
        },
        "versions": versions(),
        "command": job.command,
    }  # fmt: skip
    for one, budget in zip(summary["budgets"], read_budgets([b["budget"] for b in summary["budgets"]]), strict=True):
        one["achieved"] = budget.of(costs[1])
        one["met"] = one["achieved"] <= one["asked"]
    save(job.out, small, plan, summary, page=page(summary, *costs), log=(scratch / LOG).read_text())
    shutil.rmtree(scratch)
    return summary


def _checked(job: Finetuning, identity: Mapping[str, Any]) -> Path | None:
    """Where checkpoints go; None where the result is there already."""
    if job.out.resolve() == job.folder.resolve():
        raise UsageError(f"{job.folder} stays as it is. Give --out another folder.")
    check_folder(job.out)
    scratch = job.out.with_name(f"{job.out.name}.training")
    if job.resume and (job.out / SUMMARY).exists():
        done = read_summary(job.out).get("finetuning", {})
        if all(done.get(key) == value for key, value in identity.items()):
            console.print(f"{job.out} is finished already.")
            shutil.rmtree(scratch, ignore_errors=True)  # a kill may have come before that
            return None
    if scratch.exists() and not job.resume:
        raise UsageError(f"{scratch} holds a fine-tuning that was stopped. Go on with --resume, or remove it.")
    return scratch


def _file_digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error}.") from error
