"""What every benchmark records beside its numbers."""

import json
import platform
import shlex
import sys
from pathlib import Path

import torch

from padless.files import write_atomically
from padless.run import versions

RESULTS = Path(__file__).parent / "results"
SHARED = Path(__file__).parents[2] / "shared"  # trained weights and images, where they are at hand


def write(name: str, rows: object, **facts: object) -> None:
    """Write `results/NAME.json` with versions, machine and command."""
    record = {
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "versions": {**versions(), **{p: _version(p) for p in ("torch-pruning",) if _version(p)}},
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads()},
        **facts,
        "rows": rows,
    }
    write_atomically(RESULTS / f"{name}.json", json.dumps(record, indent=1) + "\n")
    print(f"\nWritten: benchmarks/results/{name}.json")


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None
