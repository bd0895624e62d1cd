"""A budget: at most so much of a quantity."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from padless.cost import NetworkCost
from padless.errors import UsageError, expect, suggest

QUANTITIES = ("cycles", "npu_cycles", "macs", "padded_macs", "weight_bytes", "padded_weight_bytes",
              "peak_sram_bytes", "peak_activation_bytes")  # fmt: skip
_SCALE = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """At most `share` of the dense network's `quantity` (0.5 is half), or at most `absolute` of it, in its own unit.

    Raises UsageError for an unknown quantity, a share that is none, or not exactly one of the two.
    """

    quantity: str
    share: float | None = None
    absolute: int | None = None

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise UsageError(
                f"Unknown budget {self.quantity!r}. "
                f"{suggest(str(self.quantity), QUANTITIES) or 'Known: ' + ', '.join(QUANTITIES)}"
            )
        if (self.share is None) == (self.absolute is None):
            raise UsageError(f"A budget on {self.quantity} is a share or an absolute number: give one of them.")
        if self.share is not None and not 0 < self.share <= 1:
            raise UsageError(
                f"The budget {self} is not a share between 0 and 100 %: a share of 0.5 is half of the dense network."
            )
        if self.absolute is not None and self.absolute < 0:
            raise UsageError(f"The budget {self} is below 0.")

    @staticmethod
    def parse(text: str) -> "Budget":
        """`cycles=50%`, `macs=0.5`, `weight_bytes=300k`: a share of the dense network, or an absolute number.

        Raises UsageError when the text is none of these.
        """
        match = re.fullmatch(r"\s*(\w+)\s*=\s*([0-9.]+)\s*(%|[kMG]?)\s*", text)
        number = _number(match[2]) if match else None
        if not match or number is None:
            raise UsageError(
                f"Cannot read the budget {text!r}. Write QUANTITY=SHARE, such as cycles=50% or weight_bytes=300k."
            )
        quantity, suffix = match[1], match[3]
        if suffix == "%" or ("." in match[2] and not suffix):
            return Budget(quantity=quantity, share=number / 100 if suffix == "%" else number)
        return Budget(quantity=quantity, absolute=int(number * _SCALE[suffix]))

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


Budgets = Budget | str | Sequence[Budget | str]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def read_budgets(budget: Budgets) -> list[Budget]:
    """One or several budgets, parsed. Raises UsageError where two are of one quantity, or there is none."""
    expect(budget, (Budget, str, list, tuple), "budget", "Write 'cycles=50%', or several of them in a list.")
    given = [budget] if isinstance(budget, (Budget, str)) else list(budget)
    for each in given:
        expect(each, (Budget, str), "budget", "Write 'cycles=50%', or several of them in a list.")
    budgets = [Budget.parse(each) if isinstance(each, str) else each for each in given]
    quantities = [each.quantity for each in budgets]
    if not budgets or len(set(quantities)) < len(quantities):
        raise UsageError(f"Give one budget or more, each of another quantity; got {', '.join(quantities) or 'none'}.")
    return budgets
