"""Plan, cut, check, recover: at once, or in several stages that each score the channels of a recovered network anew."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from padless.choose import Budget, Choices, Plan
from padless.choose.planning import make_plan, scored
from padless.choose.replay import prune_with_error
from padless.choose.restrict import check_prunable
from padless.cost import NetworkCost
from padless.cost.pricing import Pricing
from padless.errors import UntreatedError, UsageError
from padless.importance import Importance
from padless.progress import bar, console
from padless.recover import Recovery

Recover = Callable[[nn.Module, Plan], Recovery | None]  # the cut network in place, and the plan it was cut by


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Staged:
    """A cut network, the plan that makes it of the model at once, what its checks found, a recovery for each stage.

    `importance` is the one that the first stage planned with: of the model itself.
    """

    model: nn.Module
    plan: Plan
    error: float
    recoveries: tuple[Recovery, ...]
    importance: Importance


def prune_in_stages(
    pricing: Pricing,
    budgets: Sequence[Budget],
    dense: NetworkCost,
    recover: Recover,
    choices: Choices,
    *,
    images: Sequence[Any] = (),
    steps: int = 1,
) -> Staged:
    """Prune the model of `pricing` to `budgets` in `steps` stages of equal ratios.

    Each stage plans on the network that the one before it left, recovered, so that channels are scored as they are then.
    `recover` gets each cut network and its plan from the model. The floor of `choices` holds over all stages. Every stage
    weighs treatments of weights where they are offered, but only the last one's are kept: the next has the weights as they
    are. Where they pay no more, later stages go on without, and say so. A stage that has nothing to do, or nothing but
    treatments, is left out. Raises what `make_plan` and `prune` raise.
    """
    if steps < 1:
        raise UsageError(f"Pruning takes 1 step or more; got {steps}.")
    if steps > 1 and choices.repair == "up":
        raise UsageError("Channels of zeros (--repair up) come in one step. Leave --steps out.")
    choices = replace(choices, floor=choices.floor ** (1 / steps))
    whole: Plan | None = None
    first: Importance | None = None
    curves: Importance | None = None  # of the network as it is now
    model, error, recoveries = pricing.model, 0.0, []
    for step in range(1, steps + 1):
        now = pricing if whole is None else pricing.on(model)
        cost = dense if whole is None else now.dense()
        wanted = budgets if steps == 1 else [_part(budget, dense, step / steps) for budget in budgets]
        needed = step == steps and whole is None  # then planning says that there is nothing to do
        if not needed and all(budget.of(cost) <= budget.limit(dense) for budget in wanted):
            continue
        check_prunable(now.graph)
        if curves is None:
            choices, curves = _scored(now, choices, images, wanted, step if first else 1)
        first = first or curves
        plan = make_plan(now, wanted, replace(choices, importance=curves), images, dense=cost)
        if step < steps and all(len(plan.keep[group.id]) == group.width for group in now.graph.groups):
            continue
        with bar("Cutting, and checking against the masked original", None):
            model, worst = prune_with_error(model, plan, images)
        error, curves = max(error, worst), None
        whole = plan if whole is None else composed(whole, plan)
        recovery = recover(model, whole)
        recoveries += [recovery] if recovery else []
    assert whole is not None  # the last stage plans where none did
    assert first is not None
    outcomes = [
        replace(outcome, budget=str(budget), asked=budget.limit(dense))
        for outcome, budget in zip(whole.outcomes, budgets, strict=True)
    ]
    plan = replace(whole, outcomes=outcomes)
    return Staged(model=model, plan=plan, error=error, recoveries=tuple(recoveries), importance=first)


def _scored(
    pricing: Pricing, choices: Choices, images: Sequence[Any], budgets: Sequence[Budget], stage: int
) -> tuple[Choices, Importance]:
    """The importance of a stage's network, and the choices: behind the first without treatments where those pay no more."""
    try:
        return choices, scored(pricing, choices, images, budgets)
    except UntreatedError as refused:
        if stage == 1:
            raise
        console.print(f"Stage {stage} goes on without treatments: {refused.reason}")
    plain = replace(choices, treat=())
    return plain, scored(pricing, plain, images, budgets)


def _part(budget: Budget, dense: NetworkCost, share_of_steps: float) -> Budget:
    """A stage's budget: the final ratio to the power of the stages' share."""
    spent = budget.of(dense)
    ratio = min(1.0, budget.limit(dense) / spent)
    return Budget(quantity=budget.quantity, absolute=int(spent * ratio**share_of_steps * budget.scale(dense)))


def composed(first: Plan, second: Plan) -> Plan:
    """The plan that does at once what `first` and then `second`, made on the network that `first` leaves, do.

    What `second` says of the budgets and the solver holds for the last stage. Importance kept is the product of both.
    """
    keep = {id: [first.keep[id][i] for i in kept] for id, kept in second.keep.items()}
    return replace(
        second,
        digest=first.digest,
        before=first.before,
        importance_kept=first.importance_kept * second.importance_kept,
        keep=keep,
    )
