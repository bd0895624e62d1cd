"""What the page says of a run in sentences, each worked out from the report's numbers."""

from collections.abc import Sequence

from padless.choose.budget import amount
from padless.choose.paying import WAITS
from padless.report.report import GroupReport, LayerReport, Report, StageScore
from padless.report.summary import Achieved, Summary
from padless.report.svg import duration, human, memory, percent

QUANTITIES = {
    "cycles": "cycles", "npu_cycles": "NPU cycles", "macs": "MACs", "padded_macs": "MACs with padding",
    "weight_bytes": "bytes of weights", "padded_weight_bytes": "bytes of stored weights", "flash_bytes": "bytes of flash",
}  # fmt: skip
EVEN = 0.99  # what is worth nearly as much as it costs is not called worth less
HARDLY = 0.01  # what is worth less of what it costs is said to be worth hardly anything
MOST_OF = 0.5  # of what waits: from here on weights are blamed


def verdict(budget: Achieved, summary: Summary) -> str:
    """Whether a budget was met, and by how much."""
    asked, achieved = (amount(budget.budget, value, summary.before) for value in (budget.asked, budget.achieved))
    share = budget.achieved / budget.asked if budget.asked else 1.0
    if budget.met:
        return f"Met: {budget.budget} allows {asked}; the network takes {achieved}, {percent(share)} of it."
    over, planned = 100 * (share - 1), amount(budget.budget, budget.compiler_total, summary.before)
    return (
        f"Missed: {budget.budget} allows {asked}; the network takes {achieved}, {over:.1f} % too much. The plan met it at "
        f"{planned}; the final weights compress otherwise. Ask for a slightly smaller budget."
    )


def quantity_name(report: Report) -> str:
    """What costs in tables are called: never cycles where the oracle answers in time."""
    quantity = report.curves.quantity if report.curves else "cycles"
    return "time" if quantity == "cycles" and report.unit == "ns" else QUANTITIES[quantity]


def spent(report: Report, value: float) -> str:
    """An amount of what the tables count, with its unit."""
    name = quantity_name(report)
    if name == "time":
        return duration(value)
    return memory(value) if name.startswith("bytes") else f"{human(value)} {name}"


def waiting(layers: Sequence[LayerReport]) -> dict[str, int]:
    """What each pruned layer's time is beside computing, the longest first."""
    waits = {
        layer.name: layer.pruned.time - layer.pruned.npu_time
        for layer in layers
        if layer.pruned.time is not None and layer.pruned.npu_time is not None
    }
    return dict(sorted(((name, n) for name, n in waits.items() if n > 0), key=lambda pair: -pair[1]))


def bound(report: Report) -> tuple[str, str]:
    """What binds the pruned network, and one sentence on what follows; both empty where no oracle says."""
    times = {layer.name: layer.pruned.time or 0 for layer in report.layers}
    total = sum(times.values())
    if not total:
        return "", ""
    longest = max(times, key=times.__getitem__)
    longest_share = f"{longest} takes {percent(times[longest] / total)} of the layers' time"
    if not report.memory_waits:
        return (
            "",
            f"The longest layer: {longest_share}. Whether it computes or waits for memory, this oracle does not say.",
        )
    waits = waiting(report.layers)
    share = sum(waits.values()) / total
    if share >= WAITS:
        return f"Bound by memory: {percent(share)} of the layers' cycles wait for it.", _of_memory(report, waits)
    pair = "" if share == 0 else f" {percent(share)} wait for memory."
    use = next(layer.pruned.utilisation_percent for layer in report.layers if layer.name == longest)
    used = f", and uses {use:.0f} % of the array" if use is not None else ""
    return f"Bound by computing.{pair}", f"Fewer MACs save time: {longest_share}{used}."


def _of_memory(report: Report, waits: dict[str, int]) -> str:
    """Whether the weights' way explains the waiting, by the slowest memory's rate."""
    most = list(waits)[:2]
    part = sum(waits[name] for name in most) / sum(waits.values())
    where = f"{percent(part)} of that is in {' and '.join(most)}."
    found = _of_weights(report, waits)
    if found is None:
        return where
    slowest, rate, share = found
    told = f"{where} In all waiting layers reading weights from {slowest} at {rate:.2g} B/cycle"
    if share >= MOST_OF:
        return (
            f"{told} explains {percent(min(1.0, share))} of the time: fewer bytes of weights help (a budget on "
            f"weight_bytes){_in_sram(report)}."
        )
    return f"{told} explains only {percent(share)} of the time: smaller maps or strides help more than fewer weights."


def _of_weights(report: Report, waits: dict[str, int]) -> tuple[str, float, float] | None:
    """The slowest memory, its rate, and what part of the waiting layers' time reading all their weights from it takes."""
    rates = {name: rate for name, rate in report.bandwidths.items() if name != "SRAM"}
    if not rates:
        return None
    slowest = min(rates, key=rates.__getitem__)
    layers = [layer for layer in report.layers if layer.name in waits]
    reading = sum(layer.pruned.weight_bytes * _packed(report) / rates[slowest] for layer in layers)
    taken = sum(layer.pruned.time or 0 for layer in layers)
    return slowest, rates[slowest], reading / taken if taken else 0.0


def weights_bind(report: Report) -> bool:
    """Whether the network waits for memory, and reading its weights explains it."""
    waits, total = waiting(report.layers), sum(layer.pruned.time or 0 for layer in report.layers)
    if not report.memory_waits or not total or sum(waits.values()) < WAITS * total:
        return False
    found = _of_weights(report, waits)
    return found is not None and found[2] >= MOST_OF


def _packed(report: Report) -> float:
    """What of the weights' bytes is left once the compiler has packed them, where it says so."""
    weights = _weights(report)
    return min(1.0, (report.flash_bytes[1] or weights) / weights) if weights else 1.0


def _weights(report: Report) -> int:
    return sum(layer.pruned.weight_bytes for layer in report.layers)


def _in_sram(report: Report) -> str:
    """The advice to move the weights, unless they are known not to fit."""
    weights = report.flash_bytes[1] or _weights(report)
    room = next((limit.bytes for limit in report.limits if limit.of == "sram"), None)
    if room is not None and weights > room:
        return ""
    return f", or {memory(weights)} of SRAM for them (--memory-mode)"


def accuracy_change(report: Report) -> tuple[str, bool | None]:
    """How the final accuracy stands to the dense one, and whether that is a loss that the test set shows (None: unknown)."""
    stages = {tested.stage: tested for tested in report.stages}
    dense, final = stages.get("dense"), stages.get("final")
    if final is None:
        return "", None
    if dense is None:
        return "", None
    points = final.percent - dense.percent
    if final.low is None or final.high is None or report.test_images is None:
        return f"{points:+.2f} points", None
    images = round(points * report.test_images / 100)
    lost = dense.percent > final.high
    same = final.low <= dense.percent <= final.high
    right = "right" if report.measured == "accuracy" else "alike"
    count = f"{abs(images)} image{'s' if abs(images) != 1 else ''} {'more' if images > 0 else 'fewer'} {right}"
    told = f"as many images {right}" if not images else count
    if same:
        return f"{told}: within the test set's uncertainty", False
    return f"{points:+.2f} points, {told}", lost


def interval(tested: StageScore) -> str:
    """A stage's 95 % interval; empty where there is none."""
    return "" if tested.low is None or tested.high is None else f"{tested.low:.1f} to {tested.high:.1f} %"


class Steps:
    """A group's next steps down and up from the width that it keeps, as far as they are offered and allowed."""

    def __init__(self, group: GroupReport) -> None:
        self.group, self.width = group, group.kept + group.zeros
        self.at = group.levels.index(self.width) if self.width in group.levels else None
        places = [i for i, cost in enumerate(group.costs) if cost is not None]
        self.down = next((i for i in reversed(places) if group.levels[i] < self.width), None)
        self.up = next((i for i in places if group.levels[i] > self.width), None)

    def cost(self, place: int) -> float | None:
        """How much more the group's layers cost there than now; None where its own width was not offered."""
        if self.at is None:
            return None
        here, there = self.group.costs[self.at], self.group.costs[place]
        return None if here is None or there is None else there - here

    def worth(self, place: int) -> float | None:
        """How much more is kept there than now, in the unit of the budget's price."""
        if self.at is None or not self.group.worths:
            return None
        return self.group.worths[place] - self.group.worths[self.at]


def cut_of(group: GroupReport, report: Report) -> str:
    """What was done to a group that could be cut."""
    steps = Steps(group)
    share = (
        f"keeps {percent(group.shares[steps.at])} of its importance" if group.shares and steps.at is not None else ""
    )
    if group.kept == group.width:
        return "Kept whole." if not group.zeros else f"Kept whole, with {group.zeros} channels of zeros."
    dense = group.costs[-1] if group.costs and group.levels[-1] == group.width else None
    now = group.costs[steps.at] if group.costs and steps.at is not None else None
    saved = f"saves {spent(report, dense - now)}" if dense is not None and now is not None and dense > now else ""
    told = ", ".join(filter(None, (saved, share)))
    return f"{told[0].upper()}{told[1:]}." if told else f"Cut to {group.kept} of {group.width}."


def pays_most(report: Report) -> str:
    """Which groups lose most of their importance and save most; empty where none was cut or nothing is known."""
    lost, saved = [], []
    for group in report.groups:
        at = Steps(group).at
        if at is None or not group.shares or group.kept >= group.width:
            continue
        lost.append((group.shares[at], group.id))
        now, dense = group.costs[at], group.costs[-1]
        if now is not None and dense is not None and group.levels[-1] == group.width and dense > now:
            saved.append((dense - now, group.id))
    if not lost:
        return ""
    share, id = min(lost)
    told = f"{id} loses most: {percent(1 - share)} of its importance."
    if saved:
        most, saver = max(saved)
        told += f" {'It' if saver == id else saver} saves most: {spent(report, most)}, those of its readers among them."
    return told


def not_less(group: GroupReport, report: Report) -> str:
    """Why a group is no narrower."""
    if not group.kept:
        return "Nothing of it is left: constants stand for the layers that read it."
    steps = Steps(group)
    if steps.down is None:
        return f"Not less: {group.least}." if group.least else "Not less: nothing narrower is offered."
    width, saving, worth = group.levels[steps.down], steps.cost(steps.down), steps.worth(steps.down)
    if saving is None or worth is None:
        return ""
    if saving >= 0:
        return f"Not less: {width} would cost no less."
    price = report.curves.price if report.curves else 0.0
    would = f"{width} would save {spent(report, -saving)}"
    if not price:
        return f"Not less: the budget is met without it. {would}."
    lost = -worth / price
    if lost > -saving:
        return f"Not less: {would}, and lose what is worth {spent(report, lost)} elsewhere."
    return f"Not less: {would}, and the budget is met without it."


def not_more(group: GroupReport, report: Report, summary: Summary) -> str:
    """Why a group is no wider."""
    steps = Steps(group)
    if group.kept == group.width:
        return ""
    if steps.up is None:
        return "Not more: nothing wider is offered."
    width, more, worth = group.levels[steps.up], steps.cost(steps.up), steps.worth(steps.up)
    if more is None or worth is None:
        return ""
    if more <= 0:
        return f"Not more: {width} costs no more by the tables; the network as a whole was dearer."
    would = f"{width} would cost {spent(report, more)} more"
    price, left = report.curves.price if report.curves else 0.0, _left(report, summary)
    if price and worth / price < HARDLY * more:
        return f"Not more: {would}, and keep hardly more importance."
    if price and worth / price < EVEN * more:
        return f"Not more: {would}, and keep what {spent(report, worth / price)} keep elsewhere."
    if left is not None and left < more:
        return f"Not more: {would}; the plan leaves {spent(report, left)} of the budget."
    return f"Not more: {would}; the budgets leave no room for it."


def _left(report: Report, summary: Summary) -> float | None:
    """What the plan leaves of the budget on what the tables count."""
    quantity = report.curves.quantity if report.curves else ""
    for budget in summary.budgets:
        name = budget.budget.partition("=")[0]
        if name == quantity or (name == "latency" and quantity == "cycles"):
            return max(0.0, budget.asked - budget.compiler_total)
    return None
