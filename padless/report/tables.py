"""Tables for people: a network layer by layer, before and after."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from padless.cost import LayerCost, NetworkCost, Totals
from padless.hardware import round_up
from padless.report.summary import Widths


def layers(cost: NetworkCost, title: str) -> Group:
    """A row a layer: channels, units, padded channels, MACs, the wasted share with a bar, cycles."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("layer", overflow="fold", min_width=12)
    for name, width in (("channels", 9), ("unit", 5), ("padded", 9), ("MACs", 8), ("removable\n%", 9), (cost.unit, 9)):
        table.add_column(name, justify="right", no_wrap=True, min_width=width)
    table.add_column("", no_wrap=True, min_width=6)
    for row in cost.layers:
        layer, padded = row.layer, padded_channels(row)
        kind = "" if layer.groups == 1 else " dw" if layer.kind == "depthwise" else f" /{layer.groups}"
        table.add_row(
            layer.name, f"{layer.c_in}→{layer.c_out}{kind}", f"{row.units.input}x{row.units.output}",
            "=" if padded == (layer.c_in, layer.c_out) else "{}→{}".format(*padded), f"{row.cost.macs / 1e6:.3f}M",
            f"{row.cost.avoidable_macs_percent:.2f}", "" if row.cycles is None else f"{row.cycles:,}", waste_bar(row),
        )  # fmt: skip
    return Group(table, totals({"network": cost.totals()}), staying(cost), *map(Text, _notes(cost)))


def staying(cost: NetworkCost) -> Group:
    """What pruning can reach, and the groups and layers that stay whole: a row a reason."""
    reach = cost.reach
    headline = Text(
        f"Can be cut: {reach.channels_percent:.1f} % of the channels; with one channel a group left, "
        f"{reach.macs_percent:.1f} % of the MACs are gone.",
        style="bold",
    )
    reasons: dict[str, list[tuple[str, int]]] = {}  # names and widths
    for group in reach.pinned:
        reasons.setdefault((group.pinned or "").split(" (module")[0], []).append((group.id, group.width))
    for layer in reach.fixed:
        reasons.setdefault(layer.reason, []).append((layer.layer, layer.width))
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("stays whole, since", overflow="fold", min_width=20)
    table.add_column("channels", justify="right", no_wrap=True)
    table.add_column("of the layers", overflow="fold")
    for reason, groups in sorted(reasons.items(), key=lambda item: -sum(width for _, width in item[1])):
        names = [name for name, _ in groups]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        table.add_row(reason, str(sum(width for _, width in groups)), ", ".join(names[:3]) + more)
    return Group(headline, table) if reasons else Group(headline)


def _notes(cost: NetworkCost) -> list[str]:
    notes = [
        "channels input→output, dw depthwise, /N in N groups; unit input x output; = nothing is padded. "
        "Bars: █ padding that aligned widths would remove, ░ padding that no cut can (image, class outputs, groups "
        "narrower than a unit)."
    ]
    stuck = [f"{row.layer.name} ({row.problems[0]})" for row in cost.layers if row.problems]
    if stuck:
        more = f" and {len(stuck) - 4} more" if len(stuck) > 4 else ""
        notes.append(f"The NPU does not run {len(stuck)} of the layers: {', '.join(stuck[:4])}{more}.")
    if cost.cycles is None:
        return [*notes, "No cycles: no source states this target's MACs per cycle."]
    at = at_clock(cost.totals())
    unit, between = cost.cycles.source.unit, cost.cycles.total - sum(row.cycles or 0 for row in cost.layers)
    apart = f"; operators between the layers take {between:,}" if cost.cycles.whole else ""
    notes.append(f"{'Cycles' if unit == 'cycles' else 'Nanoseconds'}: {cost.cycles.oracle}{apart}.{at}")
    return notes + ([cost.cycles.note] if cost.cycles.note else [])


def who_counted(totals: Totals) -> str:
    """A sentence on where cycles, or nanoseconds in their place, come from."""
    counted = "Cycles" if totals["nanoseconds"] is None else "Nanoseconds"
    return f"{counted}: {totals['oracle'] or 'no oracle for this target'}.{at_clock(totals)}"


def at_clock(totals: Totals) -> str:
    """A sentence with a space before it that says at which clock cycles were turned into milliseconds; empty if they were
    not."""
    if totals["clock_hz"] is None or totals["milliseconds"] is None:
        return ""
    return f" Milliseconds are this estimate at {totals['clock_hz'] / 1e6:g} MHz, not measured."


def padded_channels(row: LayerCost) -> tuple[int, int]:
    """Input and output channels as the hardware counts them, over all groups of filters."""
    layer, units = row.layer, row.units
    if layer.kind == "depthwise":
        return round_up(layer.c_in, units.input), round_up(layer.c_out, units.output)
    g = layer.groups
    return g * round_up(layer.c_in // g, units.input), g * round_up(layer.c_out // g, units.output)


def waste_bar(row: LayerCost, width: int = 6) -> Text:
    """The wasted share of a layer's MACs as a bar: avoidable, then unavoidable."""
    avoidable = round(width * row.cost.avoidable_macs_percent / 100)
    wasted = round(width * row.cost.wasted_macs_percent / 100)
    return Text("█" * avoidable, style="red") + Text("░" * (wasted - avoidable), style="yellow")


ROWS: tuple[tuple[str, str, str], ...] = (
    ("removable padding, % of MACs", "avoidable_macs_percent", ".2f"),
    ("MACs", "macs", ",d"),
    ("padded MACs", "padded_macs", ",d"),
    ("weight bytes", "weight_bytes", ",d"),
    ("wasted weight space %", "wasted_weight_percent", ".2f"),
    ("activation bytes", "activation_bytes", ",d"),
    ("wasted activation space %", "wasted_activation_percent", ".2f"),
    ("cycles", "cycles", ",d"),
    ("NPU cycles", "npu_cycles", ",d"),
    ("nanoseconds", "nanoseconds", ",d"),
    ("milliseconds", "milliseconds", ",.6g"),
    ("peak SRAM bytes (oracle)", "peak_sram_bytes", ",d"),
    ("peak activation bytes (live ranges)", "peak_activation_bytes", ",d"),
    ("flash bytes (oracle)", "flash_bytes", ",d"),
    ("energy pJ", "energy_pj", ",.0f"),
    ("accuracy %", "accuracy", ".2f"),
    ("  in INT8, simulated %", "accuracy_int8", ".2f"),
    ("  of the TFLite file %", "accuracy_tflite", ".2f"),
    ("  after the cut %", "accuracy_before_recovery", ".2f"),
    ("  after closed-form recovery %", "accuracy_after_recovery", ".2f"),
    ("agreement with the dense network %", "agreement", ".2f"),
    ("  in INT8, simulated %", "agreement_int8", ".2f"),
    ("  after the cut %", "agreement_before_recovery", ".2f"),
    ("  after closed-form recovery %", "agreement_after_recovery", ".2f"),
)


def footnote(columns: Mapping[str, Mapping[str, Any]], align: str = "unit") -> str:
    """What is padded beside the padding that a cut can remove: its share rises where a cut takes useful MACs away."""
    kinds = "what the compiler does not charge for, " if align == "cost" else ""
    shares = [
        f"{side['wasted_macs_percent'] - side['avoidable_macs_percent']:.2f} %{f' ({name})' if len(columns) > 1 else ''}"
        for name, side in columns.items()
    ]
    rises = " Their share grows where a cut takes other MACs away." if len(columns) > 1 else ""
    return (
        f"Besides, {' and '.join(shares)} of the padded MACs are padding that no cut removes: {kinds}the image's channels, "
        f"the class outputs, groups narrower than a unit.{rises}"
    )


def totals(columns: Mapping[str, Mapping[str, Any]], align: str = "unit") -> Table:
    """Totals side by side; with two columns, also the second as a share of the first. `align` is the plan's."""
    table = Table(box=SIMPLE_HEAD, caption=footnote(columns, align), caption_justify="left")
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    pair = len(columns) == 2
    if pair:
        table.add_column("of dense", justify="right")
    for label, key, style in ROWS:
        values: list[Any] = [column.get(key) for column in columns.values()]
        if all(value is None for value in values):
            continue
        cells = ["" if value is None else format(value, style) for value in values]
        if pair:
            dense, now = values
            whole = isinstance(dense, int) and isinstance(now, int)  # shares of shares say nothing
            cells.append(f"{100 * now / dense:.1f} %" if whole and dense else "")
        table.add_row(label, *cells)
    return table


def widths(layers: Mapping[str, Widths]) -> Table:
    """A row a layer whose output was cut or kept: channels before and after, with a bar of what is left."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("layer", overflow="fold", min_width=18)
    for name in ("dense", "pruned"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("output channels kept", no_wrap=True)
    for name, layer in layers.items():
        (in_dense, in_now), (out_dense, out_now) = layer.c_in, layer.c_out
        kept = round(20 * out_now / out_dense)
        bar = (
            Text("█" * kept, style="green")
            + Text("·" * (20 - kept), style="dim")
            + Text(f" {100 * out_now / out_dense:.0f} %")
        )
        table.add_row(name, f"{in_dense}→{out_dense}", f"{in_now}→{out_now}" if out_now else "removed", bar)
    return table
