"""What every summary says of networks: their totals, budgets and widths, and the versions behind them."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version

from padless.choose import Budget, Outcome
from padless.cost import NetworkCost
from padless.report.summary import Achieved, Measures, Widths


def measures(cost: NetworkCost, accuracies: Mapping[str, float]) -> Measures:
    """A network's totals beside its accuracies."""
    together: Measures = {**cost.totals(), **accuracies}  # type: ignore[typeddict-item]
    return together


def achieved(budgets: Sequence[Budget], outcomes: Sequence[Outcome], final: NetworkCost) -> tuple[Achieved, ...]:
    """What the final network costs, budget by budget."""
    return tuple(
        Achieved(**asdict(outcome), achieved=budget.of(final), met=budget.of(final) <= outcome.asked)
        for budget, outcome in zip(budgets, outcomes, strict=True)
    )


def widths_of(dense: NetworkCost, final: NetworkCost) -> dict[str, Widths]:
    """Every layer's channels, dense and then pruned."""
    return {
        old.layer.name: Widths(c_in=(old.layer.c_in, new.layer.c_in), c_out=(old.layer.c_out, new.layer.c_out))
        for old, new in zip(dense.layers, final.layers, strict=True)
    }


def versions(*others: str) -> dict[str, str]:
    """The versions that a result depends on; of `others`, too, where they are installed."""
    installed = {"python": platform.python_version()}
    for package in ("padless", "torch", "ethos-u-vela", "torchvision", "timm", "numpy", *others):
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed
