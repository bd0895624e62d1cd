"""What a folder that is saved from Python must say, so that every command can go on from it: a summary, and a page."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from padless.choose import Budget, Choices, Plan
from padless.choose.replay import example_of, prune_with_error
from padless.choose.undercut import charged_sides
from padless.cost.pricing import Pricing
from padless.errors import UsageError, expect
from padless.graph import trace
from padless.hardware import Target
from padless.hardware.target import as_target
from padless.importance import CRITERIA, WATCHING, importance
from padless.inputs import Preprocess, load_model, load_weights, parse_inputs, shapes_of, weights_digest
from padless.inputs.shapes import text_of
from padless.onnx import file_digest
from padless.progress import bar
from padless.report.making import draw_up
from padless.report.notes import notes
from padless.report.report import Report
from padless.report.summary import Summary
from padless.runs.facts import achieved, measures, versions, widths_of
from padless.runs.trust import target_of
from padless.treat.layers import held

COMMAND = "padless.save, from Python"


def described(
    model: nn.Module,
    plan: Plan,
    factory: str | Callable[[], nn.Module],
    *,
    example: Any = None,
    weights: str | Path | None = None,
    data: str | None = None,
    preprocess: str | None = None,
    target: Target | str | Path | None = None,
    oracle: str | None = None,
    memory_oracle: str | None = None,
) -> tuple[Summary, Report]:
    """The summary of a pruned model and its report, as `padless prune` writes them.

    Importance that weights alone tell is scored again; what images told is not known here.

    The dense network is built anew by its name, as a command will do it, and the plan is checked on it. Raises UsageError
    where the name cannot be found again, or the plan is not of that network.
    """
    said = {"data": data, "preprocess": preprocess, "oracle": oracle, "memory_oracle": memory_oracle}
    for option, text in said.items():
        hint = f"A command is told of it in words: write what --{option.replace('_', '-')} takes, or leave it out."
        expect(text, (str, type(None)), option, hint)
    if preprocess:
        Preprocess.parse(preprocess)  # refuses what no command could read
    name = factory if isinstance(factory, str) else _path_of(factory)
    inputs = _texts(example_of(plan) if example is None else example)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)  # as a command builds it
        dense_model = load_model(name, input_shape=shapes_of(inputs, name)).model.eval()
    if weights is not None:
        load_weights(dense_model, Path(weights))
    _, error = prune_with_error(dense_model, plan)
    hardware, arguments = target_of(plan) if target is None else as_target(target), parse_inputs(inputs)
    priced = Pricing(dense_model, arguments, hardware, oracle=oracle, memory_oracle=memory_oracle, outputs=plan.outputs)
    budgets = [Budget.parse(outcome.budget) for outcome in plan.outcomes]
    with bar("Counting cycles", None), priced as pricing:
        pruned = trace(model, *arguments)
        treatments = held(model, plan.treatments, pruned.layers)
        dense, final = pricing.dense(), pricing.whole(model, pruned, treatments)
        dense, final = charged_sides(pricing, budgets, plan, dense, final)
        choices = Choices(allocate=plan.allocate, repair="up" if plan.zeros else "down", seed=plan.seed)
        curves = None
        if plan.importance in CRITERIA and plan.importance not in WATCHING:
            curves = importance(pricing.graph, dense_model, plan.importance, seed=plan.seed)
        report = draw_up(pricing, plan, choices, curves, (dense, final), pruned)
    summary = Summary(
        model=str(Path(name).absolute()) if file_digest(dense_model) else name,
        target=hardware.id,
        variant=hardware.variant,
        inputs=inputs,
        weights=None if weights is None else str(Path(weights).absolute()),
        weights_digest=weights_digest(dense_model),
        oracle=oracle,
        memory_oracle=memory_oracle,
        budgets=achieved(budgets, plan.outcomes, final),
        solver=plan.solver,
        ratio=plan.ratio,
        importance_kept=plan.importance_kept,
        importance=plan.importance,
        allocate=plan.allocate,
        align=plan.align,
        repair="up" if plan.zeros else "down",
        freeze=(),
        floor=0.0,
        treat=tuple(sorted(set(treatments.values()))),
        steps=1,
        recovery=None,
        calibration=0,
        regularize=0,
        epochs=0,
        data=data,
        preprocess=preprocess,
        before=measures(dense, {}),
        after=measures(final, {}),
        widths=widths_of(dense, final),
        equivalence_max_error=error,
        versions=versions(),
        seed=plan.seed,
        command=COMMAND,
        notes=notes(dense, final),
    )
    return summary, report


def _path_of(factory: Callable[[], nn.Module]) -> str:
    """package.module:function. Raises UsageError for what a command could not find again."""
    module, name = getattr(factory, "__module__", None), getattr(factory, "__qualname__", "")
    if module in (None, "__main__") or not name or "<" in name:
        raise UsageError(
            f"A command cannot find the factory {name or factory!r} again. Put it into a module, and give it or its path, "
            "such as 'shop.networks:make'."
        )
    return f"{module}:{name}"


def _texts(example: Any) -> tuple[str, ...]:
    """Inputs as `--input-shape` writes them. Raises UsageError for a structure that it cannot write."""
    arguments = example if isinstance(example, tuple) else (example,)
    named = arguments[-1] if arguments and isinstance(arguments[-1], Mapping) else {}
    unnamed = arguments[:-1] if named else arguments
    if not all(isinstance(part, Tensor) for part in (*unnamed, *named.values())):
        raise UsageError(
            "A command can be told of tensors, and of a dictionary of tensors as the last argument; this example holds "
            "something else. Save without a factory, and use padless.export and padless.finetune."
        )
    return (*map(text_of, unnamed), *(f"{name}={text_of(tensor)}" for name, tensor in named.items()))
