"""Networks as ONNX files from several exporters: read, compared with ONNX Runtime, cut, written back, compared again.

Each file: parity of the interpreter with ONNX Runtime, sliced against masked (float64), the written file against the cut
network (in ONNX Runtime), `onnx.checker` in full, names of in- and outputs and of all nodes, the share of MACs whose layers
can be cut, seconds. `--wheel rapidocr_onnxruntime` (once installed) adds the trained files of that package. `--large`
is for one file of more than 2 GB alone.
"""

import argparse
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import torch
from common import rows_of, write
from torch import nn

from padless import PadlessError, UsageError, load_onnx, plan, trace
from padless.choose.replay import prune_with_error
from padless.inputs.zoo import import_torchvision
from padless.onnx import data_file, example_inputs, write_back

EXPORTERS: tuple[tuple[str, int], ...] = (
    ("dynamo", 18), ("dynamo", 20), ("script", 11), ("script", 13), ("script", 16), ("script", 18), ("script", 20),
)  # fmt: skip
UNKNOWN = {
    ("attention", 11): 14,
    ("attention", 13): 15,
}  # the exporter has its attention from opset 14 on: that one instead
CUT = "macs=60%"


def networks() -> dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]]:
    """Name -> what makes it with random weights, and its input's shape."""
    vision = import_torchvision().models  # before timm, which imports it
    import timm

    sys.path[:0] = [str(Path(__file__).parents[1] / "tests")]
    from models.exported import Attention, Gated, Reader
    from models.yolo import Yolo
    from models.yolo11 import Yolo11

    small = (1, 3, 64, 64)
    return {
        "resnet18": (lambda: vision.resnet18(weights=None), small),
        "mobilenet_v2": (lambda: vision.mobilenet_v2(weights=None), small),
        "mobilenet_v3_small": (lambda: vision.mobilenet_v3_small(weights=None), small),
        "shufflenet_v2": (lambda: vision.shufflenet_v2_x0_5(weights=None), small),
        "densenet": (lambda: vision.DenseNet(12, (4, 4, 4), 24, num_classes=10), small),
        "efficientnet_lite0": (lambda: timm.create_model("tf_efficientnet_lite0"), small),
        "convnext_atto": (lambda: timm.create_model("convnext_atto"), small),
        "swin-like": (
            lambda: timm.create_model(
                "swin_tiny_patch4_window7_224", img_size=56, depths=(1, 1), num_heads=(2, 4), embed_dim=32
            ),
            (1, 3, 56, 56),
        ),
        "regnet": (lambda: timm.create_model("regnety_002"), small),
        "yolov8-like": (Yolo, small),
        "yolo11-like": (Yolo11, small),
        "u-net": (lambda: UNet(), small),
        "attention": (Attention, (1, 3, 16, 16)),
        "gates and chunks": (Gated, (1, 3, 16, 16)),
        "crnn": (lambda: Reader(nn.LSTM), (1, 3, 8, 16)),
    }


class UNet(nn.Module):
    """Down twice, up twice, with joins."""

    def __init__(self) -> None:
        super().__init__()
        widths = (16, 32, 64)
        self.down = nn.ModuleList(_double(a, b) for a, b in zip((3, *widths[:2]), widths, strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in ((32, 64), (16, 32)))
        self.join, self.head = nn.ModuleList([_double(64, 32), _double(32, 16)]), nn.Conv2d(16, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = []
        for layer in self.down:
            x = layer(x)
            maps.append(x)
            x = nn.functional.max_pool2d(x, 2) if len(maps) < 3 else x
        for up, join, skip in zip(self.up, self.join, (maps[1], maps[0]), strict=True):
            x = join(torch.cat((up(x), skip), 1))
        return self.head(x)


def _double(a: int, b: int) -> nn.Sequential:
    layers = [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(b, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())


def files(folder: Path, only: str | None, wheels: list[str]) -> Iterator[dict]:
    """Rows with the name, the exporter and the file, or why there is none."""
    for name, (make, shape) in networks().items():
        if only and only not in name:
            continue
        torch.manual_seed(0)
        network = make().eval()
        for exporter, opset in EXPORTERS:
            opset = UNKNOWN.get((name, opset), opset)
            file = folder / f"{name.replace(' ', '_')}-{exporter}-{opset}.onnx"
            row = {"network": name, "exporter": exporter, "opset": opset, "file": file}
            try:
                write_onnx(network, torch.zeros(shape), file, exporter, opset)
            except Exception as error:  # of PyTorch's own
                row["not_exported"] = f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
            yield row
    for wheel in wheels:
        found = find_spec(wheel)
        for file in sorted(Path(found.origin).parent.rglob("*.onnx")) if found and found.origin else []:
            opset = onnx.load(str(file), load_external_data=False).opset_import[0].version
            yield {"network": file.name, "exporter": wheel, "opset": opset, "file": file}


def write_onnx(
    network: nn.Module, example: torch.Tensor, file: Path, exporter: str, opset: int, **options: object
) -> None:
    """Export by one of PyTorch's two exporters."""
    dynamo = exporter == "dynamo"
    if dynamo:
        options = {"external_data": False, "verbose": False, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (example,), str(file), dynamo=dynamo, opset_version=opset, **options)


def measured(row: dict, folder: Path, shape: tuple[int, ...] | None) -> dict:
    """What became of one file."""
    file, start = row.pop("file"), time.perf_counter()
    if "not_exported" in row:
        return {**row, "outcome": "not exported"}
    try:
        network = load_onnx(file, input_shape=shape)
        x = [torch.randn(t.shape) if t.is_floating_point() else t for t in example_inputs(network)]
        parity = _difference(outputs(network, x), runtime(file, x))
        graph = trace(network, *x)
        free = {m.layer for g in graph.groups if g.pinned is None for m in g.members}
        macs = sum(layer.macs for layer in graph.layers)
        made = plan(network, *x, target="unit:8", budget=CUT)
        small, sliced = prune_with_error(network, made)
        written = folder / "small.onnx"
        write_back(small, written)
        again = _difference(outputs(small, x), runtime(written, x))
        before, after = onnx.load(str(file)), onnx.load(str(written))
        onnx.checker.check_model(str(written), full_check=True)
        ports = [[v.SerializeToString() for v in (*p.graph.input, *p.graph.output)] for p in (before, after)]
        nodes = [{n.name for n in p.graph.node} for p in (before, after)]
    except UsageError as error:
        return {**row, "outcome": "refused", "why": str(error)[:300]}
    except PadlessError as error:
        return {**row, "outcome": "failed", "why": f"{type(error).__name__}: {str(error)[:300]}"}
    right = parity < 1e-3 and again < 1e-3 and ports[0] == ports[1] and nodes[1] <= nodes[0]
    return {
        **row, "outcome": "passed" if right else "failed", "nodes": len(before.graph.node), "parity": parity,
        "sliced_equals_masked": sliced, "written_parity": again, "ports_kept": ports[0] == ports[1],
        "names_kept": nodes[1] <= nodes[0],
        "cuttable_macs_percent": round(100 * sum(ly.macs for ly in graph.layers if ly.name in free) / max(macs, 1), 2),
        "bytes": [file.stat().st_size, written.stat().st_size], "seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip


WIDE, DEEP = 8192, 8  # channels, and layers between so many: 2.1 GB of weights


def large(folder: Path) -> None:
    """One file whose weights are more than 2 GB: read, written back whole, cut, written back; what it takes is printed."""
    start, file = time.perf_counter(), folder / "large.onnx"

    def said(what: str, *files: Path) -> None:
        sizes = ", ".join(f"{path.name} {path.stat().st_size:,} bytes" for path in files)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
        print(f"{time.perf_counter() - start:5.0f} s, at most {peak:.1f} GiB: {what} {sizes}", flush=True)

    said("made", file, _made_large(file))
    network = load_onnx(file)
    said("read")
    whole = folder / "whole.onnx"
    difference = write_back(network, whole)
    said(f"written back whole, {difference:.1e} apart", whole, data_file(whole))
    data_file(whole).unlink()
    made = plan(network, *example_inputs(network), target="unit:1024", budget="macs=80%")
    small, sliced = prune_with_error(network, made)
    said(f"cut, sliced and masked {sliced:.1e} apart")
    written = folder / "small.onnx"
    difference = write_back(small, written)
    said(f"written back cut, {difference:.1e} apart", written, data_file(written))


def _made_large(file: Path) -> Path:
    """A chain of convolutions; its weights are written one by one, and lie in the file that is returned."""
    weights, random, nodes, tensors, offset = file.with_suffix(".bin"), np.random.default_rng(0), [], [], 0
    with weights.open("wb") as out:
        for i, (c_in, c_out) in enumerate([(3, WIDE), *[(WIDE, WIDE)] * DEEP, (WIDE, 10)]):
            content = (random.standard_normal((c_out, c_in), np.float32) / np.float32(c_in**0.5)).tobytes()
            out.write(content)
            tensor = onnx.TensorProto(name=f"w{i}", dims=[c_out, c_in, 1, 1], data_type=1, data_location=1)
            for key, value in {"location": weights.name, "offset": offset, "length": len(content)}.items():
                tensor.external_data.add(key=key, value=str(value))
            offset += len(content)
            tensors.append(tensor)
            nodes.append(onnx.helper.make_node("Conv", [f"r{i}", f"w{i}"], [f"c{i}"], f"conv{i}"))
            nodes.append(onnx.helper.make_node("Relu", [f"c{i}"], [f"r{i + 1}"], f"relu{i}"))
    ports = [onnx.helper.make_tensor_value_info(f"r{i}", 1, [1, c, 2, 2]) for i, c in ((0, 3), (DEEP + 2, 10))]
    graph = onnx.helper.make_graph(nodes, "large", ports[:1], ports[1:], tensors)
    opset = onnx.helper.make_opsetid("", 17)
    file.write_bytes(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())
    return weights


def outputs(network: nn.Module, x: list[torch.Tensor]) -> list[np.ndarray]:
    with torch.no_grad():
        y = network(*x)
    return [t.numpy() for t in (y if isinstance(y, tuple) else (y,))]


def runtime(file: Path, x: list[torch.Tensor]) -> list[np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return session.run(None, {v.name: t.numpy() for v, t in zip(session.get_inputs(), x, strict=True)})


def _difference(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    """The largest of all outputs, each over its own largest (over 1e-3 where it is nearly zero: rounding is absolute)."""
    return max(
        float(np.abs(p.astype(float) - q).max(initial=0.0) / max(np.abs(q).max(initial=0.0), 1e-3))
        for p, q in zip(a, b, strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="networks with this in their names")
    parser.add_argument("--wheel", action="append", default=[], help="a package whose ONNX files are read, too")
    parser.add_argument("--wheel-shape", default="1,3,48,192", help="for open axes of the wheels' files")
    parser.add_argument(
        "--large", action="store_true", help="one file of more than 2 GB alone: takes 16 GB of memory and 7 of disk"
    )
    arguments = parser.parse_args()
    if arguments.large:
        with tempfile.TemporaryDirectory() as scratch:
            large(Path(scratch))
        return
    rows = []
    wheel_shape = tuple(int(n) for n in arguments.wheel_shape.split(","))
    with tempfile.TemporaryDirectory() as scratch:
        for row in files(Path(scratch), arguments.only, arguments.wheel):
            shape = wheel_shape if row["exporter"] in arguments.wheel else None
            if shape and "_det_" in row["network"]:
                shape = (*shape[:2], 96, 96)  # whole multiples of 32
            rows.append(measured(row, Path(scratch), shape))
            print({k: v for k, v in rows[-1].items() if k != "bytes"}, flush=True)
    if arguments.only:  # the others stay
        rows = [row for row in rows_of("onnx_files") if arguments.only not in row["network"]] + rows
    exported = [row for row in rows if row["outcome"] != "not exported"]
    counts = {name: sum(row["outcome"] == name for row in exported) for name in ("passed", "refused", "failed")}
    print(f"{len(exported)} files: {counts}")
    write("onnx_files", rows, files=len(exported), **counts)


if __name__ == "__main__":
    main()
