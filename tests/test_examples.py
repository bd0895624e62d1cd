"""The examples run to their end, small."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = {
    "keyword_spotting": (["--small"], ["Half the cycles", "top-1", "in LiteRT"]),
    "own_chip": ([], ["{'output': 12, 'input': 24, 'depthwise': 12}", "Avoidable padding: 0.00 %"]),
    "person_detector": (["--small"], ["--memory-oracle vela", "after:", "bytes of SRAM"]),
}


def test_each_example_is_run():
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example(name, tmp_path):
    options, expected = EXAMPLES[name]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py"), *options], cwd=tmp_path, env=env, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(part in done.stdout for part in expected), done.stdout
