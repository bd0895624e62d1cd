"""A budget: at most so much of a quantity."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from padless.cost import NetworkCost, Totals
from padless.errors import UsageError, expect, suggest

LATENCY = "latency"  # is counted in cycles, at the clock of the target's system
PEAKS = ("peak_sram_bytes", "peak_activation_bytes")
FLASH = "flash_bytes"
QUANTITIES = ("cycles", "npu_cycles", LATENCY, "macs", "padded_macs", "weight_bytes", "padded_weight_bytes", FLASH,
              *PEAKS)  # fmt: skip
SHORT = {"sram": "peak_sram_bytes", "flash": FLASH}  # what may be written for a long name
SECONDS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}  # in nanoseconds
_PREFIXES = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3}  # powers of 1000, or with an i of 1024
_TEXT = re.compile(r"\s*(\w+)\s*=\s*((?:[0-9][0-9_]*)?(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)\s*(%|[a-zA-Z]*)\s*")
ABSURD = 100  # what no network costs so little of: a whole number up to it was meant otherwise
WRITE = (
    "Write a share, such as cycles=50% or macs=0.5, or a number, such as weight_bytes=300k, sram=100KiB, latency=5ms."
)


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
        _check_known(self.quantity)
        if (self.share is None) == (self.absolute is None):
            raise UsageError(f"A budget on {self.quantity} is a share or an absolute number: give one of them.")
        if self.share is not None and not 0 < self.share <= 1:
            raise UsageError(
                f"The budget {self} is not a share between 0 and 100 %: a share of 0.5 is half of the dense network."
            )
        if self.absolute is not None and self.absolute <= 0:
            raise UsageError(f"The budget {self} is none: every network costs more than 0.")

    @staticmethod
    def parse(text: str) -> "Budget":
        """`cycles=50%`, `macs=0.5`: a share of the dense network. `macs=2M`, `sram=100KiB`, `latency=5ms`: a number.

        A number with a point and without a unit is a share, for every quantity; `sram` is short for peak_sram_bytes, `flash`
        for flash_bytes.
        Raises UsageError when the text is none of these, and for whole numbers that no network costs so little of.
        """
        match = _TEXT.fullmatch(text)
        number = _number(match[2]) if match else None
        if match is None or number is None:
            raise UsageError(f"Cannot read the budget {text!r}. {WRITE}")
        quantity, unit = SHORT.get(match[1], match[1]), match[3]
        _check_known(quantity)
        if unit == "%":
            return Budget(quantity=quantity, share=number / 100)
        if not unit and ("." in match[2] or 0 < number < 1):
            return Budget(quantity=quantity, share=number)
        if quantity == LATENCY or unit in SECONDS:
            return _latency(text, quantity, number, unit)
        return Budget(quantity=quantity, absolute=_whole(text, quantity, number, unit))

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
        if self.quantity == LATENCY and cost.cycles:
            _clock(cost)
            return cost.cycles.total
        if self.quantity in ("cycles", "npu_cycles") and cost.cycles and cost.unit == "ns":
            raise UsageError(
                f"{cost.cycles.source.oracle} answers in nanoseconds, so there are no {self.quantity} to budget. Ask for "
                "latency, such as latency=50%."
            )
        value = cost.totals()[self.counted]  # type: ignore[literal-required]
        if value is None:
            reason, other = ": no source states its MACs per cycle", "padded_macs, macs or weight_bytes"
            if self.counted in PEAKS:
                reason, other = ": none that is asked knows memory", "peak_activation_bytes, or give --memory-oracle"
            if self.counted == FLASH:
                reason, other = ": none that is asked knows how constants are stored", "weight_bytes"
            raise UsageError(f"The target has no oracle for {self.quantity}{reason}. Use a budget on {other}.")
        return int(value)

    def scale(self, cost: NetworkCost) -> float:
        """How much of the budget's own unit one of what is counted is: of a latency, the nanoseconds of a cycle."""
        return 1e9 / _clock(cost) if self.quantity == LATENCY else 1.0

    def __str__(self) -> str:
        if self.share is not None:
            return f"{self.quantity}={100 * self.share:g}%"
        if self.quantity == LATENCY and self.absolute is not None:
            return f"{self.quantity}={Decimal(self.absolute) / SECONDS['ms']:f}ms"
        return f"{self.quantity}={self.absolute}"


def amount(budget: Budget | str, value: float, totals: Totals) -> str:
    """What a budget asks for or a network spends of it, with thousands apart; a latency is told in milliseconds, too.

    `totals` are of a network on the same target: they tell how long a cycle takes.
    """
    if str(budget).partition("=")[0] != LATENCY:
        return f"{value:,.0f}"
    if totals["nanoseconds"] is not None:
        return f"{value / SECONDS['ms']:,.6g} ms"
    milliseconds, cycles = totals["milliseconds"], totals["cycles"]
    return (
        f"{value * milliseconds / cycles:,.6g} ms ({value:,.0f} cycles)" if milliseconds and cycles else f"{value:,.0f}"
    )


def _check_known(quantity: str) -> None:
    if quantity not in QUANTITIES:
        known = suggest(str(quantity), QUANTITIES) or "Known: " + ", ".join(QUANTITIES)
        raise UsageError(f"Unknown budget {quantity!r}. {known}")


def _latency(text: str, quantity: str, number: float, unit: str) -> Budget:
    """A budget that was written with a unit of time, or on a latency."""
    if quantity != LATENCY:
        raise UsageError(f"Cannot read the budget {text!r}. A time is a budget of latency: latency={number:g}{unit}.")
    if unit not in SECONDS:
        raise UsageError(
            f"Cannot read the budget {text!r}. A latency has a unit ({', '.join(SECONDS)}), as in latency=5ms, or is a "
            "share of the dense network's, as in latency=50%."
        )
    return Budget(quantity=LATENCY, absolute=round(number * SECONDS[unit]))


def _whole(text: str, quantity: str, number: float, unit: str) -> int:
    """A number with a prefix: k, M, G are powers of 1000, Ki, Mi, Gi of 1024; bytes may have a B behind it."""
    prefix = unit.removesuffix("B")
    if prefix != unit and not quantity.endswith("_bytes"):
        raise UsageError(f"Cannot read the budget {text!r}. {quantity} are no bytes. {WRITE}")
    power = _PREFIXES.get(prefix.removesuffix("i"))
    if power is None or prefix == "i":
        raise UsageError(
            f"Cannot read the budget {text!r}. {unit!r} is no unit: there are %, k, M, G, Ki, Mi, Gi and, for bytes, these "
            "with a B."
        )
    if not unit and number <= ABSURD:
        share = "0.5 or 50%" if number == 0 else f"{number:g}%"
        raise UsageError(
            f"Cannot read the budget {text!r}: no network costs so little. Write {quantity}={share} for a share of the "
            f"dense network's{', 100% for all of it' if number == 1 else ''}, or a number with its unit, such as "
            f"{quantity}=300k."
        )
    return int(number * (1024 if prefix.endswith("i") else 1000) ** power)


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
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


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
