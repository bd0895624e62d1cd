"""What Arm's compiler makes of a TFLite file: its cycles, the file for the NPU, and that as a C array."""

from collections.abc import Sequence
from pathlib import Path

from padless.cost.cycles import Cycles
from padless.cost.oracles.vela import Vela
from padless.errors import UsageError
from padless.hardware import Target

ROW = 12  # bytes a line


def compiled(target: Target, tflite: bytes, operators: Sequence[str], out: Path | None = None) -> Cycles:
    """The compiler's estimate for this file; the compiled one goes to `out`.

    Raises UsageError for a target that Vela does not compile for, OracleError where the compiler fails.
    """
    if not target.vela:
        raise UsageError(f"{target.id} is no Ethos-U: Vela does not compile for it. Leave compiling out.")
    with Vela(target) as vela:
        return vela.compile(tflite, "the exported file", operators, out)


def c_array(tflite: bytes, name: str, arena_bytes: int | None) -> str:
    """A header for TFLite Micro: the file as a constant array, aligned as the NPU wants it, and the arena's size.

    The arena is the compiler's peak of SRAM, rounded up; the runtime's own structures come on top, some kilobytes.
    """
    rows = (tflite[i : i + ROW] for i in range(0, len(tflite), ROW))
    lines = [
        "// Made by padless. Include it once.",
        "#pragma once",
        "#include <cstddef>",
        "#include <cstdint>",
        "",
        f"alignas(16) const std::uint8_t {name}[] = {{",
        *("  " + " ".join(f"0x{byte:02x}," for byte in row) for row in rows),
        "};",
        f"const std::size_t {name}_bytes = sizeof({name});",
    ]
    if arena_bytes is not None:
        rounded = -(-arena_bytes // 1024) * 1024
        lines.append(
            f"const std::size_t {name}_arena_bytes = {rounded};  // tensors; add what the interpreter needs itself"
        )
    return "\n".join(lines) + "\n"
