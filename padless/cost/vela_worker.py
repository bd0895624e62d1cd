"""Arm's compiler in a process of its own, since a malformed network crashes the process that compiles it.

Run as a script by `vela.py`; imports neither padless nor torch, so that it starts in half a second. A request is a line
of JSON (`accelerator`, `system_config`, `memory_mode`, `bytes`) and then that many bytes of TFLite; its reply is a line
of JSON. The worker ends with its standard input.
"""

import json
import os
import sys
from functools import cache
from typing import Any, NamedTuple

from ethosu import regor
from ethosu.vela import vela
from ethosu.vela.errors import VelaError
from ethosu.vela.tensor import MemArea, TensorPurpose


class Settings(NamedTuple):
    """What the command line hands to the compiler's core."""

    architecture: Any
    core: str  # "EthosU55"
    system: str  # text of an .ini
    options: str  # text of an .ini


@cache
def settings(accelerator: str, system_config: str, memory_mode: str) -> Settings:
    """Vela's command line itself is asked, so that every option has its default: only its last step is replaced."""
    given: list[Settings] = []

    def last_step(architecture: Any, _network: str, core: str, system: str, options: str, *_: Any) -> None:
        given.append(Settings(architecture, core, system, options))

    vela.process_regor = last_step
    vela.main(
        [
            "network.tflite",  # never opened
            f"--accelerator-config={accelerator}",
            "--config=Arm/vela.ini",
            f"--system-config={system_config}",
            f"--memory-mode={memory_mode}",
            "--verbose-performance",  # keeps the table of operators
        ]
    )
    return given[0]


def answer(request: dict[str, Any], network: bytes) -> dict[str, Any]:
    """Cycles and bytes of one network, as the command line's summary has them."""
    try:
        chosen = settings(request["accelerator"], request["system_config"], request["memory_mode"])
    except (VelaError, SystemExit) as error:  # its argument parser exits
        return {"refused": str(error).strip("'")}
    compiled = regor.compile(chosen.core, network, "TFLITE", chosen.system, options=chosen.options, verbose=False)
    report = compiled.perf_report
    peaks = {str(name).lower(): memory.peakUsage for name, memory in report.memories.items()}
    sram = peaks.get("sram", 0)
    weights = chosen.architecture.tensor_storage_mem_area[TensorPurpose.Weights]
    if weights == MemArea.OnChipFlash and "onchipflash" not in peaks:
        sram -= report.readOnlyPeakUsage  # weights that share the SRAM's port are reported as flash
    perf, sources = (compiled.opt_database.tables[name] for name in ("perf", "source"))
    place = {row[sources.header.index("id")]: int(row[sources.header.index("ext_key")]) for row in sources.data}
    source, cycles = perf.header.index("source_id"), perf.header.index("op_cycles")
    return {
        "total": report.totalCycles,
        "npu": report.npuCycles,
        "peak_sram_bytes": sram,
        "cpu_operators": report.cpuOps,
        # The operator of the file (its place there; null if none) that each compiled operator stems from, and cycles.
        "operators": [(place.get(row[source]), int(row[cycles])) for row in perf.data],
    }


def main() -> None:
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever the compiler prints goes to standard error
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        network = sys.stdin.buffer.read(request["bytes"])
        try:
            reply = answer(request, network)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
