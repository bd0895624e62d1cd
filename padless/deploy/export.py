"""The pruned network as ONNX or as a PyTorch program, checked against the network it came from."""

import importlib
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from padless.calls import arguments, eager, expect_tensors, tensors_in
from padless.errors import PadlessError, UsageError, missing_extra
from padless.graph import trace
from padless.graph.examples import Example
from padless.graph.record import tensors_of
from padless.graph.shadow import eval_only, rebuilt

FORMATS = ("onnx", "pt2")
TOLERANCE = 1e-3  # of the largest output, in float32: kernels sum in other orders
TOLERANCES = {torch.float16: 1e-2, torch.bfloat16: 5e-2}  # a few units of their last place


def export(model: nn.Module, example: Any, file: str | Path, *, seed: int = 0) -> float:
    """Write `model` to `file` (`.onnx` or `.pt2`) and return the largest difference seen, over the largest output.

    `example` is a tensor, a dictionary of them, or a tuple of the forward's arguments; the file takes their shapes and
    types. ONNX goes through `torch.onnx.export(dynamo=True)` and is run in ONNX Runtime; its convolutions must have exactly
    the widths of the model. The check runs on random inputs, or on `example` itself where an output is not finite on those.
    Raises UsageError for another suffix or a missing extra, PadlessError when the check fails; then no file is left.
    """
    expect_tensors(example, "An example input", "Give a tensor of the shape that the network takes.")
    file = Path(file)
    kind = file.suffix.removeprefix(".")
    if kind not in FORMATS:
        raise UsageError(f"Cannot export to {file.name}. Known formats: {', '.join(FORMATS)}.")
    model = eval_only(rebuilt(model, lambda _, tensor: tensor.cpu()))  # the caller's stays in its mode
    x, expected = _outputs(model, arguments(example), seed)
    scratch = file.with_name(f".{file.name}")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        outputs = _onnx(model, x, scratch) if kind == "onnx" else _pt2(model, x, scratch)
        scale = max(float(t.double().abs().max()) for t in expected if t.numel()) or 1.0
        differences = (a.double() - b.double() for a, b in zip(expected, outputs, strict=True) if a.numel())
        error = max(float(difference.abs().max()) for difference in differences) / scale
        tolerance = TOLERANCES.get(expected[0].dtype, TOLERANCE)
        if not error <= tolerance:
            raise PadlessError(
                f"The exported file differs from the model by {error:.1e} of its largest output; not written."
            )
        scratch.replace(file)
    finally:
        scratch.unlink(missing_ok=True)
    return error


@torch.no_grad()
def _outputs(model: nn.Module, example: tuple[Any, ...], seed: int) -> tuple[tuple[Any, ...], list[Tensor]]:
    """Inputs on which the outputs are finite, normal, positive or the example itself, and the outputs."""
    spec = Example.of(example)
    random = (spec.random(seed, positive=positive) for positive in (False, True))
    for tensors in (*random, [t.detach().cpu() for t in tensors_in(example)]):
        x = spec.arguments(tensors)
        with eager():
            expected = list(tensors_of(model(*x)))
        if all(torch.isfinite(t).all() for t in expected):
            return x, expected
    raise PadlessError(
        "An output of the model is not finite, neither on normal and positive inputs nor on the example, so an exported "
        "file could not be checked. Give padless.export an example from where the network lives, and check the weights."
    )


def _onnx(model: nn.Module, x: tuple[Any, ...], file: Path) -> list[Tensor]:
    try:
        onnx: Any = importlib.import_module("onnx")
        runtime: Any = importlib.import_module("onnxruntime")
        importlib.import_module("onnxscript")
    except ImportError as error:
        raise missing_extra(str(error.name), "onnx", "Exporting to ONNX") from error
    tensors = list(tensors_in(x))
    if any(t.dtype is torch.bfloat16 for t in tensors):
        raise UsageError(
            "ONNX Runtime has no kernels for bfloat16, so the file could not be checked. Export model.float() and float32 "
            "inputs, or to .pt2."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        positional = (*x, {}) if isinstance(x[-1], dict) else x  # a dictionary at the end would be keywords
        torch.onnx.export(model, positional, file, dynamo=True, external_data=False, verbose=False)
    exported = onnx.load(file)
    _check_widths(exported, model, x)
    try:
        session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    except Exception as error:  # of classes that it does not name, for one where it has no kernel of a type
        raise PadlessError(
            f"ONNX Runtime cannot run the exported file, so it could not be checked: {str(error).splitlines()[0]}\n"
            "Export model.float() and float32 inputs, or to .pt2."
        ) from error
    named = {given.name: tensor.numpy() for given, tensor in zip(session.get_inputs(), tensors, strict=True)}
    return [torch.from_numpy(y) for y in session.run(None, named)]


def _check_widths(exported: Any, model: nn.Module, x: tuple[Any, ...]) -> None:
    """Raises PadlessError where the file's convolutions are not the model's."""
    shapes = {t.name: tuple(t.dims) for t in exported.graph.initializer}
    read = [n.input[1] for n in exported.graph.node if n.op_type in ("Conv", "ConvTranspose")]
    written = sorted(shapes[name] for name in read if name in shapes)
    parameters = dict(model.named_parameters())
    layers = [layer for layer in trace(model, *x).layers if layer.kind != "linear"]
    wanted = sorted(tuple(parameters[ly.weight].shape) for ly in layers if ly.weight in parameters)
    spread = len(layers) - len(
        wanted
    )  # filters that the forward makes of buffers or literals: of any shape in the file
    computed = len(read) > len(written)  # weights that the file works out (standardised ones) have no shape in it
    more, fewer = Counter(written) - Counter(wanted), Counter(wanted) - Counter(written)
    if more.total() > spread or (fewer and not computed):
        raise PadlessError(f"The exported file has convolutions {written}, the model {wanted}; not written.")


def _pt2(model: nn.Module, x: tuple[Any, ...], file: Path) -> list[Tensor]:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(model, x), file)
        return list(tensors_of(torch.export.load(file).module()(*x)))
