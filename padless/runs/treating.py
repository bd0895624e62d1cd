"""The weights of a run's network treated, into another folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from padless.choose import Plan
from padless.choose.replay import retrace
from padless.errors import UsageError
from padless.graph import narrowed
from padless.progress import console
from padless.report.making import priced_again, with_tests
from padless.report.notes import notes
from padless.report.summary import Summary
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
from padless.runs.described import COMMAND
from padless.runs.exchange import claimed
from padless.runs.facts import measures, versions
from padless.runs.folder import DENSE, PLAN, check_folder, load, save
from padless.runs.job import BOUNDS, CALIBRATION
from padless.runs.trust import Repeated, vouched
from padless.train import evaluate
from padless.treat.layers import by_layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatments:
    """What `padless treat` was asked for."""

    folder: Path
    out: Path
    treatments: str | Mapping[str, str]  # one for all, or one a layer
    repeated: Repeated = field(default_factory=Repeated)  # its data are those of the run by default
    preprocess: str | None = None  # that of the run by default
    weights: Path | None = None
    calibration: int = CALIBRATION
    command: str


def run_treating(job: Treatments) -> Summary:
    """Treat, write the folder, return its summary.

    Raises UsageError for what does not fit together, before anything long; then nothing is written.
    """
    least, most = BOUNDS["calibration"]
    if not least <= job.calibration <= most:
        raise UsageError(f"calibration is from {least} to {most:,}; got {job.calibration}.")
    summary, report, target, data = taken_up(job.folder, job.out, job.repeated)
    check_folder(job.out)
    with claimed(job.out):
        plan, preprocess = Plan.read(job.folder / PLAN), job.preprocess or summary.preprocess
        loaded, images = reopened(job.folder, summary, plan, job.weights, data, preprocess)
        small, trained = load(job.folder, loaded.model), _trained(summary)
        if not trained:
            expect_dense(job.folder, summary, loaded, "towards which layers are treated")
        elif images.answers is not None and not summary.regularize:  # that changes it after it has answered
            expect_dense(job.folder, summary, loaded, "whose answers stand for labels")
        graph = retrace(loaded.model, plan)
        by_layer(job.treatments, narrowed(graph, plan.mask(graph)))  # before minutes are spent
        earlier = treatments_of(summary, small, plan, loaded.model)  # they stay as they are
        before = evaluate(small, images)
        console.print(f"Before: {before:.2f} %")
        dense = None if trained else loaded.model
        treating = treated(
            small, images, images.calibration(job.calibration, summary.seed), job.treatments, plan, dense=dense,
            before=before, folder=str(job.folder), data=data,
        )  # fmt: skip
        treating = replace(treating, layers={**earlier, **treating.layers})
        dense_cost, cost = costs(summary, target, plan, loaded.model, small, treating)
        scores = tested(small, images, summary, treating)
        now = replace(
            spent(summary, cost), after=measures(cost, scores), treating=treating, versions=versions(), command=job.command,
            files={}, data=summary.data or data, preprocess=preprocess,
            notes=(*notes(dense_cost, cost), treated_note(treating)),
        )  # fmt: skip
        report = with_tests(
            priced_again(report, dense_cost, cost), summary.before, scores, images.measured, len(images.test),
            counted=images.counted,
        )  # fmt: skip
        report = replace(report, curves=None, beside=())  # they are of weights that were not treated
        own = vouched(job.folder, summary, job.repeated, now)
        kept = loaded.model if (job.folder / DENSE).exists() else None
        save(job.out, small, plan, now, report=report, dense=kept, own=own)
    return now


def _trained(summary: Summary) -> bool:
    """Whether what its layers should give is the network's own: it was trained, or may have been where Python saved it."""
    itself = summary.treating is not None and summary.treating.towards == "itself"  # the last one looked no further
    return bool(summary.epochs or summary.finetuning) or itself or summary.command == COMMAND
