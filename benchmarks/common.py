"""What every benchmark records beside its numbers."""

import json
import platform
import shlex
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import torch

from padless.files import write_json
from padless.runs.facts import versions

RESULTS = Path(__file__).parent / "results"
WEIGHTS = Path(__file__).parent / "weights"  # of dense networks that were trained here (`dense.py`)
NETWORKS = (
    "cifar10/vgg16_bn", "cifar10/resnet18", "torchvision/mobilenet_v2", "torchvision/efficientnet_b0",
    "torchvision/resnet50", "torchvision/googlenet", "torchvision/densenet121",
)  # fmt: skip
TARGETS = ("ethos-u55-256", "ethos-u85-512")
SHARED = Path(__file__).parents[2] / "shared"  # trained weights and images, where they are at hand
HELD_OUT = 0.1  # of the training images: by it dense networks and cuts of them are judged


def need_shared() -> None:
    """End with the reason where the trained weights and images are not at hand."""
    if not SHARED.exists():
        raise SystemExit(f"Skipped: no trained weights and images at {SHARED.name}/ beside the repository.")


def images_place(given: str) -> str:
    """Where images lie: as given, else those beside the repository. Ends with the reason where there are none."""
    if not given:
        need_shared()
    return given or str(SHARED / "data" / "cifar10-jpeg")


def rows_of(name: str) -> list[dict]:
    """What `results/NAME.json` has already: a stopped run goes on."""
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text())["rows"] if file.exists() else []


def unmeasured(rows: list[dict], networks: Sequence[str], targets: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The pairs of network and target that no row is of yet."""
    for pair in product(networks, targets):
        if not any((row["network"], row["target"]) == pair for row in rows):
            yield pair


def write(name: str, rows: object, **facts: object) -> None:
    """Write `results/NAME.json` with versions, machine and command."""
    record = {
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "versions": versions("torch-pruning", "onnx", "onnxruntime", "onnxsim"),
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads()},
        **facts,
        "rows": rows,
    }
    write_json(RESULTS / f"{name}.json", record)
    print(f"\nWritten: benchmarks/results/{name}.json")
