"""What a search over widths answers, whichever way it went."""

from dataclasses import dataclass, field

from padless.choose.plan import Proof
from padless.cost import NetworkCost


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Allocation:
    """How many channels each group keeps, and what the network costs then.

    A search by ratio says which `ratio` it was and what the next `milder` one costs; one on tables what these say of each
    budget (`table_totals`), and with a proof how good the answer is.
    """

    widths: dict[str, int]
    cost: NetworkCost
    treatments: dict[str, str] = field(default_factory=dict)  # of layers that have one
    ratio: float | None = None
    milder: NetworkCost | None = None
    table_totals: tuple[float, ...] | None = None
    proof: Proof | None = None
