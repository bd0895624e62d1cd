"""A budget: at most so much of a quantity."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from padless.cost import NetworkCost, Totals
from padless.errors import UsageError, expect, suggest

LATENCY = "latency"  # is counted in cycles, at the clock of the target's system
QUANTITIES = ("cycles", "npu_cycles", LATENCY, "macs", "padded_macs", "weight_bytes", "padded_weight_bytes",
              "peak_sram_bytes", "peak_activation_bytes")  # fmt: skip
_SCALE = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_SECONDS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}  # in nanoseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """At most `share` of the dense network's `quantity` (0.5 is half), or at most `absolute` of it, in its own unit.

    That of a latency is a nanosecond. It is met in `counted`: cycles, at the clock of the target's system.

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
        """`cycles=50%`, `macs=0.5`, `weight_bytes=300k`, `latency=5ms`: a share of the dense network, or an absolute number.

        Raises UsageError when the text is none of these.
        """
        match = re.fullmatch(r"\s*(\w+)\s*=\s*([0-9.]+)\s*(%|\w*)\s*", text)
        number = _number(match[2]) if match else None
        known = match and match[3] in ("%", *_SCALE, *_SECONDS)
        if match and number is not None and match[1] == LATENCY and match[3] != "%":
            if match[3] not in _SECONDS:
                raise UsageError(
                    f"Cannot read the budget {text!r}. A latency has a unit ({', '.join(_SECONDS)}), as in "
                    "latency=5ms, or is a share of the dense network's, as in latency=50%."
                )
            return Budget(quantity=LATENCY, absolute=round(number * _SECONDS[match[3]]))
        if match and number is not None and match[3] in _SECONDS:
            raise UsageError(
                f"Cannot read the budget {text!r}. A time is a budget of latency: latency={match[2]}{match[3]}."
            )
        if not match or number is None or not known:
            raise UsageError(
                f"Cannot read the budget {text!r}. Write QUANTITY=SHARE, such as cycles=50% or weight_bytes=300k."
            )
        quantity, suffix = match[1], match[3]
        if suffix == "%" or ("." in match[2] and not suffix):
            return Budget(quantity=quantity, share=number / 100 if suffix == "%" else number)
        return Budget(quantity=quantity, absolute=int(number * _SCALE[suffix]))

    @property
    def counted(self) -> str:
        """The quantity that is priced: its own, and cycles for a latency."""
        return "cycles" if self.quantity == LATENCY else self.quantity

    def limit(self, dense: NetworkCost) -> float:
        """The budget in the unit of what is counted. Raises UsageError where the target cannot say."""
        if self.absolute is None:
            return (self.share or 0.0) * self.of(dense)
        return self.absolute * _clock(dense) / 1e9 if self.quantity == LATENCY else self.absolute

    def of(self, cost: NetworkCost) -> int:
        """What a network spends of it, in the unit of what is counted. Raises UsageError where the target cannot say."""
        value = cost.totals()[self.counted]  # type: ignore[literal-required]
        if value is None:
            reason, other = ": no source states its MACs per cycle", "padded_macs, macs or weight_bytes"
            if "cycles" not in self.counted:
                reason, other = "", "peak_activation_bytes"
            raise UsageError(f"The target has no oracle for {self.quantity}{reason}. Use a budget on {other}.")
        if self.quantity == LATENCY:
            _clock(cost)
        return int(value)

    def __str__(self) -> str:
        if self.share is not None:
            return f"{self.quantity}={100 * self.share:g}%"
        if self.quantity == LATENCY and self.absolute is not None:
            return f"{self.quantity}={Decimal(self.absolute) / _SECONDS['ms']:f}ms"
        return f"{self.quantity}={self.absolute}"


def amount(budget: Budget | str, value: float, totals: Totals) -> str:
    """What a budget asks for or a network spends of it, with thousands apart; a latency is told in milliseconds, too.

    `totals` are of a network on the same target: they tell how long a cycle takes.
    """
    milliseconds, cycles = totals["milliseconds"], totals["cycles"]
    if str(budget).partition("=")[0] != LATENCY or milliseconds is None or not cycles:
        return f"{value:,.0f}"
    time = f"{value * milliseconds / cycles:,.3f} ms"
    return f"{time} ({value:,.0f} cycles)" if totals["clock_hz"] else time


def _clock(cost: NetworkCost) -> int:
    """Cycles a second."""
    if cost.clock_hz is None:
        clocks, target = cost.target.clocks, cost.target
        others = ", ".join(f"{name} ({hz / 1e6:g} MHz)" for name, hz in clocks.items())
        hint = (
            f"Systems with a clock: {others}."
            if clocks
            else "Use a budget on cycles, or describe a system that has one."
        )
        raise UsageError(f"A latency needs a clock, and the system of {target.id} states none. {hint}")
    return cost.clock_hz


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
    quantities = [each.counted for each in budgets]
    if not budgets or len(set(quantities)) < len(quantities):
        raise UsageError(f"Give one budget or more, each of another quantity; got {', '.join(quantities) or 'none'}.")
    return budgets
