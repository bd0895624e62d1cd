"""Tables for people: the catalogue, a network layer by layer, before and after."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from padless.cost import LayerCost, NetworkCost, Totals
from padless.hardware import Target, round_up


def catalogue(targets: tuple[Target, ...]) -> Table:
    """A row a target."""
    table = Table(title="Targets (int8)", title_justify="left")
    for name in ("id", "name"):
        table.add_column(name)
    for name in ("MACs/cycle", "input unit", "output unit", "depthwise", "memory block"):
        table.add_column(name, justify="right")
    table.add_column("cycles from")
    for target in targets:
        c = target.compute.int8
        table.add_row(
            target.id, target.name, _or_unknown(c.macs_per_cycle), str(c.input_unit), str(c.output_unit),
            _or_unknown(c.depthwise_unit), _or_unknown(target.memory.channel_block),
            "Arm Vela" if target.vela else "closed form" if c.macs_per_cycle else "no source",
        )  # fmt: skip
    return table


def target_sheet(target: Target) -> Group:
    """Every number of one target with its source."""
    table = Table(title=f"{target.name} ({target.id}, {target.vendor})", title_justify="left", show_lines=True)
    table.add_column("field", overflow="fold")
    table.add_column("value", overflow="fold")
    table.add_column("confidence")
    table.add_column("source", overflow="fold")
    for fact in target.facts:
        table.add_row(fact.field, _plain(fact.value), fact.confidence, f"{fact.source}\n{fact.locator}")
    unknown = f"Unknown, and never guessed: {', '.join(target.unknown)}." if target.unknown else "Nothing is unknown."
    return Group(table, Text(unknown))


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{k} = {_plain(v)}" for k, v in value.items())
    return str(value)


def _or_unknown(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def layers(cost: NetworkCost, title: str) -> Group:
    """A row a layer: channels, units, padded channels, MACs, the wasted share with a bar, cycles."""
    table = Table(title=title, title_justify="left")
    table.add_column("layer", overflow="fold")
    table.add_column("kind")
    for name in ("channels", "unit", "padded", "MACs", "wasted %"):
        table.add_column(name, justify="right")
    table.add_column("of its MACs", min_width=12)
    table.add_column("cycles", justify="right")
    for row in cost.layers:
        wasted = row.cost.wasted_macs_percent
        table.add_row(
            row.layer.name, row.layer.kind, f"{row.layer.c_in} → {row.layer.c_out}", f"{row.units.input}x{row.units.output}",
            "{} → {}".format(*padded_channels(row)), f"{row.cost.macs:,}", f"{wasted:.2f}", waste_bar(row),
            "" if row.cycles is None else f"{row.cycles:,}",
        )  # fmt: skip
    notes = [
        "In the bars █ is padding that aligned widths would remove, ░ padding that no cut can (image, class outputs, "
        "groups narrower than a unit).",
    ]
    if cost.cycles:
        between = cost.cycles.total - sum(row.cycles or 0 for row in cost.layers)
        notes.append(f"Cycles: {cost.cycles.oracle}; operators between the layers take {between:,}.")
        notes += [cost.cycles.note] if cost.cycles.note else []
    return Group(table, totals({"network": cost.totals()}), *map(Text, notes))


def padded_channels(row: LayerCost) -> tuple[int, int]:
    """Input and output channels as the hardware counts them, over all groups of filters."""
    layer, units = row.layer, row.units
    if layer.kind == "depthwise":
        return round_up(layer.c_in, units.input), round_up(layer.c_out, units.output)
    g = layer.groups
    return g * round_up(layer.c_in // g, units.input), g * round_up(layer.c_out // g, units.output)


def waste_bar(row: LayerCost, width: int = 12) -> Text:
    """The wasted share of a layer's MACs as a bar: avoidable, then unavoidable."""
    avoidable = round(width * row.cost.avoidable_macs_percent / 100)
    wasted = round(width * row.cost.wasted_macs_percent / 100)
    return Text("█" * avoidable, style="red") + Text("░" * (wasted - avoidable), style="yellow")


ROWS: tuple[tuple[str, str, str], ...] = (
    ("MACs", "macs", ",d"),
    ("padded MACs", "padded_macs", ",d"),
    ("wasted MACs %", "wasted_macs_percent", ".2f"),
    ("  of which pruning can remove %", "avoidable_macs_percent", ".2f"),
    ("weight bytes", "weight_bytes", ",d"),
    ("wasted weight space %", "wasted_weight_percent", ".2f"),
    ("activation bytes", "activation_bytes", ",d"),
    ("wasted activation space %", "wasted_activation_percent", ".2f"),
    ("cycles", "cycles", ",d"),
    ("NPU cycles", "npu_cycles", ",d"),
    ("peak SRAM bytes", "peak_sram_bytes", ",d"),
    ("accuracy %", "accuracy", ".2f"),
    ("  after the cut %", "accuracy_before_recovery", ".2f"),
    ("  after batch norm re-estimation %", "accuracy_after_batchnorm", ".2f"),
)


def totals(columns: dict[str, Totals] | dict[str, dict[str, Any]]) -> Table:
    """Totals side by side; with two columns, also the second as a share of the first."""
    table = Table()
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    pair = len(columns) == 2
    if pair:
        table.add_column("of dense", justify="right")
    for label, key, style in ROWS:
        values = [column.get(key) for column in columns.values()]
        if all(value is None for value in values):
            continue
        cells = ["" if value is None else format(value, style) for value in values]
        if pair:
            a, b = values
            share = isinstance(a, int) and isinstance(b, int) and a > 0
            cells.append(f"{100 * b / a:.1f} %" if share else "")
        table.add_row(label, *cells)
    return table
