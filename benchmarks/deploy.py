"""The file that is flashed: how many networks can be written, how faithful the files are, and what peers make of them.

    python benchmarks/deploy.py zoo [NAME ...]     parity and INT8 of many networks, random weights
    python benchmarks/deploy.py trained            VGG-16 and ResNet-18 on CIFAR-10, dense and at half the cycles
    python benchmarks/deploy.py peers              ours, ONNX Runtime's QDQ and ai-edge-quantizer on the same images

`zoo`: 96-pixel normal random images (8 of them, seed 0). For each network the largest difference between PyTorch and the
FLOAT32 file in LiteRT, over the largest output; then the INT8 file in LiteRT: agreement of the first choice, signal to
noise, for each way to choose ranges. Networks that need packages of `real_networks.txt` are skipped where those are missing.

`trained`: the weights beside the repository, 256 training images (seed 0) for the ranges, all 10,000 test images. The file's
cycles are compared with Vela's own command line. `peers` tests on the first 1,000 test images, dense networks.

Rows that `results/deploy_*.json` has already are kept.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import SHARED, need_shared, rows_of, write
from real_networks_list import NETWORKS
from torch import Tensor, nn
from vela_networks import TIMM

from padless import load_images, load_model, load_target, load_weights, plan, prune, recover
from padless.batches import tensors_in
from padless.deploy import Quantisation, export
from padless.deploy.exported import decibels, fidelity
from padless.deploy.litert import LiteRT
from padless.deploy.onnx import write_onnx, write_qdq
from padless.deploy.tflite import TFLiteNetwork
from padless.deploy.trial import Trial, trial_of, trial_of_test
from padless.errors import PadlessError
from padless.onnx.runtime import run_onnx
from padless.progress import console, track
from padless.tflite.ranges import METHODS

TORCHVISION = (
    "resnet18", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0", "densenet121", "googlenet",
    "shufflenet_v2_x0_5", "squeezenet1_0", "regnet_y_400mf", "mnasnet0_5", "resnext50_32x4d", "vgg11_bn",
    "convnext_tiny", "lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large",
)  # fmt: skip
OTHERS = (
    "ultralytics/yolov8n", "ultralytics/yolo11n", "ultralytics/yolov5n", "smp/Unet-resnet18", "smp/Unet-mobilenet_v2",
    "smp/FPN-resnet18",
)  # fmt: skip
TARGET, SIZE, IMAGES = "ethos-u55-256", 96, 8
CALIBRATION, TESTED = 256, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("zoo", "trained", "peers"))
    parser.add_argument("names", nargs="*", help="these networks alone")
    given = parser.parse_args()
    {"zoo": zoo, "trained": trained, "peers": peers}[given.part](given.names)


# --- many networks ----------------------------------------------------------------------------------------------------


def zoo(names: list[str]) -> None:
    wanted = names or [
        *(f"torchvision/{name}" for name in TORCHVISION), *(f"timm/{name}" for name in TIMM), "yolo-like", *OTHERS
    ]  # fmt: skip
    rows = [row for row in rows_of("deploy_zoo") if row["network"] not in names]
    done = {row["network"] for row in rows}
    with LiteRT() as runtime:
        for name in track([n for n in wanted if n not in done], "Writing", total=len(wanted) - len(done)):
            rows.append({"network": name, **_written(name, runtime)})
            print(rows[-1], flush=True)
            write("deploy_zoo", rows, summary=_counted(rows), seed=0, images=IMAGES, size=SIZE)
    print(_counted(rows))


def _counted(rows: list[dict]) -> dict[str, Any]:
    written = [row for row in rows if "parity" in row]
    return {
        "networks": len(rows),
        "written": len(written),
        "refused": sum("refused" in row for row in rows),
        "failed": [row["network"] for row in rows if "failed" in row],
        "skipped": [row["network"] for row in rows if "skipped" in row],
        "largest_difference": max((row["parity"] for row in written), default=None),
        "median_decibels": {m: float(np.median([row[m]["decibels"] for row in written])) for m in METHODS if written},
    }


def _written(name: str, runtime: LiteRT) -> dict[str, Any]:
    torch.manual_seed(0)
    try:
        model, example = _built(name)
    except ImportError as error:
        return {"skipped": f"needs {error.name}"}
    started = time.perf_counter()
    generator = torch.Generator().manual_seed(0)
    shapes = [tuple(t.shape) for t in tensors_in(example)]
    batches = [tuple(torch.randn(IMAGES, *shape[1:], generator=generator) for shape in shapes)]
    try:
        network = TFLiteNetwork(model, example, runtime)
        trial = trial_of(model, batches, shapes)
        network.calibrate(trial)
        found: dict[str, Any] = {"parity": network.parity}
        for method in METHODS:
            written, _ = network.write(Quantisation(ranges=method), {})
            file = runtime.file("model.tflite", written.tflite)
            quality = fidelity(trial, network.answers(file, trial), len(trial))
            found[method] = {"decibels": round(quality.decibels, 2), "agreement": quality.agreement}
            found["bytes"] = len(written.tflite)
    except PadlessError as error:
        kind = "refused" if error.exit_code == 2 else "failed"
        return {kind: str(error)}
    return {**found, "seconds": round(time.perf_counter() - started, 1)}


def _built(name: str) -> tuple[nn.Module, tuple[Any, ...]]:
    if name == "yolo-like":
        sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
        return import_module("models.yolo").Yolo().eval(), (torch.zeros(1, 3, 64, 64),)
    if name in NETWORKS:
        model, example = NETWORKS[name]()
        return model.eval(), example
    size = 256 if "mobilevit" in name else SIZE
    shape = (1, 3, size, size)
    return load_model(name, input_shape=shape).model.eval(), (torch.zeros(shape),)


# --- trained networks -------------------------------------------------------------------------------------------------


def trained(names: list[str]) -> None:
    need_shared()
    rows = rows_of("deploy_trained")
    for name in names or ["vgg16_bn", "resnet18"]:
        missing = [
            form for form in ("dense", "half") if not any(r["network"] == name and r["form"] == form for r in rows)
        ]
        if not missing:
            continue
        for form, model, images in _forms(name, missing):
            with tempfile.TemporaryDirectory() as folder:
                rows.append({"network": name, "form": form, **_flashed(model, images, Path(folder))})
            print(rows[-1], flush=True)
            write("deploy_trained", rows, target=TARGET, calibration=CALIBRATION, seed=0)


def _forms(name: str, wanted: list[str]) -> Iterator[tuple[str, nn.Module, Any]]:
    model, images = _loaded(name)
    if "dense" in wanted:
        yield "dense", model, images
    if "half" in wanted:
        calibration = list(images.calibration(512, 0))
        chosen = plan(model, calibration[0][:1], target=TARGET, budget="cycles=50%", images=calibration, align="unit")
        small = prune(model, chosen)
        recover(small, model, chosen, calibration)
        yield "half", small, images


def _loaded(name: str) -> tuple[nn.Module, Any]:
    loaded = load_model(f"cifar10/{name}")
    load_weights(loaded.model, SHARED / "weights" / f"{name}.safetensors")
    images = load_images(str(SHARED / "data" / "cifar10-jpeg"), shape=(3, 32, 32), preprocess=loaded.preprocess)
    return loaded.model.eval(), images


def _flashed(model: nn.Module, images: Any, folder: Path) -> dict[str, Any]:
    started = time.perf_counter()
    exported = export(
        model, torch.zeros(1, 3, 32, 32), folder / "model.tflite", images=images.calibration(CALIBRATION, 0), test=images,
        target=load_target(TARGET),
    )  # fmt: skip
    seconds, quality, cycles = time.perf_counter() - started, exported.fidelity, exported.cycles
    assert quality is not None
    assert cycles is not None
    return {
        "float": quality.float_accuracy, "int8": quality.accuracy, "agreement": quality.agreement,
        "decibels": round(quality.decibels, 2), "images": quality.images, "parity": exported.parity, "bytes": exported.bytes,
        "cycles": cycles.total, "npu_cycles": cycles.npu, "peak_sram_bytes": cycles.peak_sram_bytes,
        "flash_bytes": cycles.flash_bytes, "cpu_operators": cycles.cpu_operators, "oracle": cycles.oracle,
        "command_line": command_line(exported.file, TARGET), "seconds": round(seconds, 1),
    }  # fmt: skip


def command_line(file: Path, target: str) -> dict[str, int]:
    """What Vela's own command line says of a file."""
    settings = load_target(target).vela
    assert settings is not None
    subprocess.run(
        [sys.executable, "-m", "ethosu.vela", str(file), f"--accelerator-config={settings.accelerator}",
         "--config=Arm/vela.ini", f"--system-config={settings.system_config}", f"--memory-mode={settings.memory_mode}",
         f"--output-dir={file.parent}"],
        check=True, capture_output=True,
    )  # fmt: skip
    (summary,) = file.parent.glob("*_summary_*.csv")
    with summary.open() as lines:
        row = next(csv.DictReader(lines))
    return {"cycles": round(float(row["cycles_total"])), "npu_cycles": round(float(row["cycles_npu"]))}


# --- peers ------------------------------------------------------------------------------------------------------------


def peers(names: list[str]) -> None:
    need_shared()
    rows = [row for row in rows_of("deploy_peers") if row["network"] not in names]
    for name in names or ["vgg16_bn", "resnet18"]:
        if not any(row["network"] == name for row in rows):
            rows += _compared(name)
            write("deploy_peers", rows, calibration=CALIBRATION, tested=TESTED, seed=0)


def _compared(name: str) -> list[dict]:
    model, images = _loaded(name)
    trial = trial_of(model, list(images.calibration(CALIBRATION, 0)), [(1, 3, 32, 32)])
    whole, labels = trial_of_test(model, images), images.test_labels.numpy()
    tests = Trial(inputs=[whole.inputs[0][:TESTED]], outputs=[whole.outputs[0][:TESTED]], labels=labels[:TESTED])
    rows = []
    with LiteRT() as runtime, tempfile.TemporaryDirectory() as folder:
        network = TFLiteNetwork(model, torch.zeros(1, 3, 32, 32), runtime)
        started = time.perf_counter()
        network.calibrate(trial)
        observing = time.perf_counter() - started
        ways: dict[str, Callable[[], tuple[Path, list[Any]]]] = {
            **{f"padless, {method}": _ours(network, method, tests) for method in METHODS},
            "ONNX Runtime QDQ": lambda: _qdq(model, trial, tests, Path(folder)),
            "ai-edge-quantizer": lambda: _aeq(network, tests, Path(folder)),
        }
        for way, make in ways.items():
            started = time.perf_counter()
            try:
                file, got = make()
            except ImportError as error:
                console.print(f"{way}: needs {error.name}")
                continue
            seconds = time.perf_counter() - started + (observing if way.startswith("padless") else 0)
            quality = fidelity(tests, got, len(trial))
            power = decibels(tests.outputs, got)
            rows.append({
                "network": name, "way": way, "accuracy": quality.accuracy, "agreement": quality.agreement,
                "relative_error": round(10 ** (-power / 20), 4), "bytes": file.stat().st_size,
                "seconds_with_test": round(seconds, 1),
            })  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def _ours(network: TFLiteNetwork, method: str, tests: Trial) -> Callable[[], tuple[Path, list[Any]]]:
    def make() -> tuple[Path, list[Any]]:
        written, _ = network.write(Quantisation(ranges=method), {})
        file = network.runtime.file("ours.tflite", written.tflite)
        return file, network.answers(file, tests)

    return make


def _qdq(model: nn.Module, trial: Trial, tests: Trial, folder: Path) -> tuple[Path, list[Any]]:
    whole, file = folder / "float.onnx", folder / "model.int8.onnx"
    x: tuple[Tensor, ...] = (torch.zeros(1, 3, 32, 32),)
    write_onnx(model, x, whole)
    write_qdq(whole, file, trial.inputs, "minmax")
    return file, [np.stack(column) for column in run_onnx(file, tests.inputs, "ONNX Runtime")]


def _aeq(network: TFLiteNetwork, tests: Trial, folder: Path) -> tuple[Path, list[Any]]:
    quantizer = import_module("ai_edge_quantizer.quantizer").Quantizer(str(network.reference))
    quantizer.load_quantization_recipe(import_module("ai_edge_quantizer.recipe").static_wi8_ai8())
    (port,) = network.lowered.inputs
    samples = [{port.name: sample} for sample in network.samples[0]]
    seen = quantizer.calibrate({"serving_default": samples})
    file = folder / "aeq.tflite"
    quantizer.quantize(seen).export_model(str(file), overwrite=True)
    return file, network.answers(file, tests)


if __name__ == "__main__":
    main()
