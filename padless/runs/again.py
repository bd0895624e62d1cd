"""A run's folder gone on from: its dense network and images, and its network priced and tested as it is now."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from padless.choose import Budget, Plan
from padless.choose.replay import retrace
from padless.choose.undercut import charged_sides
from padless.cost import NetworkCost
from padless.cost.pricing import Pricing
from padless.deploy import Int8
from padless.errors import UsageError
from padless.graph import trace
from padless.hardware import Target
from padless.inputs import Images, LoadedModel, parse_inputs, weights_digest
from padless.progress import bar, console
from padless.recover import treat
from padless.report.report import Report
from padless.report.summary import Summary, Treating
from padless.runs.dense import opened
from padless.runs.exchange import mended
from padless.runs.folder import DENSE
from padless.runs.trust import Repeated, believed
from padless.train import evaluate
from padless.treat.layers import held


def taken_up(folder: Path, out: Path, repeated: Repeated) -> tuple[Summary, Report, Target, str]:
    """A run's summary, report, target and data, for a command that goes on from it into another folder.

    Raises UsageError for the folder itself as `out`, for what it names and the user did not repeat, and without data.
    """
    if out.resolve() == folder.resolve():
        raise UsageError(f"{folder} stays as it is. Give --out another folder.")
    summary, report = Summary.read(mended(folder)), Report.read(folder)
    target = believed(folder, summary, repeated, prices=True, images=True)
    data = repeated.data or summary.data
    if not data:
        raise UsageError(f"{folder} was made without images. Give --data.")
    return summary, report, target, data


def reopened(
    folder: Path, summary: Summary, plan: Plan, weights: Path | None, data: str, preprocess: str | None
) -> tuple[LoadedModel, Images]:
    """The dense network and the images, with the weights that are given, those of the folder, or those of the run."""
    own = folder / DENSE
    weights = weights or (own if own.exists() else Path(summary.weights) if summary.weights else None)
    torch.manual_seed(summary.seed)
    loaded, images = opened(summary.model, weights, data, summary.inputs, summary.reading, preprocess, plan.outputs)
    assert images is not None
    return loaded, images


def expect_dense(folder: Path, summary: Summary, loaded: LoadedModel, task: str, otherwise: str = "") -> None:
    """Raises UsageError where the dense network does not have the weights that the run was cut from."""
    if weights_digest(loaded.model) != summary.weights_digest:
        raise UsageError(
            f"The dense network {task} does not have the weights that {folder} was cut from. Give --weights{otherwise}."
        )


def costs(
    summary: Summary, target: Target, plan: Plan, dense: nn.Module, small: nn.Module, treating: Treating | None = None
) -> tuple[NetworkCost, NetworkCost]:
    """Both networks by the run's own oracle; the smaller one with its weights as they were treated."""
    example = parse_inputs(summary.inputs)
    priced = Pricing(
        dense, example, target, oracle=summary.oracle, memory_oracle=summary.memory_oracle, outputs=plan.outputs
    )
    with bar("Counting cycles", None), priced as pricing:
        budgets = [Budget.parse(budget.budget) for budget in summary.budgets]
        layers = treating.layers if treating else {}
        both = pricing.whole(dense, pricing.graph), pricing.whole(small, trace(small, *example), layers)
        return charged_sides(pricing, budgets, plan, *both)


def treated(
    small: nn.Module,
    images: Images,
    calibration: Iterable[Any],
    treatments: str | Mapping[str, str],
    plan: Plan,
    *,
    dense: nn.Module | None,
    before: float,
    folder: str,
    data: str,
) -> Treating:
    """Treat a network's weights in place and test it; towards `dense`, or where there is none towards what it gives."""
    done = treat(small, calibration, treatments, model=dense, plan=plan)
    after = evaluate(small, images)
    console.print(f"Weights treated on {done.images} images ({done.seconds:.1f} s): {after:.2f} %")
    return Treating(
        folder=folder, data=data, towards="itself" if dense is None else "dense", layers=dict(done.layers),
        images=done.images, seconds=round(done.seconds, 1), held_out=done.held_out, before=before, after=after,
    )  # fmt: skip


def treatments_of(summary: Summary, small: nn.Module, plan: Plan, dense: nn.Module) -> Mapping[str, str]:
    """Those that a folder's network has: as its summary says, or where Python saved it those of its plan that it holds."""
    if summary.treating:
        return summary.treating.layers
    return held(small, plan.treatments, retrace(dense, plan).layers) if plan.treatments else {}


def treated_note(treating: Treating) -> str:
    """What a reader of a treated network's numbers must know."""
    return (
        f"Weights are treated: {treating}. Another cut undoes that; fine-tuning a folder treats them anew at its end."
    )


def tested(small: nn.Module, images: Images, summary: Summary, treating: Treating | None) -> dict[str, float]:
    """What the run was tested for, of the network as it is now; one that was just treated has been tested already."""
    kept = [f"{images.measured}_{moment}_recovery" for moment in ("before", "after")]
    scores = {name: summary.after[name] for name in kept if name in summary.after}  # type: ignore[literal-required]
    scores[images.measured] = treating.after if treating else evaluate(small, images)
    if f"{images.measured}_int8" in summary.after:
        calibration = images.calibration(summary.calibration, summary.seed)
        scores[f"{images.measured}_int8"] = evaluate(Int8(small, calibration), images)
    return scores


def spent(summary: Summary, cost: NetworkCost) -> Summary:
    """The summary with what the network takes of each budget now."""
    taken = [Budget.parse(budget.budget).of(cost) for budget in summary.budgets]
    return replace(summary, budgets=tuple(
        replace(budget, achieved=now, met=now <= budget.asked) for budget, now in zip(summary.budgets, taken, strict=True)
    ))  # fmt: skip
