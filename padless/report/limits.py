"""What a network must fit into: told on the command line, asked for as a budget, or stated by the target."""

from collections.abc import Iterable

from padless.choose.budget import Budget
from padless.errors import UsageError, suggest
from padless.hardware import Target
from padless.report.report import Limit, LimitOf

KNOWN: dict[str, LimitOf] = {"sram": "sram", "flash": "flash"}
BUDGETED: dict[str, LimitOf] = {"peak_sram_bytes": "sram", "flash_bytes": "flash"}


def parse_limits(text: str) -> tuple[Limit, ...]:
    """`sram=256KiB,flash=1MB`: at most one of each. Raises UsageError for what is none of these."""
    limits: dict[str, Limit] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, size = part.partition("=")
        if name not in KNOWN or not equals or name in limits:
            hint = "Each is given once. " if name in limits else suggest(name, KNOWN) + " "
            raise UsageError(f"Cannot read the limit {part!r}. {hint}Write --limit sram=256KiB,flash=1MB.")
        limits[name] = Limit(of=KNOWN[name], bytes=_bytes(part, size), source="--limit")
    return tuple(limits.values())


def _bytes(part: str, size: str) -> int:
    """A size as budgets are written."""
    try:
        budget = Budget.parse(f"weight_bytes={size}")
    except UsageError:
        budget = None
    if budget is None or not budget.absolute:
        raise UsageError(f"Cannot read the limit {part!r}. A size is a number with its unit, such as 256KiB or 1MB.")
    return budget.absolute


def limits_of(target: Target, budgets: Iterable[str], told: Iterable[Limit] = ()) -> tuple[Limit, ...]:
    """The limits that hold for a run: those that were told, else a budget's, else those that the target's system states."""
    limits: dict[str, Limit] = {}
    if target.system.sram_bytes:
        name = target.variant.get("system") or next(iter(target.systems), "")
        limits["sram"] = Limit(of="sram", bytes=target.system.sram_bytes, source=f"{target.id} {name}".strip())
    for budget in map(Budget.parse, budgets):
        if budget.quantity in BUDGETED and budget.absolute is not None:
            of = BUDGETED[budget.quantity]
            limits[of] = Limit(of=of, bytes=budget.absolute, source="the budget")
    limits |= {limit.of: limit for limit in told}
    return tuple(limits[name] for name in KNOWN if name in limits)
