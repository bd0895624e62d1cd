"""Every failure that padless reports on purpose.

PadlessError                exit code 1
├── TraceError              the model does not run, or cannot be recorded
├── EquivalenceError        a cut model differs from the masked original
├── OracleError             a compiler or simulator failed to answer
│   ├── NotWholeError       … about a network as a whole; its layers may still have answers
│   └── LayersError         … about some layers, and names all of them
└── UsageError              exit code 2: the request cannot be met as it stands
    ├── InfeasibleError     no allowed cut meets the budget; carries the least reachable cost
    └── UntreatedError      no treatment of weights can be offered; carries the reason without the advice
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

LISTED = 20  # layers in one message
LETTERS = 20_000  # of one message


class PadlessError(Exception):
    """A failure with a message for people: what was given, what was expected, what to try."""

    exit_code = 1

    def __str__(self) -> str:
        """The message; the middle of an endless one, which repeats what was given, is left out."""
        text = " ".join(map(str, self.args))
        return text if len(text) <= LETTERS else f"{text[: LETTERS // 2]} … {text[-LETTERS // 2 :]}"


class TraceError(PadlessError):
    """The model failed on the example input."""


class EquivalenceError(PadlessError):
    """The cut model and the masked original disagree; the cut is refused."""


class OracleError(PadlessError):
    """A compiler or simulator crashed or refused a network."""


class UsageError(PadlessError):
    """The arguments do not fit together; nothing was done."""

    exit_code = 2


class UntreatedError(UsageError):
    """No treatment pays on this target, or fits a layer of this network: `reason` says why, without what to try."""

    def __init__(self, reason: str, advice: str = "Leave treat out.") -> None:
        super().__init__(reason, advice)
        self.reason = reason


class NotWholeError(OracleError):
    """An oracle cannot price this network as a whole, and says why; its layers can still be summed."""


class LayersError(OracleError):
    """An oracle has no answer for some of the layers that it was asked about, and says so before it asks for any.

    `reasons` has a text for each of these shapes; the message lists them by the layers' names, where those are known.
    """

    def __init__(
        self, head: str, reasons: Mapping[Any, str], advice: str, names: Mapping[Any, str] | None = None
    ) -> None:
        self.head, self.reasons, self.advice = head, reasons, advice
        lines = [f"{names[shape]}: {reason}" if names else reason for shape, reason in reasons.items()]
        more = [f"and {len(lines) - LISTED} more"] * (len(lines) > LISTED)
        super().__init__("\n  ".join([f"{head}:", *lines[:LISTED], *more]) + f"\n{advice}")

    def named(self, names: Mapping[Any, str]) -> "LayersError":
        """The same error with the layers' names in its message."""
        return LayersError(self.head, self.reasons, self.advice, names)


class InfeasibleError(UsageError):
    """The budget lies below what the narrowest allowed network costs. `quantity` is the budget's, where one is to blame."""

    def __init__(self, message: str, quantity: str | None = None) -> None:
        super().__init__(message)
        self.quantity = quantity


def suggest(given: str, known: Iterable[str]) -> str:
    """A sentence naming the known names nearest to `given`, or all of them when they are few."""
    names = list(known)
    near = get_close_matches(given, names, n=3, cutoff=0.5)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"Known: {', '.join(names)}." if len(names) <= 12 else ""


def missing_extra(package: str, extra: str, need: str) -> UsageError:
    """The error for an optional dependency that is not installed."""
    return UsageError(f"{need} needs the package {package}. Install it with: pip install 'padless[{extra}]'")


def expect(value: object, kinds: type | tuple[type, ...], what: str, hint: str = "") -> None:
    """Raises UsageError where `value`, which the caller knows as `what`, is of none of `kinds`."""
    if not isinstance(value, kinds):
        names = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
        raise UsageError(f"{what} is a {type(value).__name__}; expected {names}. {hint}".rstrip())
