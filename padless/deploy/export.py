"""The pruned network as ONNX or as a PyTorch program, checked against the network it came from."""

import importlib
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from padless.errors import PadlessError, UsageError, expect, missing_extra
from padless.graph import trace
from padless.graph.record import tensors_of
from padless.graph.shadow import rebuilt, tensor_names

FORMATS = ("onnx", "pt2")
TOLERANCE = 1e-3  # of the largest output, in float32: kernels sum in other orders


def export(model: nn.Module, example: Tensor, file: str | Path, *, seed: int = 0) -> float:
    """Write `model` to `file` (`.onnx` or `.pt2`) and return the largest difference seen, over the largest output.

    ONNX goes through `torch.onnx.export(dynamo=True)` and is run in ONNX Runtime; its convolutions must have exactly the
    widths of the model. Raises UsageError for another suffix or a missing extra, PadlessError when the check fails; then
    no file is left.
    """
    expect(example, Tensor, "An example input", "Give a tensor of the shape that the network takes.")
    file = Path(file)
    kind = file.suffix.removeprefix(".")
    if kind not in FORMATS:
        raise UsageError(f"Cannot export to {file.name}. Known formats: {', '.join(FORMATS)}.")
    model = rebuilt(model, lambda _, tensor: tensor.cpu()).eval()  # the caller's stays in its mode
    x = torch.randn(example.shape, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        expected = list(tensors_of(model(x)))
    scratch = file.with_name(f".{file.name}")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        outputs = _onnx(model, x, scratch) if kind == "onnx" else _pt2(model, x, scratch)
        scale = max(float(t.abs().max()) for t in expected) or 1.0
        error = max(float((a - b).abs().max()) for a, b in zip(expected, outputs, strict=True)) / scale
        if not error <= TOLERANCE:
            raise PadlessError(
                f"The exported file differs from the model by {error:.1e} of its largest output; not written."
            )
        scratch.replace(file)
    finally:
        scratch.unlink(missing_ok=True)
    return error


def _onnx(model: nn.Module, x: Tensor, file: Path) -> list[Tensor]:
    try:
        onnx: Any = importlib.import_module("onnx")
        runtime: Any = importlib.import_module("onnxruntime")
        importlib.import_module("onnxscript")
    except ImportError as error:
        raise missing_extra(str(error.name), "onnx", "Exporting to ONNX") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        torch.onnx.export(model, (x,), file, dynamo=True, external_data=False, verbose=False)
    exported = onnx.load(file)
    shapes = {t.name: tuple(t.dims) for t in exported.graph.initializer}
    read = [n.input[1] for n in exported.graph.node if n.op_type in ("Conv", "ConvTranspose")]
    written = sorted(shapes[name] for name in read if name in shapes)
    weights = tensor_names(model)
    wanted = sorted(tuple(weights[ly.weight].shape) for ly in trace(model, x).layers if ly.kind != "linear")
    computed = len(read) > len(written)  # weights that the file works out (standardised ones) have no shape in it
    if Counter(written) - Counter(wanted) or (written != wanted and not computed):
        raise PadlessError(f"The exported file has convolutions {written}, the model {wanted}; not written.")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return [torch.from_numpy(y) for y in session.run(None, {session.get_inputs()[0].name: x.numpy()})]


def _pt2(model: nn.Module, x: Tensor, file: Path) -> list[Tensor]:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(model, (x,)), file)
        return list(tensors_of(torch.export.load(file).module()(x)))
