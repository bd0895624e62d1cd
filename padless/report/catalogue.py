"""Tables of hardware for people: the catalogue, the boards, one target with all its sources."""

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from padless.hardware import Target
from padless.hardware.target import BOARDS
from padless.hardware.vela_ini import VelaIni


def catalogue(targets: tuple[Target, ...]) -> Table:
    """A row a target."""
    table = Table(title="Targets (int8)", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("id", no_wrap=True)
    for name in ("MACs/\ncycle", "input\nunit", "output\nunit", "depthwise\nunit", "memory\nblock"):
        table.add_column(name, justify="right")
    table.add_column("also", overflow="fold")
    table.add_column("cycles\nfrom")
    for target in targets:
        c, known = target.active, target.memory.channel_block or target.memory.channel_block_bytes
        cycles = "Arm Vela" if target.vela else "MACs" if c.macs_per_cycle else "?"
        table.add_row(
            target.id, _or_unknown(c.macs_per_cycle), _or_unknown(c.input_unit), _or_unknown(c.output_unit),
            _or_unknown(c.depthwise_unit), str(target.block) if known else "?",
            " ".join(name for name in target.compute if name != target.precision), cycles,
        )  # fmt: skip
    return table


def boards(targets: tuple[Target, ...]) -> Table:
    """A row a board: the target that it has, its clock, what its memories give, and who says so."""
    table = Table(title="Boards (--system NAME)", title_justify="left", box=SIMPLE_HEAD)
    for name in ("system", "target"):
        table.add_column(name, no_wrap=True)
    for name in ("MHz", "SRAM\nGB/s", "flash\nGB/s", "DRAM\nGB/s"):
        table.add_column(name, justify="right")
    table.add_column("source", overflow="fold")
    for row in board_rows(targets):
        table.add_row(*row)
    return table


def board_rows(targets: tuple[Target, ...]) -> list[list[str]]:
    """The cells of `boards`, for each system that padless brings beside those of Vela's own file."""
    ours = VelaIni.read(BOARDS).names("System_Config")
    rows = []
    for target in targets:
        for name in (name for name in target.systems if name in ours):
            system = target.systems[name]
            rates = (system.sram_bytes_per_cycle, system.flash_bytes_per_cycle, system.dram_bytes_per_cycle)
            clock = system.clock_hz or 0
            source = next(fact.source for fact in target.facts if fact.field == f"system.{name}.clock_hz")
            rows.append([
                name, target.id, f"{clock / 1e6:g}",
                *("" if rate is None else f"{rate * clock / 1e9:.3g}" for rate in rates),
                "/".join(source.removeprefix("https://").split("/")[:3]),
            ])  # fmt: skip
    return sorted(rows)


def target_sheet(target: Target) -> Group:
    """Every number of one target with its source and how sure it is."""
    lines = [Text(f"{target.name} ({target.id}, {target.vendor})", style="bold")]
    lines += [Text(target.note)] if target.note else []
    for fact in target.facts:
        lines += [
            Text(f"\n{fact.field} = {_plain(target.value_of(fact))}", style="cyan"),
            Text(f"  {fact.confidence}: {fact.source}\n  {fact.locator}"),
        ]
    if target.clocks:
        clocks = ", ".join(f"{name} {hz / 1e6:g} MHz" for name, hz in target.clocks.items())
        lines.append(Text(f"\nSystems (--system NAME), the first by default: {clocks}."))
    settings = target.vela.model_dump() if target.vela else {}
    lines += [Text(f"\nArm Vela is asked with {_plain(settings)}.")] if settings else []
    if target.unknown:
        lines.append(Text(f"\nUnknown, and never guessed: {', '.join(target.unknown)}."))
    return Group(*lines)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_plain(v)}" for k, v in value.items())
    return str(value)


def _or_unknown(value: int | None) -> str:
    return "?" if value is None else str(value)
