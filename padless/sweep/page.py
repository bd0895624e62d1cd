"""The page of a sweep: every point in one picture and one table, in one file without a request to anywhere."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from padless.sweep.point import point_of
from padless.sweep.table import counted, option, options, share, text_of, varying_options

SHARE = "first budget's cost, % of dense"
QUALITIES = ("accuracy", "agreement", "accuracy_after_recovery", "accuracy_before_recovery", "accuracy_int8")
KEPT = "importance kept, %"
COSTS = (
    "cycles", "npu_cycles", "nanoseconds", "macs", "padded_macs", "weight_bytes", "peak_sram_bytes", "flash_bytes",
    "peak_activation_bytes", "avoidable_macs_percent",
)  # fmt: skip


def sweep_page(rows: Sequence[Mapping[str, Any]]) -> str:
    """HTML of all rows, whatever they are called: names are text there, never markup."""
    rows = sorted(rows, key=lambda row: [text_of(value) for value in options(row).values()])
    numbers = [_numbers(row) for row in rows]
    found = [name for name in (SHARE, *COSTS) if any(name in each for each in numbers)]
    qualities = [name for name in (*QUALITIES, KEPT) if any(name in each for each in numbers)]
    varying = varying_options(rows) if rows else ["model"]
    counts = Counter(str(row["status"]) for row in rows)
    data = {
        "counts": counted(counts), "options": varying, "quantities": found or [SHARE], "qualities": qualities or [KEPT],
        "rows": [_described(row, each, varying) for row, each in zip(rows, numbers, strict=True)],
    }  # fmt: skip
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")
    return files("padless.sweep").joinpath("page.html").read_text(encoding="utf-8").replace("@DATA@", text)


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    after = row.get("after", {})
    numbers = {name: after[name] for name in (*COSTS, *QUALITIES) if after.get(name) is not None}
    if (shared := share(row)) is not None:
        numbers[SHARE] = round(shared, 3)
    kept = row.get("importance_kept")
    if kept is not None and math.isfinite(kept):
        numbers[KEPT] = round(100 * kept, 3)
    return numbers


def _described(row: Mapping[str, Any], numbers: Mapping[str, float], varying: Sequence[str]) -> dict[str, Any]:
    point, widths = row["point"], row.get("widths", {})
    cut = [f"{layer}: {before} → {after}" for layer, (before, after) in widths.items() if before != after]
    folder = row.get("folder")
    stopped = row.get("stopped")
    reason = stopped and (
        f"Stopped after epoch {stopped['epoch']}: place {stopped['place']} of {stopped['of']}, "
        f"{stopped['held_out_accuracy']:.2f} % of the images held out; the last to go on had {stopped['last_to_go_on']:.2f}."
    )
    return {
        "status": row["status"],
        "label": ", ".join(f"{name} {text_of(option(row, name))}" for name in varying),
        "family": f"{point['model']} {point['target']}",
        "options": {name: text_of(option(row, name)) for name in varying},
        "numbers": numbers,
        "error": row.get("error") or reason,
        "report": folder and f"{folder}/report.html",
        "command": point_of(point).command(Path("runs") / row["id"]),
        "widths": "\n".join(cut),
    }
