"""Arm's compiler in a process of its own, since a malformed network crashes the process that compiles it.

A request names `accelerator`, `system_config` and `memory_mode`, and has as `config` the text of the .ini that describes
both; its payload is a TFLite file. With `out` the compiled file is written there.
"""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
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
def settings(accelerator: str, system_config: str, memory_mode: str, config: str) -> Settings:
    """Vela's command line itself is asked, so that every option has its default: only its last step is replaced."""
    given: list[Settings] = []

    def last_step(architecture: Any, _network: str, core: str, system: str, options: str, *_: Any) -> None:
        given.append(Settings(architecture, core, system, options))

    vela.process_regor = last_step
    with TemporaryDirectory() as folder:
        file = Path(folder) / "system.ini"
        file.write_text(config, encoding="utf-8")
        vela.main(
            [
                "network.tflite",  # never opened
                f"--accelerator-config={accelerator}",
                f"--config={file}",
                f"--system-config={system_config}",
                f"--memory-mode={memory_mode}",
                "--verbose-performance",  # keeps the table of operators
            ]
        )
    return given[0]


def answer(request: dict[str, Any], network: bytes) -> dict[str, object]:
    """Cycles and bytes of one network, as the command line's summary has them."""
    try:
        chosen = settings(*(request[name] for name in ("accelerator", "system_config", "memory_mode", "config")))
    except (VelaError, SystemExit) as error:  # its argument parser exits
        return {"refused": str(error).strip("'")}
    except (ValueError, KeyError) as error:  # from an option of the .ini
        return {"refused": f"Vela does not take one of their options: {error}"}
    compiled = regor.compile(chosen.core, network, "TFLITE", chosen.system, options=chosen.options, verbose=False)
    if "out" in request:
        Path(request["out"]).write_bytes(compiled.model)
    report = compiled.perf_report
    peaks = {str(name).lower(): memory.peakUsage for name, memory in report.memories.items()}
    sram = peaks.get("sram", 0)
    weights = chosen.architecture.tensor_storage_mem_area[TensorPurpose.Weights]
    if weights == MemArea.OnChipFlash and "onchipflash" not in peaks:
        sram -= report.readOnlyPeakUsage  # weights that share the SRAM's port are reported as flash
    flash = report.readOnlyPeakUsage or peaks.get("offchipflash", 0) or peaks.get("onchipflash", 0)
    perf, sources = (compiled.opt_database.tables[name] for name in ("perf", "source"))
    place = {row[sources.header.index("id")]: int(row[sources.header.index("ext_key")]) for row in sources.data}
    kind = {row[sources.header.index("id")]: row[sources.header.index("operator")] for row in sources.data}
    source, operator, cycles, npu = (perf.header.index(n) for n in ("source_id", "operator", "op_cycles", "npu_cycles"))
    return {
        "total": report.totalCycles,
        "npu": report.npuCycles,
        "peak_sram_bytes": sram,
        "flash_bytes": flash,
        # What was left to the CPU: the kind of operator, and its place in the file.
        "cpu_operators": [
            (kind.get(row[source], "?"), place.get(row[source])) for row in perf.data if row[operator] == "Passthrough"
        ],
        # The operator of the file (its place there; null if none) that each compiled operator stems from, its cycles,
        # and those without waiting for outer memory.
        "operators": [(place.get(row[source]), int(row[cycles]), int(row[npu])) for row in perf.data],
    }
