"""The section of docs/measurements.md on the files that are flashed, from benchmarks/results/deploy_*.json."""

import json
from statistics import median
from typing import Any

from padless.report.markdown import markdown_table
from padless.tflite.ranges import METHODS
from tools.pages import RESULTS

SECTION = """## The file that is flashed

**How many.** {networks} networks of torchvision, timm, ultralytics and segmentation_models_pytorch (and a small YOLO of
ours), random weights, 96-pixel random images: {written} were written, {refused} refused by name ({reasons}). The FLOAT32
file in LiteRT differs from PyTorch by at most {largest:.0e} of the largest output. The INT8 file's signal to noise, in
decibels; random weights are no trained ones, so compare within a row. `{zoo_command}`

{zoo}

The noisiest, with `mse`: {worst}.

**Trained networks.** {calibration} training images for the ranges, all {images:,} test images of CIFAR-10, each file in
LiteRT; cycles by {oracle}, of this very file. "Half" is pruned to half the dense network's cycles and recovered without
labels. `{trained_command}`

{trained}

**Beside others.** The same dense networks, {calibration} calibration and the first {tested:,} test images, one process.
ai-edge-quantizer starts from our FLOAT32 file. The relative error is that of the logits. `{peers_command}`

{peers}
"""
TRAINED = (
    "network", "", "float %", "INT8 %", "agreement %", "dB", "bytes", "cycles", "Vela's command line", "operators on the CPU"
)  # fmt: skip


def section() -> str:
    """The text with its tables."""
    zoo, trained, peers = (json.loads((RESULTS / f"deploy_{name}.json").read_text()) for name in (
        "zoo", "trained", "peers"
    ))  # fmt: skip
    rows = [row for row in zoo["rows"] if "parity" in row]
    refused = [row for row in zoo["rows"] if "refused" in row]
    worst = sorted(rows, key=lambda row: row["mse"]["decibels"])[:5]
    return SECTION.format(
        networks=len(rows) + len(refused),
        written=len(rows),
        refused=len(refused),
        reasons="; ".join(f"{row['network']}: {_reason(row['refused'])}" for row in refused),
        largest=max(row["parity"] for row in rows),
        zoo_command=zoo["command"],
        zoo=markdown_table(["ranges by", "median", "least", "better than minmax"], _ranges(rows)),
        worst=", ".join(f"{row['network']} {row['mse']['decibels']:.1f}" for row in worst),
        calibration=trained["calibration"],
        images=trained["rows"][0]["images"],
        oracle=trained["rows"][0]["oracle"],
        trained_command=trained["command"],
        trained=markdown_table(
            [
                "network",
                "",
                "float %",
                "INT8 %",
                "agreement %",
                "dB",
                "bytes",
                "cycles",
                "Vela's command line",
                "on the CPU",
            ],
            [_trained(row) for row in trained["rows"]],
        ),
        tested=peers["tested"],
        peers_command=peers["command"],
        peers=markdown_table(
            ["network", "by", "top-1 %", "agreement %", "relative error", "bytes"],
            [_peer(row) for row in peers["rows"]],
        ),
    )


def _reason(refusal: str) -> str:
    return refusal.removeprefix("The network cannot be written as TFLite: ").partition(". The formats")[0]


def _ranges(rows: list[dict[str, Any]]) -> list[list[str]]:
    table = []
    for method in METHODS:
        powers = [row[method]["decibels"] for row in rows]
        better = sum(row[method]["decibels"] > row["minmax"]["decibels"] for row in rows)
        table.append(
            [f"`{method}`", f"{median(powers):.1f}", f"{min(powers):.1f}", "" if method == "minmax" else str(better)]
        )
    return table


def _trained(row: dict[str, Any]) -> list[str]:
    return [
        row["network"], row["form"], f"{row['float']:.2f}", f"{row['int8']:.2f}", f"{row['agreement']:.2f}",
        f"{row['decibels']:.1f}", f"{row['bytes']:,}", f"{row['cycles']:,}", f"{row['command_line']['cycles']:,}",
        str(row["cpu_operators"]),
    ]  # fmt: skip


def _peer(row: dict[str, Any]) -> list[str]:
    return [
        row["network"], row["way"], f"{row['accuracy']:.2f}", f"{row['agreement']:.2f}", f"{row['relative_error']:.4f}",
        f"{row['bytes']:,}",
    ]  # fmt: skip
