"""Trained networks as ONNX files, pruned and recovered from unlabelled images: what the written files still do.

    python benchmarks/onnx_recovery.py resnet18     ResNet-18 on CIFAR-10, its batch norms folded into the convolutions
    python benchmarks/onnx_recovery.py classifier   the direction classifier of the wheel rapidocr-onnxruntime 1.4.4

`resnet18`: the weights beside the repository, exported by both of PyTorch's exporters, pruned to half the cycles of
ethos-u55-256 and recovered from 512 training images. Dense and pruned file are scored in ONNX Runtime on all 10,000 test
images.

`classifier`: the trained file of the public wheel (`PYTHONPATH=FOLDER`, where FOLDER is the wheel unpacked), pruned to 60 %
of the MACs on unit:16 and recovered from 200 rendered lines of text, half of them upside down (`text_lines.py`). Agreement
with the dense file on the first choice, and both files' accuracy, on 500 other lines; all in ONNX Runtime.

Each with several seeds, which draw the calibration images; the test images are always the same. Rows that
`results/onnx_recovery.json` has already are kept.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import SHARED, need_shared, rows_of, write
from onnx_files import write_onnx
from text_lines import SHAPE, classifier_file, text_lines
from torch import Tensor, nn

from padless import load_images, load_model, load_onnx, load_weights, plan, prune, recover
from padless.onnx import OnnxNet, write_back
from padless.onnx.runtime import run_onnx

SEEDS = (0, 1, 2)
EXPORTERS = (("dynamo", 18), ("script", 13))
CALIBRATION, BATCH = 512, 128
LINES, OTHER_LINES, OTHERS_SEED = 200, 500, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("resnet18", "classifier"))
    part = parser.parse_args().part
    rows = rows_of("onnx_recovery")
    done = {(row["network"], row["exporter"], row["seed"]) for row in rows}
    with tempfile.TemporaryDirectory() as folder:
        for row in {"resnet18": resnet18, "classifier": classifier}[part](Path(folder), done):
            rows.append(row)
            print(row, flush=True)
            write("onnx_recovery", rows, calibration=CALIBRATION, lines=LINES, other_lines=OTHER_LINES)


def resnet18(folder: Path, done: set[tuple[str, str, int]]) -> Iterator[dict]:
    need_shared()
    loaded = load_model("cifar10/resnet18")
    load_weights(loaded.model, SHARED / "weights" / "resnet18.safetensors")
    images = load_images(str(SHARED / "data" / "cifar10-jpeg"), shape=(3, 32, 32), preprocess=loaded.preprocess)
    tests, labels = [images.normalised(part) for part in images.test.split(BATCH)], images.test_labels.numpy()
    for exporter, opset in EXPORTERS:
        seeds = [seed for seed in SEEDS if ("resnet18", f"{exporter} {opset}", seed) not in done]
        if not seeds:
            continue
        file = folder / f"resnet18-{exporter}.onnx"
        exported(loaded.model.eval(), torch.zeros(BATCH, 3, 32, 32), file, exporter, opset)
        dense = answers(file, tests)
        for seed in seeds:
            calibration = list(images.calibration(CALIBRATION, seed, BATCH))
            network = load_onnx(file, input_shape=(1, 3, 32, 32))
            written, facts = pruned(network, calibration, "ethos-u55-256", "cycles=50%", folder)
            small = answers(written, tests)
            yield {
                "network": "resnet18", "exporter": f"{exporter} {opset}", "seed": seed,
                "dense": accuracy(dense, labels), "pruned": accuracy(small, labels),
                "agreement": accuracy(small, dense.argmax(1)), "images": len(labels), **facts,
            }  # fmt: skip


def exported(model: nn.Module, example: Tensor, file: Path, exporter: str, opset: int) -> None:
    """Write `model` as ONNX with an open batch axis; no batch norm is left."""
    import onnx

    if exporter == "dynamo":
        options: dict[str, Any] = {"dynamic_shapes": ({0: torch.export.Dim("batch")},)}
    else:
        options = {"input_names": ["image"], "dynamic_axes": {"image": {0: "batch"}}}
    write_onnx(model, example, file, exporter, opset, **options)
    assert all(node.op_type != "BatchNormalization" for node in onnx.load(str(file)).graph.node)


def classifier(folder: Path, done: set[tuple[str, str, int]]) -> Iterator[dict]:
    file = classifier_file()
    others, turned = text_lines(OTHER_LINES, OTHERS_SEED)
    tests = list(others.split(50))
    dense = answers(file, tests)
    for seed in SEEDS:
        if (file.name, "as published", seed) in done:
            continue
        lines, _ = text_lines(LINES, seed)
        order = torch.randperm(LINES, generator=torch.Generator().manual_seed(seed))
        network = load_onnx(file, input_shape=SHAPE)
        written, facts = pruned(network, list(lines[order].split(50)), "unit:16", "macs=60%", folder)
        small = answers(written, tests)
        yield {
            "network": file.name, "exporter": "as published", "seed": seed,
            "dense": accuracy(dense, turned.numpy()), "pruned": accuracy(small, turned.numpy()),
            "agreement": accuracy(small, dense.argmax(1)), "images": OTHER_LINES, **facts,
        }  # fmt: skip


def pruned(
    network: OnnxNet, calibration: list[Tensor], target: str, budget: str, folder: Path
) -> tuple[Path, dict[str, Any]]:
    """The pruned and recovered network's file, and what it took."""
    started = time.perf_counter()
    made = plan(network, calibration[0][:1], target=target, budget=budget, images=calibration)
    small = prune(network, made)
    recovery = recover(small, network, made, calibration)
    file = folder / "small.onnx"
    write_back(small, file)
    quantity = budget.partition("=")[0]
    return file, {
        "target": target, "budget": budget, "before": made.before[quantity], "after": made.after[quantity],
        "recovered_by": recovery.method, "held_out": dict(recovery.held_out),
        "bytes": [Path(network.source.file).stat().st_size, file.stat().st_size],
        "seconds": round(time.perf_counter() - started, 1),
    }  # fmt: skip


def answers(file: Path, tests: Sequence[Tensor]) -> np.ndarray:
    """ONNX Runtime's class scores [N, K]."""
    return np.concatenate(run_onnx(file, [[x.numpy() for x in tests]], "ONNX Runtime")[0])


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """In percent."""
    return round(100 * float((scores.argmax(1) == labels).mean()), 2)


if __name__ == "__main__":
    main()
