"""`padless probe`: finding units."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, get_args

import typer

from padless.cli.app import PATIENCE, TARGET_HELP, Memory, Oracle, OracleTimeout, System, VelaConfig, app, out
from padless.cost.oracles import default_oracle, open_oracle
from padless.cost.probe import Setting, Staircase, Swept, probe
from padless.errors import UsageError
from padless.files import check_output, write_json
from padless.hardware import load_target
from padless.report.picture import check_picture
from padless.report.staircase import draw, staircases


@app.command("probe")
def probe_command(
    oracle: Oracle = None,
    oracle_timeout: OracleTimeout = PATIENCE,
    target: Annotated[
        str | None, typer.Option("--target", help=f"{TARGET_HELP} Only where the oracle needs one.")
    ] = None,
    kernel: Annotated[int, typer.Option("--kernel", min=1, help="Rows and columns of the kernel.")] = 3,
    hw: Annotated[int, typer.Option("--hw", min=1, help="Rows and columns of the map.")] = 16,
    other: Annotated[int, typer.Option("--other", min=1, help="Channels on the side that is not swept.")] = 64,
    most: Annotated[int, typer.Option("--max", min=16, max=8192, help="Widths from 1 to this are asked.")] = 128,
    side: Annotated[str, typer.Option("--side", help="output, input, depthwise or all.")] = "all",
    png: Annotated[Path | None, typer.Option("--png", help="Also draw the staircases to this file.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write widths, costs and units here.")] = None,
    system: System = None,
    memory_mode: Memory = None,
    vela_config: VelaConfig = None,
) -> None:
    """Find channel units from costs alone: sweep widths, draw the staircase, and say how sure the answer is.

    The target file's units are not looked at. With a board at hand, this is how a target is added:
    `padless probe --oracle "./measure {h} {w} {cin} {cout} {k} {groups}"`.

    Example: `padless probe --target ethos-u55-256 --memory-mode Sram_Only --png staircase.png`
    """
    known = get_args(Swept)
    if side != "all" and side not in known:
        raise UsageError(f"--side cannot be {side!r}. Known: all, {', '.join(known)}.")
    check_picture(png, "Drawing staircases")
    check_output(json_file)
    hardware = load_target(target or "unit:1", system=system, memory_mode=memory_mode, vela_config=vela_config)
    spec = oracle or (default_oracle(hardware) if target else None)
    if spec is None:
        raise UsageError("Nobody to ask: give --oracle, or a --target whose compiler padless knows.")
    setting = Setting(kernel=kernel, hw=hw, other=other, widths=range(1, most + 1))
    with open_oracle(spec, hardware) as opened:
        stairs = probe(opened, setting, known if side == "all" else [s for s in known if s == side])
    if png:
        draw(stairs, setting, png, target or spec)
    if json_file:
        write_json(json_file, _data(stairs, setting))
    out.print(staircases(stairs, setting))
    for path in filter(None, (png, json_file)):
        out.print(f"Written: {path}")


def _data(stairs: list[Staircase], setting: Setting) -> dict[str, object]:
    return {
        "kernel": setting.kernel, "hw": setting.hw, "other": setting.other,
        "staircases": [{**asdict(stair), "evidence": stair.evidence} for stair in stairs],
    }  # fmt: skip
