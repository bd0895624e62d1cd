"""The main job, start to end: measure, plan, cut, check, recover, measure again, write one folder."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from padless.choose import Choices, Outcome, Plan
from padless.choose.budget import amount, read_budgets
from padless.choose.tables import FROM_ORACLE
from padless.choose.undercut import charged_sides
from padless.cost import NetworkCost, Totals
from padless.cost.pricing import Pricing
from padless.deploy import Int8
from padless.errors import InfeasibleError
from padless.graph import Graph, trace
from padless.inputs import Measured, parse_inputs, weights_digest
from padless.onnx import OnnxNet, file_digest
from padless.progress import bar, console
from padless.recover import Recovery, recover
from padless.report.limits import parse_limits
from padless.report.making import draw_up, with_tests
from padless.report.notes import notes
from padless.report.report import Report
from padless.report.summary import Recovered, Summary, Treating
from padless.runs.again import treated, treated_note
from padless.runs.dense import Dense, opened
from padless.runs.exchange import claimed
from padless.runs.facts import achieved, measures, versions, widths_of
from padless.runs.folder import check_folder, save
from padless.runs.job import Job, check_options
from padless.runs.stages import Staged, prune_in_stages
from padless.train import Recipe, check_trainable, evaluate, finetune, peak_lr

AGAIN = 2  # times that widths and treatments are chosen again where the treated weights are over a budget
SLACK = 0.002  # of a budget, beside what was seen
SPARSITY = 0.01  # weight of the channels' norms where a network is regularised before it is cut


def run(job: Job, dense: Dense | None = None) -> Summary:
    """Do the job, write its folder and return the summary. Nothing is written when any step fails.

    `dense` is the job's network with its images, where it is at hand already. Raises UsageError where another run writes the
    folder.
    """
    check_folder(job.out)
    with claimed(job.out):
        check_options(job)
        if dense is None:
            dense = open_dense(job)
        torch.manual_seed(job.choices.seed)  # however much was drawn before
        return prune_and_save(job, dense)


def open_dense(job: Job) -> Dense:
    """The network that a job starts from, with its images. Raises UsageError for what is not there."""
    torch.manual_seed(job.choices.seed)
    return Dense(*opened(
        job.model, job.weights, job.data, job.inputs, job.reading, job.preprocess, job.choices.outputs
    ))  # fmt: skip


def prune_and_save(job: Job, source: Dense) -> Summary:
    """The part of `run` after loading."""
    work = _Work(job, source)
    work.prepare()
    with Pricing(
        source.loaded.model, work.example, job.target, oracle=job.oracle, memory_oracle=job.memory_oracle,
        outputs=job.choices.outputs,
    ) as pricing:  # fmt: skip
        dense = pricing.dense()
        work.test_dense()
        staged, graph, final, spare = work.made(pricing, dense)
        work.test_int8(staged.model)
        dense, final = charged_sides(pricing, work.budgets, staged.plan, dense, final)
        report = draw_up(
            pricing, staged.plan, job.choices, staged.importance, (dense, final), graph, told=parse_limits(job.limit)
        )
    summary = work.summary(staged, dense, final, spare)
    kept = source.loaded.model if job.keep_dense or job.regularize else None
    save(job.out, staged.model, staged.plan, summary, report=work.tested(report), dense=kept, own=True)
    return summary


def spare_for(growth: float) -> float:
    """The share of a budget that has to stay free where treated weights take `growth` times what was planned."""
    return 1 - (1 - SLACK) / growth


class _Work:
    """A job's model and images, and the accuracies of both networks as they come."""

    def __init__(self, job: Job, source: Dense) -> None:
        self.job, self.source, self.loaded, self.images = job, source, source.loaded, source.images
        self.inputs, self.budgets = self.loaded.inputs(job.inputs), read_budgets(job.budgets)
        self.example = parse_inputs(self.inputs)
        self.calibration = source.calibration(job.calibration, job.choices.seed)
        self.before: dict[str, float] = {}  # accuracies, or agreement
        self.after: dict[str, float] = {}
        self.treating: Treating | None = None
        self.measured: Measured = self.images.measured if self.images else "accuracy"

    def prepare(self) -> None:
        """Check that the network can be trained, and regularise it where that was asked for."""
        job, model = self.job, self.loaded.model
        if self.images is None:
            return
        if job.epochs or job.regularize:
            check_trainable(model, self.images)
        if job.regularize:  # not clipped: the pull would be lost
            recipe = Recipe(epochs=job.regularize, sparsity=SPARSITY, clip=0.0, seed=job.choices.seed)
            finetune(model, self.images, recipe, graph=trace(model, *self.example))
            self.source.changed()

    def test_dense(self) -> None:
        if self.images:
            self.before[self.measured] = self.source.accuracy()
            console.print(f"Dense {self.measured} {self.before[self.measured]:.2f} %")

    def choices(self, pricing: Pricing) -> Choices:
        """The job's, with the channels scored; several stages score each network anew."""
        choices = self.job.choices
        if self.job.steps > 1:
            return choices
        return replace(choices, importance=self.source.importance(pricing, choices, self.job.calibration, self.budgets))

    def made(self, pricing: Pricing, dense: NetworkCost) -> tuple[Staged, Graph, NetworkCost, float]:
        """The finished network, its graph, what it costs, and how much of a budget its plan left free.

        A budget is the file's: where treated weights are over it, widths and treatments are chosen again.
        """
        choices = self.choices(pricing)
        staged, graph, final = self.cut(pricing, dense, choices)
        for _ in range(AGAIN):
            spare = self.spare(staged.plan, dense, final)
            if spare <= choices.spare:
                break
            console.print(
                f"Treated weights compress worse than planned. Choosing again, with {100 * spare:.1f} % to spare."
            )
            told = dict(self.after), self.treating
            try:
                staged, graph, final = self.cut(pricing, dense, replace(choices, spare=spare))
            except InfeasibleError:
                console.print("Nothing is so far within the budget: the first choice stays.")
                self.after, self.treating = told
                break
            choices = replace(choices, spare=spare)
        return staged, graph, final, choices.spare

    def cut(self, pricing: Pricing, dense: NetworkCost, choices: Choices) -> tuple[Staged, Graph, NetworkCost]:
        """The network planned, cut, recovered, trained and treated; its graph, and what it costs with its own weights."""
        staged = prune_in_stages(
            pricing, self.budgets, dense, self.recover, choices, images=self.calibration, steps=self.job.steps
        )
        self.train(staged.model)
        self.treat(staged.model, staged.plan)
        graph = trace(staged.model, *self.example)
        with bar("Counting cycles", None):  # trained weights compress otherwise than the cut ones
            return staged, graph, pricing.whole(staged.model, graph, staged.plan.treatments)

    def spare(self, plan: Plan, dense: NetworkCost, final: NetworkCost) -> float:
        """What has to stay free of the budgets for the treated weights to be within them; 0 where they are.

        Also 0 where the network was trained: that is not done twice.
        """
        if not plan.treatments or self.job.epochs:
            return 0.0
        over = [
            budget.of(final) / outcome.compiler_total
            for budget, outcome in zip(self.budgets, plan.outcomes, strict=True)
            if budget.counted in FROM_ORACLE and budget.of(final) > budget.limit(dense)
        ]
        return spare_for(max(over)) if over else 0.0

    def recover(self, small: nn.Module, plan: Plan) -> Recovery | None:
        """Give a cut network its accuracy back, as far as that goes without labels."""
        if not self.images:
            return None
        cut = self.after[f"{self.measured}_before_recovery"] = self.test(small)
        console.print(
            f"Cut to {' and '.join(_outcome(outcome, plan.before) for outcome in plan.outcomes)}: {cut:.2f} %"
        )
        recovery = recover(small, self.loaded.model, plan, self.calibration, method=self.job.recover)
        recovered = self.after[f"{self.measured}_after_recovery"] = self.test(small)
        console.print(
            f"Recovered ({recovery.method}, {recovery.images} images, {recovery.seconds:.1f} s): {recovered:.2f} %"
        )
        return recovery

    def test(self, small: nn.Module) -> float:
        """What the images say of the network as it is now."""
        assert self.images is not None
        self.after[self.measured] = evaluate(small, self.images)
        return self.after[self.measured]

    def train(self, small: nn.Module) -> None:
        if self.images and self.job.epochs:
            recipe = Recipe(
                epochs=self.job.epochs, seed=self.job.choices.seed, peak_lr=peak_lr(isinstance(small, OnnxNet))
            )
            history = finetune(small, self.images, recipe, teacher=self.loaded.model)
            console.print(
                f"Fine-tuned {self.job.epochs} epoch(s), last mean loss {history.losses[-1]:.3f}: {self.test(small):.2f} %"
            )
        small.eval()

    def treat(self, small: nn.Module, plan: Plan) -> None:
        """Carry out the plan's treatments: last, since training would undo them."""
        self.treating = None
        if not plan.treatments:
            return
        assert self.images is not None
        dense = None if self.job.epochs else self.loaded.model
        self.treating = treated(
            small, self.images, self.calibration, plan.treatments, plan, dense=dense, before=self.after[self.measured],
            folder="", data=str(self.job.data),
        )  # fmt: skip
        self.after[self.measured] = self.treating.after

    def test_int8(self, small: nn.Module) -> None:
        if self.images and self.job.int8:
            for accuracies, network in ((self.before, self.loaded.model), (self.after, small)):
                accuracies[f"{self.measured}_int8"] = evaluate(Int8(network, self.calibration), self.images)
            dense, pruned = (side[f"{self.measured}_int8"] for side in (self.before, self.after))
            console.print(f"In INT8: {dense:.2f} % dense, {pruned:.2f} % pruned")

    def tested(self, report: Report) -> Report:
        """The report with what the images said."""
        if self.images is None:
            return report
        return with_tests(
            report, self.before, self.after, self.measured, len(self.images.test), counted=self.images.counted
        )

    def summary(self, staged: Staged, dense: NetworkCost, final: NetworkCost, spare: float) -> Summary:
        job, plan, choices = self.job, staged.plan, self.job.choices
        return Summary(
            model=str(Path(job.model).absolute()) if file_digest(self.loaded.model) else job.model,
            reading=job.reading,
            target=job.target.id,
            variant=job.target.variant,
            inputs=self.inputs,
            weights=str(job.weights.absolute()) if job.weights else None,
            weights_digest=weights_digest(self.loaded.model),
            oracle=job.oracle,
            memory_oracle=job.memory_oracle,
            budgets=achieved(self.budgets, plan.outcomes, final),
            solver=plan.solver,
            ratio=plan.ratio,
            importance_kept=plan.importance_kept,
            importance=plan.importance,
            allocate=choices.allocate,
            align=plan.align,
            repair=choices.repair,
            freeze=tuple(choices.freeze),
            floor=choices.floor,
            depth=choices.depth,
            treat=tuple(choices.treat),
            spare=spare,
            treating=self.treating,
            steps=job.steps,
            recovery=_recovered(staged, self.after, self.measured),
            calibration=job.calibration,
            regularize=job.regularize,
            epochs=job.epochs,
            data=job.data,
            preprocess=job.preprocess,
            before=measures(dense, self.before),
            after=measures(final, self.after),
            widths=widths_of(dense, final),
            equivalence_max_error=staged.error,
            versions=versions(),
            seed=choices.seed,
            command=job.command,
            notes=(*notes(dense, final), *([treated_note(self.treating)] if self.treating else [])),
        )


def _outcome(outcome: Outcome, totals: Totals) -> str:
    return f"{amount(outcome.budget, outcome.compiler_total, totals)} {outcome.budget.partition('=')[0]}"


def _recovered(staged: Staged, measures: Mapping[str, float], measured: Measured) -> Recovered | None:
    if not staged.recoveries:
        return None
    last = staged.recoveries[-1]
    return Recovered(
        method=last.method,
        images=last.images,
        seconds=round(sum(recovery.seconds for recovery in staged.recoveries), 3),
        held_out=dict(last.held_out),
        before=measures[f"{measured}_before_recovery"],
        after=measures[f"{measured}_after_recovery"],
    )
