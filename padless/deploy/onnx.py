"""A network as ONNX, run in ONNX Runtime; and as INT8 ONNX between Quantize and Dequantize nodes (QDQ)."""

import logging
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from padless.batches import tensors_in
from padless.deploy.grids import keep_grids
from padless.errors import PadlessError, UsageError
from padless.graph import trace
from padless.onnx.packages import package
from padless.onnx.runtime import Arrays, Column, rows, run_onnx, session
from padless.progress import bar


def write_onnx(model: nn.Module, x: tuple[Any, ...], file: Path) -> list[Tensor]:
    """Write the model, through `torch.onnx.export(dynamo=True)`, and return what the file answers to `x`.

    Raises PadlessError where the file's convolutions are not the model's, or ONNX Runtime cannot run it.
    """
    onnx = _package("onnx")
    _package("onnxruntime")
    _package("onnxscript")
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
    _check_widths(onnx.load(file), model, x)
    answers = run_onnx(file, [[tensor.numpy()] for tensor in tensors], "")
    return [torch.from_numpy(column[0]) for column in answers]


def write_qdq(source: Path, file: Path, columns: Sequence[Column], ranges: str) -> None:
    """`source` in INT8 between QDQ nodes, calibrated on `columns`: for each input its values, one array for each run.

    ONNX Runtime's own static quantisation: symmetric weights per channel, asymmetric activations; filters of treated
    convolutions keep the step of their grid. `percentile` and `minmax`
    are its ways to choose ranges; for `mse`, which it has not, the extremes are taken.
    """
    quantization = _package("onnxruntime.quantization")
    prepared = source.with_name(f"{source.name}.prepared")
    inputs = [given.name for given in session(source).get_inputs()]

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.rows = iter(rows(inputs, columns))

        def get_next(self) -> dict[str, Arrays] | None:
            return next(self.rows, None)

    method = quantization.CalibrationMethod
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns that the model was not prepared, which it was
    try:
        _package("onnxruntime.quantization.shape_inference").quant_pre_process(str(source), str(prepared))
        with bar("Quantising in ONNX Runtime", None):
            quantization.quantize_static(
                str(prepared), str(file), Reader(), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
                activation_type=quantization.QuantType.QInt8, weight_type=quantization.QuantType.QInt8,
                calibrate_method=method.Percentile if ranges == "percentile" else method.MinMax,
            )  # fmt: skip
        keep_grids(prepared, file)
    finally:
        logger.setLevel(level)
        prepared.unlink(missing_ok=True)


def _package(name: str) -> Any:
    return package(name, "Exporting to ONNX")


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
