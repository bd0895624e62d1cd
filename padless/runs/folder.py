"""A run's folder: plan, weights, summary and report. Whole or not there at all; nothing is pickled."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict, Unpack

from torch import nn

from padless.choose import Plan
from padless.choose.replay import retrace
from padless.cut import cut
from padless.deploy.export import FORMATS, family_of
from padless.errors import UsageError, expect
from padless.files import is_unfinished
from padless.hardware import Target
from padless.inputs import load_weights, weights_bytes
from padless.onnx import OnnxNet, write_back
from padless.report.page import page
from padless.report.report import FILE as REPORT
from padless.report.report import Report
from padless.report.summary import FILE, Summary
from padless.runs.exchange import claimed, renewed
from padless.runs.overlays import OVERLAYS
from padless.runs.seal import FILE as SEAL
from padless.runs.seal import seal
from padless.runs.trust import in_doubt
from padless.train import LOG

PLAN, WEIGHTS, SUMMARY, PAGE, ONNX = "plan.json", "model.safetensors", FILE, "report.html", "model.onnx"
DENSE = "dense.safetensors"  # where no other file has the dense network's weights
EXPORTED = {path.name for ending in FORMATS.values() for path in family_of(Path(f"model{ending}"))}
OURS = {PLAN, WEIGHTS, DENSE, SUMMARY, REPORT, PAGE, LOG, SEAL, *EXPORTED, *OVERLAYS}


def check_folder(folder: Path) -> None:
    """Raises UsageError when `folder` cannot be written or holds something else than a run, before work is done."""
    if folder.is_dir():
        others = sorted(p.name for p in folder.iterdir() if p.name not in OURS and not is_unfinished(p))
        if others:
            raise UsageError(
                f"{folder} holds {', '.join(others[:3])}, beside what a run writes. Move that away or give another folder."
            )
    elif folder.exists():
        raise UsageError(f"{folder} is a file; it stays as it is. Give --out a folder.")
    if folder.resolve() == Path.cwd() or folder.is_mount():
        raise UsageError(f"{folder} cannot be replaced as a whole. Give a folder inside it.")
    parent = next(p for p in folder.absolute().parents if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UsageError(f"{folder} cannot be written: {parent} is no folder that you may write to.")


class Origin(TypedDict, total=False):
    """What a factory's network is of: see `save`."""

    example: Any
    weights: str | Path | None
    data: str | None
    preprocess: str | None
    target: Target | str | Path | None
    oracle: str | None
    memory_oracle: str | None


def save(
    folder: str | Path,
    model: nn.Module,
    plan: Plan,
    summary: Summary | None = None,
    *,
    report: Report | None = None,
    log: str | None = None,
    dense: nn.Module | None = None,
    factory: str | Callable[[], nn.Module] | None = None,
    own: bool = False,
    **origin: Unpack[Origin],
) -> None:
    """Write a pruned model, its plan, a summary, its report (as data and as a page) and a training log (CSV) to `folder`.

    With a `factory` summary and report are made here, and every command goes on from the folder, as from one of `padless
    prune`. It makes the dense network: the name that MODEL takes (`shop.networks:make`, `torchvision/resnet18`), or a
    function or class of a module. `example` are the forward's arguments (by default of the plan's shapes), `weights` the
    safetensors file with the dense network's weights where the factory does not bring them, `data` and `preprocess` the
    images as commands take them, `target`, `oracle` and `memory_oracle` those that the plan was made with, where the
    target's id does not say it all (a file, a system).

    The weights of a `dense` network that no other file has are kept beside them: fine-tuning takes it as its teacher.

    The names of a `factory`, an oracle or data outside padless are sealed: commands of the same user, from the same current
    folder, use them without asking again. Of a `summary` they are where the user has given them (`own`).

    It replaces an earlier run there. A network of `load_onnx` is also written back into its own graph, as model.onnx.

    Everything is written beside it first and takes its place at once at the end: after a kill at any moment the old run or
    the new one is there, whole. Raises UsageError when the folder holds something else, or another run writes it, and where
    the factory cannot be found again or makes another network.
    """
    expect(plan, Plan, "plan", "Read it with padless.Plan.read(path).")
    folder = Path(folder)
    check_folder(folder)
    if factory is not None:
        from padless.runs.described import described  # which imports what imports this module

        summary, report = described(model, plan, factory, **origin)
    elif origin:
        raise UsageError(f"{', '.join(origin)} say what a factory's network is of. Give the factory, too.")
    with claimed(folder), renewed(folder) as new:
        (new / WEIGHTS).write_bytes(weights_bytes(model))
        if dense is not None:
            (new / DENSE).write_bytes(weights_bytes(dense))
        (new / PLAN).write_text(plan.to_json(), encoding="utf-8")
        if isinstance(model, OnnxNet):
            write_back(model, new / ONNX, seed=plan.seed)
        if summary is not None:
            (new / SUMMARY).write_text(summary.to_json(), encoding="utf-8")
            if (own or factory is not None) and in_doubt(summary) and (mark := seal(summary)):
                (new / SEAL).write_text(mark)
        if summary is not None and report is not None:
            (new / REPORT).write_text(report.to_json(), encoding="utf-8")
            (new / PAGE).write_text(page(summary, report), encoding="utf-8")
        if log is not None:
            (new / LOG).write_text(log, encoding="utf-8")


def load(folder: str | Path, model: nn.Module) -> nn.Module:
    """The pruned network saved in `folder`, rebuilt on `model`: the original, freshly built (its weights do not matter).

    Raises UsageError when the folder is not a run, or was made from another network.
    """
    plan = Plan.read(Path(folder) / PLAN)
    graph = retrace(model, plan)
    small = cut(model, graph, plan.mask(graph))
    load_weights(small, Path(folder) / WEIGHTS)
    return small.eval()
