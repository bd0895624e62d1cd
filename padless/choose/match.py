"""Any way of cutting a network, brought to the same cost by one counter, so that methods can be compared."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from padless.choose.budget import Budget, amount
from padless.cost import OracleLike
from padless.cost.pricing import Pricing
from padless.errors import InfeasibleError, PadlessError, TraceError, UsageError, expect
from padless.hardware import Target
from padless.hardware.target import as_target
from padless.inputs import weights_digest

CostOf = Callable[[nn.Module], float]
# A method at one setting of its knob: the larger, the smaller the network; None where it says that it cannot go so far.
Maker = Callable[[float], nn.Module | None]
STEPS, FINE = 8, 14  # of bisection, at most
CLOSE = 0.995  # of a limit: nearer is not looked for
HIGHEST = 0.97  # a ratio of 1 leaves no network
TOO_FAR = -1.0  # below every cost


class Knob:
    """A method's knob between 0 and `high`. What was tried is remembered, for the next cost."""

    def __init__(
        self, make: Maker, cost: CostOf, high: float = HIGHEST, *, steps: int = STEPS, close: float = 2.0
    ) -> None:
        self.make, self.cost, self.high = make, cost, high
        self.steps, self.close = steps, close
        self.costs: dict[float, float] = {}

    def at_most(self, limit: float) -> nn.Module | None:
        """The network whose cost is nearest below a limit; none where the method cannot go so low."""
        at = self.place(limit)
        return None if at is None else self.make(at)

    def place(self, limit: float) -> float | None:
        """Where the knob stands for it."""
        low, high = 0.0, self.high
        for _ in range(self.steps):
            middle = (low + high) / 2
            spent = self._cost(middle)
            low, high = (low, middle) if spent <= limit else (middle, high)
            if self.close * limit <= spent <= limit:
                break
        else:
            self._cost(self.high)
        return self.nearest(limit)

    def nearest(self, limit: float) -> float | None:
        """Of what was tried, where the knob stood for the cost nearest below it; of equal ones the least."""
        met = {at: cost for at, cost in self.costs.items() if 0 <= cost <= limit}
        return max(met, key=lambda at: (met[at], -at)) if met else None

    def _cost(self, at: float) -> float:
        if at not in self.costs:
            small = self.make(at)
            self.costs[at] = self.cost(small) if small else TOO_FAR
        return self.costs[at]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Match:
    """A cut network at a cost: what was asked for and reached, at which ratio, in how many networks."""

    model: nn.Module
    ratio: float
    budget: str
    asked: float
    reached: int
    dense: int
    text: str

    @property
    def share(self) -> float:
        """Of what the dense network costs."""
        return self.reached / self.dense

    def __str__(self) -> str:
        return self.text


def match(
    model: nn.Module,
    *example: Any,
    method: Maker,
    budget: str | Budget = "macs=50%",
    target: Target | str | Path = "unit:1",
    oracle: str | OracleLike | None = None,
    highest: float = HIGHEST,
) -> Match:
    """Turn the ratio of any pruning method until its network costs at most `budget`, counted as padless counts its own.

    `method` takes a ratio from 0 to `highest` and returns a cut copy of `model`: any tool's, or your own. A larger ratio is
    to cost less. None says that it cannot go so far; so does a network that does not run. Of all networks that were tried,
    the nearest below the budget is the answer; bisection ends within half a percent of it. `target` and `oracle` are as for
    `inspect`; for MACs no target matters.

    Raises UsageError for what is no method and for one that changes `model` itself, PadlessError where the method fails, and
    InfeasibleError, with the least that it reached.
    """
    expect(budget, (str, Budget), "budget", "Write 'macs=50%'.")
    if not callable(method):
        raise UsageError(
            f"method is a {type(method).__name__}; expected a function from a ratio to a cut network, such as "
            "lambda ratio: my_prune(copy.deepcopy(model), ratio)."
        )
    expect(highest, (int, float), "highest", "Write a ratio, such as 0.97.")
    if not 0 < highest < 1:
        raise UsageError(f"The highest ratio lies between 0 and 1; got {highest:g}.")
    asked = Budget.parse(budget) if isinstance(budget, str) else budget
    with Pricing(model, example, as_target(target), oracle=oracle) as pricing:
        dense = pricing.dense()
        limit = asked.limit(dense)

        def cost(small: nn.Module) -> float:
            try:
                return asked.of(pricing.on(small).dense())
            except TraceError:
                return TOO_FAR

        guarded, kept = _guarded(method, model), dict[float, nn.Module]()

        def make(ratio: float) -> nn.Module | None:
            for tried in [tried for tried in kept if tried != knob.nearest(limit)]:
                del kept[tried]  # the answer so far stays: asked again, a method that draws lots would make another
            small = guarded(ratio)
            if small is not None:
                kept[ratio] = small
            return small

        knob = Knob(make, cost, highest, steps=FINE, close=CLOSE)
        ratio = knob.place(limit)
        totals, reached = dense.totals(), [int(spent) for spent in knob.costs.values() if spent >= 0]
        if ratio is None:
            least = f"at its least {amount(asked, min(reached), totals)}" if reached else "no network that runs"
            raise InfeasibleError(
                f"The budget {asked} asks for at most {amount(asked, limit, totals)}; the method reaches {least}. "
                "Ask for more, or give a greater highest ratio.",
                asked.quantity,
            )
        spent = int(knob.costs[ratio])
        return Match(
            model=kept[ratio], ratio=ratio, budget=str(asked), asked=limit, reached=spent, dense=asked.of(dense),
            text=f"{asked}: at most {amount(asked, limit, totals)}, reached {amount(asked, spent, totals)} "
            f"({100 * spent / asked.of(dense):.2f} % of dense) at ratio {ratio:.4g}, {len(knob.costs)} networks tried",
        )  # fmt: skip


def _guarded(method: Maker, model: nn.Module) -> Maker:
    """The method, with its mistakes told in words."""
    before = weights_digest(model)

    def make(ratio: float) -> nn.Module | None:
        try:
            small = method(ratio)
        except Exception as error:  # another tool's, of any kind
            raise PadlessError(f"The method failed at ratio {ratio:.4g}: {type(error).__name__}: {error}") from error
        if small is model or weights_digest(model) != before:
            raise UsageError("The method changed the network itself. Let it cut a copy: copy.deepcopy(model).")
        if small is not None and not isinstance(small, nn.Module):
            raise UsageError(f"The method returned a {type(small).__name__}; expected a torch.nn.Module, or None.")
        return None if small is None else small.eval()

    return make
