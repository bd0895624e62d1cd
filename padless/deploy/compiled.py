"""What Arm's compiler makes of a TFLite file: its cycles, the file for the NPU, and that as a C array."""

import struct
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from padless.cost.cycles import Cycles
from padless.cost.oracles.vela import Vela
from padless.hardware import Target

ROW = 12  # bytes a line
WIDTHS = {0: 4, 1: 2, 2: 4, 4: 8, 7: 2}  # bytes an element by TFLite's types: FLOAT32, FLOAT16, INT32, INT64, INT16
# Words of C++ that name nothing.
KEYWORDS = frozenset("""
    auto bool break case catch char class const continue default delete do double else enum explicit export extern
    false float for friend goto if inline int long mutable namespace new operator private protected public register
    return short signed sizeof static struct switch template this throw true try typedef typename union unsigned
    using virtual void volatile while
""".split())  # noqa: SIM905  # fmt: skip


def compiled(target: Target, tflite: bytes, operators: Sequence[str], out: Path | None = None) -> Cycles:
    """The compiler's estimate for this file; the compiled one goes to `out`.

    Raises OracleError where the compiler fails.
    """
    with Vela(target) as vela:
        return vela.compile(tflite, "the exported file", operators, out)


def arena_bytes(flashed: bytes) -> int:
    """How many bytes TFLite Micro's arena needs for the tensors of a compiled file, by the offsets that Vela planned.

    They are in the metadata `OfflineMemoryAllocation`: version, subgraph, how many, and for each tensor its offset or -1.
    """
    model = import_module("ethosu.vela.tflite.Model").Model.GetRootAsModel(flashed, 0)
    graph = model.Subgraphs(0)
    sizes = [_bytes(graph.Tensors(i)) for i in range(graph.TensorsLength())]
    for i in range(model.MetadataLength()):
        if model.Metadata(i).Name() == b"OfflineMemoryAllocation":
            data = model.Buffers(model.Metadata(i).Buffer()).DataAsNumpy().tobytes()
            _, _, count, *offsets = struct.unpack(f"<{len(data) // 4}i", data)
            planned = [o + size for o, size in zip(offsets[:count], sizes, strict=True) if o >= 0]
            return max(planned, default=0)
    return int(sum(sizes))  # nothing was planned: all of them at once


def _bytes(tensor: Any) -> int:
    """Of a stored tensor; one byte an element but for the types of scratch memory and constants, which have their own."""
    return int(np.prod(tensor.ShapeAsNumpy(), dtype=np.int64)) * WIDTHS.get(tensor.Type(), 1)


def c_array(tflite: bytes, name: str, arena_bytes: int | None) -> str:
    """A header for TFLite Micro: the file as a constant array, aligned as the NPU wants it, and the arena's size.

    The arena holds the tensors, rounded up to kilobytes; the runtime's own structures come on top, some kilobytes, and where
    the memory mode gives the NPU an SRAM of its own (Dedicated_Sram), that is apart.
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


def identifier(stem: str) -> str:
    """A file's name as a name of C++."""
    name: str = "".join(c if c.isalnum() and c.isascii() else "_" for c in stem)
    return f"m_{name}" if name[:1].isdigit() or name in KEYWORDS else name
