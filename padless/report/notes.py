"""What a reader of a run's numbers must know, and might miss."""

from collections.abc import Iterator

from padless.choose.budget import LATENCY
from padless.choose.budget import QUANTITIES as BUDGETS
from padless.cost import NetworkCost

# Totals that a cut is meant to lower -> how they are called.
QUANTITIES = {
    "macs": "MACs",
    "padded_macs": "padded MACs",
    "weight_bytes": "weight bytes",
    "padded_weight_bytes": "padded weight bytes",
    "activation_bytes": "activation bytes",
    "padded_activation_bytes": "padded activation bytes",
    "cycles": "cycles",
    "npu_cycles": "NPU cycles",
    "nanoseconds": "nanoseconds",
    "peak_sram_bytes": "peak SRAM bytes",
    "peak_activation_bytes": "peak activation bytes",
    "flash_bytes": "flash bytes",
    "energy_pj": "energy pJ",
}


def notes(before: NetworkCost, after: NetworkCost) -> tuple[str, ...]:
    """What `summary.json`, the page and the closing lines say of a run: sums, what is not counted, totals that rose."""
    return (*_cycles(before, after), *_risen(before, after))


def _cycles(before: NetworkCost, after: NetworkCost) -> Iterator[str]:
    """How far the cycles can be trusted: each note once, with the network that it is of where they differ."""
    sides = [(name, cost.cycles) for name, cost in (("dense", before), ("pruned", after)) if cost.cycles]
    told = []
    for name, cycles in sides:
        counted = "Cycles" if cycles.source.unit == "cycles" else "Nanoseconds"
        kind = "" if cycles.whole else f"{counted} are a sum over layers. "
        told.append((name, f"{kind}{cycles.note}".strip()))
    if len({note for _, note in told}) == 1:
        told = [("", told[0][1])]
    yield from (f"{name.capitalize()} network: {note}" if name else note for name, note in told if note)
    if len({cycles.whole for _, cycles in sides}) == 2:
        yield "One network's cycles are of the whole, the other's a sum over layers: they cannot be compared."


def _risen(before: NetworkCost, after: NetworkCost) -> Iterator[str]:
    old, new = before.totals(), after.totals()
    for key, called in QUANTITIES.items():
        dense, now = old[key], new[key]  # type: ignore[literal-required]
        if dense is not None and now is not None and now > dense > 0:
            quantity = LATENCY if key == "nanoseconds" else key
            forbid = f" A budget on {quantity} would forbid that." if quantity in BUDGETS else ""
            yield (
                f"Higher after the cut than before: {called}, {now:,.0f} instead of {dense:,.0f} "
                f"(+{100 * (now / dense - 1):.1f} %).{forbid}"
            )
