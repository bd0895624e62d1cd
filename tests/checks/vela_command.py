"""Vela as its users run it."""

import csv
import subprocess
import sys
from pathlib import Path

from padless import Target

# A board of one's own: 100 MHz, and a slow flash.
INI = """\
[System_Config.Board]
core_clock=100e6
axi0_port=Sram
axi1_port=OffChipFlash
Sram_clock_scale=1.0
OffChipFlash_clock_scale=0.02

[Memory_Mode.Shared_Sram]
const_mem_area=Axi1
arena_mem_area=Axi0
cache_mem_area=Axi0
"""


def command_line(tflite: bytes, target: Target, folder: Path, *options: str | Path) -> dict[str, str]:
    """The summary that Vela's own command line writes for a file."""
    file = folder / "network.tflite"
    file.write_bytes(tflite)
    program = Path(sys.executable).with_name("vela")
    done = subprocess.run(
        [program, file, "--accelerator-config", target.vela.accelerator, "--output-dir", folder, *options],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return next(csv.DictReader(next(folder.glob("*_summary_*.csv")).read_text().splitlines()))
