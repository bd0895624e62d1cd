"""Pruned ONNX files, ours beside onnxsim's structured pruning, at the same MACs.

    python benchmarks/onnx_peer.py     needs what onnx_peer.txt lists

The networks of onnx_files.py by both of PyTorch's exporters, with random weights and inputs: batch norms have the statistics
of such inputs, so that answers depend on them, and no biases are equal (the TorchScript exporter stores equal ones once, and
the peer breaks on that); the trained ResNet-18 beside the repository (CIFAR-10); the direction classifier of the wheel
rapidocr-onnxruntime 1.4.4 (`PYTHONPATH=FOLDER` with the wheel unpacked; rendered lines of text). The last two are skipped
where they are missing.

The peer gets what its documentation asks for: `onnxsim.simplify`, which folds batch norms and constants, then
`onnxsim.pruning.apply_structured_pruning` with the least sparsity of 0.1, 0.2 ... 0.9 that leaves at most 60 % of the MACs.
Ours gets unit:8, and as many MACs as the peer's file has left; 60 % where the peer does not get there. Once from the weights
alone, as the peer; of trained networks also planned on and recovered from calibration images.

Of each written file: whether the official checker takes it in full (where not, the shapes noted in the file, which may be
stale, are set aside); what is broken (ONNX Runtime, names and types of inputs and outputs, shapes of answers); MACs, and the
channel counts of convolutions that are no multiples of 8, both counted by padless on the file read again; the error of its
answers in ONNX Runtime against the dense file's on inputs that nothing was chosen by. That is the root mean square over that
of the answers, and over that of their deviation from the mean over all inputs (1: a constant would do as well).

Rows that `results/onnx_peer.json` has already are kept.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import onnx
import torch
from common import SHARED, rows_of, write
from onnx_files import UNKNOWN, networks, write_onnx
from text_lines import WHEEL, classifier_file, text_lines
from torch import nn

from padless import (
    InfeasibleError,
    PadlessError,
    load_images,
    load_model,
    load_onnx,
    load_weights,
    plan,
    prune,
    recover,
    trace,
)
from padless.onnx import OnnxNet, example_inputs, write_back
from padless.onnx.runtime import run_onnx
from padless.recover import reestimate_batchnorm

EXPORTERS = (("dynamo", 18), ("script", 13))
SPARSITIES = tuple(n / 10 for n in range(1, 10))
SHARE, UNIT = 0.6, 8
NORMED, OTHERS = 64, 16  # random inputs
TRAINED, LINES, TESTED = 256, 200, 500
WAYS = ("onnxsim", "ours")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A file, the inputs [N, ...] that may be looked at, and those that are tested on."""

    network: str
    exporter: str
    file: Path
    calibration: torch.Tensor
    others: torch.Tensor
    trained: bool  # its answers are class scores that mean something

    def read(self, file: Path) -> OnnxNet:
        """A file with this one's inputs."""
        return load_onnx(file, input_shape=(1, *self.others.shape[1:]))


def main() -> None:
    if find_spec("onnxsim") is None:
        raise SystemExit("Skipped: onnxsim is not installed. See benchmarks/onnx_peer.txt.")
    rows = rows_of("onnx_peer")
    done = {(row["network"], row["exporter"]) for row in rows}
    with tempfile.TemporaryDirectory() as folder:
        for subject in subjects(Path(folder), done):
            rows.append(compared(subject, Path(folder)))
            print(rows[-1], flush=True)
            write("onnx_peer", rows, summary=summary(rows), share=SHARE, unit=UNIT, seed=0)


# --- the files --------------------------------------------------------------------------------------------------------


def subjects(folder: Path, done: set[tuple[str, str]]) -> Iterator[Subject]:
    if find_spec(WHEEL) is None:
        print(f"Skipped: {WHEEL} (1.4.4) is not on the path.")
    elif ("classifier", "as published") not in done:
        (lines, _), (others, _) = text_lines(LINES, 0), text_lines(TESTED, 1000)
        order = torch.randperm(LINES, generator=torch.Generator().manual_seed(0))
        yield Subject(network="classifier", exporter="as published", file=classifier_file(), calibration=lines[order],
                      others=others, trained=True)  # fmt: skip
    yield from resnet18(folder, done)
    yield from random_ones(folder, done)


def random_ones(folder: Path, done: set[tuple[str, str]]) -> Iterator[Subject]:
    for name, (make, shape) in networks().items():
        torch.manual_seed(0)
        model, generator = make(), torch.Generator().manual_seed(0)
        calibration, others = (torch.randn(n, *shape[1:], generator=generator) for n in (NORMED, OTHERS))
        enlivened(model, calibration)
        for exporter, opset in EXPORTERS:
            opset = UNKNOWN.get((name, opset), opset)
            if (name, f"{exporter} {opset}") not in done:
                file = folder / f"{name.replace(' ', '_')}-{exporter}.onnx"
                write_onnx(model, torch.zeros(shape), file, exporter, opset)
                yield Subject(network=name, exporter=f"{exporter} {opset}", file=file, calibration=calibration,
                              others=others, trained=False)  # fmt: skip


@torch.no_grad()
def enlivened(model: nn.Module, x: torch.Tensor) -> None:
    """Biases that differ, and batch norms with the statistics of x, in place; evaluation mode."""
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.add_(0.1 * torch.randn(len(parameter)))
    reestimate_batchnorm(model, [x])
    model.eval()


def resnet18(folder: Path, done: set[tuple[str, str]]) -> Iterator[Subject]:
    if not SHARED.exists():
        print(f"Skipped: no trained weights and images at {SHARED.name}/ beside the repository.")
        return
    exporter, opset = EXPORTERS[0]
    if ("resnet18, trained", f"{exporter} {opset}") in done:
        return
    loaded = load_model("cifar10/resnet18")
    load_weights(loaded.model, SHARED / "weights" / "resnet18.safetensors")
    images = load_images(str(SHARED / "data" / "cifar10-jpeg"), shape=(3, 32, 32), preprocess=loaded.preprocess)
    calibration, others = torch.cat(list(images.calibration(TRAINED, 0))), images.normalised(images.test[:TESTED])
    file = folder / f"trained-{exporter}.onnx"
    write_onnx(loaded.model.eval(), torch.zeros(1, 3, 32, 32), file, exporter, opset)
    yield Subject(network="resnet18, trained", exporter=f"{exporter} {opset}", file=file, calibration=calibration,
                  others=others, trained=True)  # fmt: skip


# --- what became of one -----------------------------------------------------------------------------------------------


def compared(subject: Subject, folder: Path) -> dict[str, Any]:
    """A row: the dense file, the peer's and ours."""
    dense, answers = counted(subject.read(subject.file)), answered(subject.file, subject.others)
    peer = onnxsims(subject, answers, dense, folder)
    most = int(SHARE * dense["macs"])
    target = min(most, peer.get("macs", most))
    row: dict[str, Any] = {"network": subject.network, "exporter": subject.exporter, "dense": dense, "onnxsim": peer}
    ways = {"ours": [], "ours, recovered": list(subject.calibration.split(64))} if subject.trained else {"ours": []}
    for way, images in ways.items():
        started, file = time.perf_counter(), folder / "ours.onnx"
        try:
            pruned(subject, target, images, file)
        except InfeasibleError as error:
            row[way] = {"infeasible": str(error)[:200]}
            continue
        row[way] = {**judged(subject, file, answers), "seconds": round(time.perf_counter() - started, 1)}
    return row


def pruned(subject: Subject, macs: int, images: list[torch.Tensor], file: Path) -> None:
    """Our file: from the weights alone, or planned on images and recovered from them."""
    network = subject.read(subject.file)
    made = plan(network, *example_inputs(network), target=f"unit:{UNIT}", budget=f"macs={macs}", images=images)
    small = prune(network, made)
    if images:
        recover(small, network, made, images)
    write_back(small, file)


def onnxsims(subject: Subject, answers: list[np.ndarray], dense: dict[str, int], folder: Path) -> dict[str, Any]:
    """The peer's file with the least sparsity that leaves few enough MACs."""
    import onnxsim
    from onnxsim.pruning import apply_structured_pruning

    started, file, tried = time.perf_counter(), folder / "peer.onnx", {}
    simple, _ = onnxsim.simplify(onnx.load(str(subject.file)))

    def macs(sparsity: float) -> int:
        """What is left; all of it where the file cannot be read."""
        try:
            pruned = apply_structured_pruning(simple, sparsity)
            pruned.graph.ClearField("value_info")  # stale shapes are no reason not to count
            onnx.save(pruned, str(file))
            tried[sparsity] = counted(subject.read(file))["macs"]
        except Exception as error:  # of several packages' own
            tried[sparsity] = _line(error)
            return dense["macs"]
        return tried[sparsity]

    low, high = 0, len(SPARSITIES) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if macs(SPARSITIES[middle]) <= SHARE * dense["macs"] else (middle + 1, high)
    facts = {"sparsity": SPARSITIES[low], "tried": tried}
    try:
        onnx.save(apply_structured_pruning(simple, SPARSITIES[low]), str(file))
    except Exception as error:  # of the peer's own
        return {"broken": f"raises {type(error).__name__}: {_line(error)}", **facts}
    return {**judged(subject, file, answers), **facts, "seconds": round(time.perf_counter() - started, 1)}


def judged(subject: Subject, file: Path, answers: list[np.ndarray]) -> dict[str, Any]:
    """What is broken; else MACs, misaligned counts and the error; and what the checker says."""
    found: dict[str, Any] = {}
    try:
        onnx.checker.check_model(str(file), full_check=True)
    except Exception as error:  # of several classes
        found["checker"] = _line(error)
        model = onnx.load(str(file))
        model.graph.ClearField("value_info")  # where shapes that are written there are stale, the rest can be right
        onnx.save(model, str(file))
    try:
        got = answered(file, subject.others)
    except PadlessError as error:
        return {"broken": _line(error), **found}
    except Exception as error:  # of ONNX Runtime's own
        return {"broken": f"{type(error).__name__}: {_line(error)}", **found}
    if _ports(subject.file) != _ports(file):
        return {"broken": "other inputs or outputs", **found}
    if [a.shape for a in got] != [a.shape for a in answers]:
        return {"broken": "answers of other shapes", **found}
    try:
        counts: dict[str, Any] = counted(subject.read(file))
    except PadlessError as error:
        counts = {"not_counted": _line(error)}
    pairs = [(a.astype(float), b.astype(float)) for a, b in zip(answers, got, strict=True)]
    found |= {
        **counts,
        "error": fmean(_error(a, b, a) for a, b in pairs),
        "error_of_deviation": fmean(_error(a, b, a - a.mean(0)) for a, b in pairs),
        "bytes": file.stat().st_size,
    }
    if subject.trained:
        dense, small = (np.concatenate(list(scores)).argmax(1) for scores in pairs[0])
        found["agreement"] = round(100 * float((dense == small).mean()), 2)
    return found


def counted(network: OnnxNet) -> dict[str, int]:
    """MACs, and how many of the convolutions' channel counts fill no whole units."""
    layers = trace(network, *example_inputs(network)).layers
    counts = [len(axis) for layer in layers if layer.kind != "linear" for axis in (layer.inputs, layer.outputs)]
    return {
        "macs": sum(layer.macs for layer in layers),
        "counts": len(counts),
        "misaligned": sum(n % UNIT > 0 for n in counts),
    }


def answered(file: Path, x: torch.Tensor) -> list[np.ndarray]:
    """ONNX Runtime's answers [N, 1, ...], image by image: exported files have a batch of one."""
    return [np.stack(column) for column in run_onnx(file, [[part.numpy() for part in x.split(1)]], "ONNX Runtime")]


def _ports(file: Path) -> list[tuple[str, int]]:
    graph = onnx.load(str(file)).graph
    return [(port.name, port.type.tensor_type.elem_type) for port in (*graph.input, *graph.output)]


def _error(a: np.ndarray, b: np.ndarray, over: np.ndarray) -> float:
    return float(np.sqrt(np.square(a - b).sum() / max(np.square(over).sum(), 1e-30)))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def summary(rows: list[dict]) -> dict[str, Any]:
    """For each way: files broken, at most 60 % of the MACs left, misaligned counts, and errors where all ways got there."""
    there = [row for row in rows if all("error" in row[way] for way in WAYS) and _reached(row, "onnxsim")]
    return {
        "files": len(rows), "reached by all": len(there),
        "dense": {"misaligned": sum(row["dense"]["misaligned"] for row in there)},
        **{
            way: {
                "broken": sum("broken" in row[way] for row in rows),
                "refused_by_checker": sum("checker" in row[way] for row in rows),
                "infeasible": sum("infeasible" in row[way] for row in rows),
                "reached": sum(_reached(row, way) for row in rows),
                "misaligned": sum(row[way]["misaligned"] for row in there),
                "macs_percent": round(median([100 * row[way]["macs"] / row["dense"]["macs"] for row in there] or [0]), 2),
                **{
                    key: round(median([row[way][key] for row in there] or [0]), 4)
                    for key in ("error", "error_of_deviation")
                },
            }
            for way in WAYS
        },
    }  # fmt: skip


def _reached(row: dict, way: str) -> bool:
    return row[way].get("macs", row["dense"]["macs"]) <= SHARE * row["dense"]["macs"]


if __name__ == "__main__":
    main()
