"""A target file that is written for a test, and what is said about a wrong one."""

from pathlib import Path

import pytest

from padless.errors import UsageError
from padless.hardware import load_target

MINE = """
schema = 1
id = "mine"
name = "my NPU"
vendor = "me"
unknown = ["memory"]
[compute.int8]
macs_per_cycle = 256
array = { outputs = 16, inputs = 16 }
input_unit = 16
output_unit = 8
[system.board]
clock_hz = 1000
[[fact]]
field = "compute.int8"
value = { macs_per_cycle = 256, array = { outputs = 16, inputs = 16 }, input_unit = 16, output_unit = 8 }
source = "my notes"
locator = "page 1"
confidence = "given"
[[fact]]
field = "system.board.clock_hz"
value = 1000
source = "my notes"
locator = "page 2"
confidence = "given"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(spec: str | Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_target(spec)
    return str(caught.value)
