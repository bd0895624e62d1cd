"""The files that a run was exported to: as data in the summary, as lines on the terminal, as a section of the page."""

from collections.abc import Mapping
from html import escape
from typing import Final

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from padless.deploy import Exported, Quantisation
from padless.report.svg import table

HEADINGS: Final = (
    "file", "top-1 %", "cycles", "NPU cycles", "SRAM bytes", "flash bytes", "bytes", "agreement %", "signal to noise dB",
    "float parity",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True))
class Written:
    """What `padless.deploy.Exported` says of a file, and how it was quantised. Percent, decibels, bytes, cycles."""

    format: str
    bytes: int
    parity: float
    agreement: float | None = None
    decibels: float | None = None
    accuracy: float | None = None  # in the file's own interpreter
    images: int = 0
    tested: bool = False
    calibration: int = 0  # images
    ranges: str | None = None
    activations: int | None = None
    io: str | None = None
    operators: tuple[str, ...] = ()
    oracle: str | None = None
    cycles: int | None = None
    npu_cycles: int | None = None
    peak_sram_bytes: int | None = None
    flash_bytes: int | None = None
    note: str = ""  # operators that the compiler leaves to the CPU


def written(exported: Exported, how: Quantisation) -> Written:
    """The summary's row for a file."""
    quality, cycles = exported.fidelity, exported.cycles
    tflite = exported.format == "tflite"
    return Written(
        format=exported.format,
        bytes=exported.bytes,
        parity=exported.parity,
        agreement=quality.agreement if quality else None,
        decibels=round(quality.decibels, 2) if quality else None,
        accuracy=quality.accuracy if quality else None,
        images=quality.images if quality else 0,
        tested=quality.tested if quality else False,
        calibration=quality.calibration if quality else 0,
        ranges=None if quality is None else how.ranges if tflite or how.ranges == "percentile" else "minmax",
        activations=how.activations if tflite else None,
        io=how.io if tflite else None,
        operators=exported.operators,
        oracle=cycles.oracle if cycles else None,
        cycles=cycles.total if cycles else None,
        npu_cycles=cycles.npu if cycles else None,
        peak_sram_bytes=cycles.peak_sram_bytes if cycles else None,
        flash_bytes=cycles.flash_bytes if cycles else None,
        note=cycles.note if cycles else "",
    )


def lines(exported: Exported) -> list[str]:
    """What an export prints."""
    quality, cycles = exported.fidelity, exported.cycles
    form = "largest difference from the network"
    if quality:
        form = "before rounding the largest difference from the network is"
    told = [f"{exported.file}: {exported.bytes:,} bytes; {form} {exported.parity:.1e} of its "
            "largest output"]  # fmt: skip
    if quality:
        where = "test images" if quality.tested else "calibration images"
        parts = [f"signal to noise {quality.decibels:.1f} dB"]
        if quality.agreement is not None:
            parts.insert(0, f"agrees with float on {quality.agreement:.2f} %")
        if quality.accuracy is not None:
            parts.append(f"top-1 {quality.accuracy:.2f} % (float {quality.float_accuracy:.2f} %)")
        told.append(
            f"  Quantised, run in {interpreter(exported.format)} on {quality.images:,} {where}: {', '.join(parts)}"
        )
        if quality.layers:
            told.append("  Noisiest layers, dB: " + ", ".join(f"{name} {ratio:g}" for name, ratio in quality.layers))
        if quality.advice:
            told.append(f"  {quality.advice}")
    if cycles:
        told.append(
            f"  {cycles.source}: {cycles.total:,} cycles, {cycles.npu:,} of the NPU, "
            f"SRAM {_or_unknown(cycles.peak_sram_bytes)} bytes, flash {_or_unknown(cycles.flash_bytes)} bytes, "
            f"{cycles.cpu_operators} operators on the CPU"
        )
        if cycles.note:
            told.append(f"  {cycles.note}")
    if exported.operators:
        told.append(f"  Operators: {', '.join(exported.operators)}")
    told += [f"  {path}" for path in exported.others]
    return told


def interpreter(format: str) -> str:
    """What runs files of a format."""
    return "LiteRT" if format == "tflite" else "ONNX Runtime"


def section(files: Mapping[str, Written]) -> str:
    """The part of the page that is about files; empty where there are none."""
    if not files:
        return ""
    rows = (_cells(name, row) for name, row in files.items())
    oracles = list(dict.fromkeys(row.oracle for row in files.values() if row.oracle))
    notes = [f"{escape(name)}: {escape(row.note)}" for name, row in files.items() if row.note]
    made = " ".join(f"{escape(name)}: {_made(row)}." for name, row in files.items() if row.ranges)
    oracle = f" Cycles: {escape('; '.join(oracles))}, of this very file." if oracles else ""
    text = (
        "Float parity: the largest difference from the network before anything is rounded, over the largest output. "
        f"Top-1, agreement and signal to noise of INT8 files: run in their own interpreters on a computer.{oracle} {made}"
    )
    told = "".join(f'<p class="note">{note}</p>' for note in notes)
    return f'<h2>Files</h2>{table("Files", HEADINGS, rows)}<p class="caption">{text}</p>{told}'


def _made(row: Written) -> str:
    """How a file was quantised."""
    text = f"ranges by {row.ranges} of {row.calibration} images"
    return f"{text}, activations of {row.activations} bits, {row.io} in- and outputs" if row.activations else text


def _cells(name: str, row: Written) -> list[str]:
    numbers = (
        _or_empty(row.accuracy, ".2f"), _or_empty(row.cycles, ",d"), _or_empty(row.npu_cycles, ",d"),
        _or_empty(row.peak_sram_bytes, ",d"), _or_empty(row.flash_bytes, ",d"), f"{row.bytes:,}",
        _or_empty(row.agreement, ".2f"), _or_empty(row.decibels, ".1f"), f"{row.parity:.0e}",
    )  # fmt: skip
    return [escape(name), *numbers]


def _or_empty(value: float | None, style: str) -> str:
    return "" if value is None else format(value, style)


def _or_unknown(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"
