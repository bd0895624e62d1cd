"""A budget, and the search for the mildest cut that meets it."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from padless.cost import NetworkCost
from padless.errors import InfeasibleError, UsageError, suggest

QUANTITIES = ("cycles", "npu_cycles", "macs", "padded_macs", "weight_bytes", "padded_weight_bytes",
              "peak_sram_bytes", "peak_activation_bytes")  # fmt: skip
_SCALE = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """At most `share` of the dense network's `quantity`, or at most `absolute` of it."""

    quantity: str
    share: float | None = None
    absolute: int | None = None

    def limit(self, dense: NetworkCost) -> float:
        """The budget in the quantity's own unit."""
        return self.absolute if self.absolute is not None else (self.share or 0.0) * self.of(dense)

    def of(self, cost: NetworkCost) -> int:
        """What a network spends of it. Raises UsageError where the target cannot say."""
        value = cost.totals()[self.quantity]  # type: ignore[literal-required]
        if value is None:
            reason, other = ": no source states its MACs per cycle", "padded_macs, macs or weight_bytes"
            if "cycles" not in self.quantity:
                reason, other = "", "peak_activation_bytes"
            raise UsageError(f"The target has no oracle for {self.quantity}{reason}. Use a budget on {other}.")
        return int(value)

    def __str__(self) -> str:
        return f"{self.quantity}={f'{100 * self.share:g}%' if self.share is not None else self.absolute}"


def parse_budget(text: str) -> Budget:
    """`cycles=50%`, `macs=0.5`, `weight_bytes=300k`: a share of the dense network, or an absolute number.

    Raises UsageError when the text is none of these.
    """
    found = re.fullmatch(r"\s*(\w+)\s*=\s*([0-9.]+)\s*(%|[kMG]?)\s*", text)
    number = _number(found[2]) if found else None
    if not found or number is None:
        raise UsageError(
            f"Cannot read the budget {text!r}. Write QUANTITY=SHARE, such as cycles=50% or weight_bytes=300k."
        )
    quantity, suffix = found[1], found[3]
    if quantity not in QUANTITIES:
        raise UsageError(
            f"Unknown budget {quantity!r}. {suggest(quantity, QUANTITIES) or 'Known: ' + ', '.join(QUANTITIES)}"
        )
    if suffix == "%" or ("." in found[2] and not suffix):
        share = number / 100 if suffix == "%" else number
        if not 0 < share <= 1:
            raise UsageError(f"The budget {text!r} is not a share between 0 and 100 %.")
        return Budget(quantity=quantity, share=share)
    return Budget(quantity=quantity, absolute=int(number * _SCALE[suffix]))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Widths, the ratio that gave them, what they cost, and what the next milder ones would."""

    ratio: float
    widths: dict[str, int]
    cost: NetworkCost
    milder: NetworkCost | None = None


def search(
    budgets: Sequence[Budget],
    dense: NetworkCost,
    widths_at: Callable[[float], dict[str, int]],
    price: Callable[[dict[str, int]], NetworkCost],
) -> Choice:
    """The least ratio whose widths meet the budgets, by bisection; each set of widths is priced once.

    A compiler's cost is not quite monotone in the ratio, so the answer is the mildest cut seen that meets the budget.

    Raises InfeasibleError when even the narrowest widths cost more.
    """
    limits = [budget.limit(dense) for budget in budgets]
    priced: dict[tuple[int, ...], NetworkCost] = {}

    def attempt(ratio: float) -> Choice:
        widths = widths_at(ratio)
        key = tuple(widths.values())
        if key not in priced:
            priced[key] = price(widths)
        return Choice(ratio=ratio, widths=widths, cost=priced[key])

    def met(choice: Choice) -> bool:
        return all(budget.of(choice.cost) <= limit for budget, limit in zip(budgets, limits, strict=True))

    mild = attempt(0.0)
    if met(mild):
        return mild
    severe = attempt(1.0)
    if not met(severe):
        least, limit, budget = next(
            (budget.of(severe.cost), limit, budget)
            for budget, limit in zip(budgets, limits, strict=True)
            if budget.of(severe.cost) > limit
        )
        raise InfeasibleError(
            f"The budget {budget} asks for at most {math.floor(limit):,}; the narrowest network that this target and "
            f"allocation allow costs {least:,} ({100 * least / budget.of(dense):.1f} % of dense). "
            "Ask for that or more, or cut outside the units (--align none)."
        )
    while severe.ratio - mild.ratio > 1e-3 and mild.widths != severe.widths:
        middle = attempt((mild.ratio + severe.ratio) / 2)
        mild, severe = (mild, middle) if met(middle) else (middle, severe)
    return replace(severe, milder=mild.cost)


def read_budgets(budget: Budget | str | Sequence[Budget | str]) -> list[Budget]:
    """One or several budgets, parsed. Raises UsageError where two are of one quantity, or there is none."""
    given = [budget] if isinstance(budget, (Budget, str)) else list(budget)
    budgets = [parse_budget(one) if isinstance(one, str) else one for one in given]
    quantities = [one.quantity for one in budgets]
    if not budgets or len(set(quantities)) < len(quantities):
        raise UsageError(f"Give one budget or more, each of another quantity; got {', '.join(quantities) or 'none'}.")
    return budgets
