"""Whether treated weights are cheaper on a target at all, before minutes are spent on what they lose."""

from collections.abc import Collection, Sequence

import numpy as np

from padless.choose.budget import Budget
from padless.choose.choices import Choices
from padless.choose.tables import FROM_ORACLE
from padless.choose.treated import share_of
from padless.cost import NetworkCost
from padless.cost.charged import Field
from padless.cost.cycles import Answer
from padless.cost.pricing import Pricing
from padless.errors import UntreatedError, UsageError
from padless.graph.structure import TreatedShape
from padless.progress import bar
from padless.treat.layers import treatable, unfit
from padless.treat.treatment import Treatment, offers

PROBED = 3  # layers, those that cost most
PAYS = 0.99  # of the untreated cost, at most
WAITS = 0.3  # of a network's or its layers' time: from here on it is said to wait for memory
FEW = Treatment(levels=17)


def check_counted(choices: Choices, budgets: Sequence[Budget]) -> None:
    """Raises UsageError where treatments are named and no budget is on what they change."""
    if choices.insists and not any(each.counted in FROM_ORACLE for each in budgets):
        raise UsageError(
            f"Treatments change what an oracle counts, and the budget is on {' and '.join(b.quantity for b in budgets)}. "
            "Ask for cycles, npu_cycles, latency or flash_bytes, or leave treat out."
        )


def paying(pricing: Pricing, choices: Choices, fields: Collection[Field]) -> tuple[Treatment, ...]:
    """Those of the treatments that are asked for for which the oracle charges less, tried on the layers that cost most.

    `fields` of its answers are what is budgeted.

    Raises UntreatedError, with the shares that were seen, where it does for none.
    """
    oracle, graph = pricing.oracle, pricing.graph
    if oracle is None or not oracle.oracle.treats:
        who = "nobody is asked for cycles" if oracle is None else "its oracle does not know what treated weights cost"
        raise UntreatedError(f"Nothing says what treatments are worth on {pricing.target.id}: {who}.")
    layers = treatable(graph, pricing.model)
    answers = oracle.attempt([layer.shape for layer in layers])
    known = [(layer, plain) for layer, plain in zip(layers, answers, strict=True) if isinstance(plain, Answer)]
    known.sort(key=lambda pair: -pair[1].total)
    asked = [
        (treatment, layer, plain)
        for treatment in offers(choices.treat)[:-1]
        for layer, plain in [pair for pair in known if not unfit(pair[0], treatment)][:PROBED]
    ]
    told = oracle.attempt([TreatedShape.of(layer.shape, treatment) for treatment, layer, _ in asked])
    least: dict[Treatment, float] = {}
    for (treatment, _, plain), answer in zip(asked, told, strict=True):
        for field in fields:
            if np.isfinite(share := share_of(plain, answer, field)):
                least[treatment] = min(share, least.get(treatment, np.inf))
    if not least and layers:
        raise UntreatedError(
            f"None of {', '.join(choices.treat)} fits a layer whose cost is known: 2:4 needs input channels by fours.",
            "Offer grid, or leave treat out.",
        )
    if not least:
        raise UntreatedError(
            "No layer of this network can be treated: the first and the last one stay, and so do layers of groups, "
            "transposed ones, and those that share or compute their weights."
        )
    worth = tuple(treatment for treatment, share in least.items() if share <= PAYS)
    if not worth:
        best = min(least, key=least.__getitem__)
        raise UntreatedError(
            f"Treatments do not pay on {pricing.target.id}: with {best} the costliest layers still take "
            f"{100 * least[best]:.1f} % of their {'flash' if set(fields) == {'flash_bytes'} else 'cycles'}."
        )
    return worth


def with_few_values(pricing: Pricing, dense: NetworkCost) -> NetworkCost | None:
    """The network with its inner layers rounded to `FEW`, where it waits for memory and takes less so; else None.

    What accuracy that would cost is not looked at.
    """
    oracle, graph, spent = pricing.oracle, pricing.graph, dense.cycles
    if oracle is None or not oracle.oracle.treats or not spent or spent.total - spent.npu < WAITS * spent.total:
        return None
    layers = [layer.name for layer in treatable(graph, pricing.model) if not unfit(layer, FEW)]
    with bar("Counting cycles with few values", None):
        rounded = pricing.cut(np.ones(graph.channels, dtype=np.int64), treatments=dict.fromkeys(layers, str(FEW)))
    return rounded if rounded.cycles and rounded.cycles.total <= PAYS * spent.total else None
