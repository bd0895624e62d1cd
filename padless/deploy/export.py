"""The small network as a file: INT8 TFLite, INT8 ONNX, ONNX, a PyTorch program. Each is run and compared with the model."""

import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from padless.batches import arguments, batches_of, expect_tensors, tensors_in
from padless.calls import like_model
from padless.deploy.compiled import arena_bytes, c_array, compiled, identifier
from padless.deploy.exported import Exported, fidelity
from padless.deploy.litert import LiteRT
from padless.deploy.onnx import write_onnx, write_qdq
from padless.deploy.tflite import Quantisation, TFLiteNetwork
from padless.deploy.trial import Arrays, Trial, trial_of, trial_of_test
from padless.errors import UsageError, expect, suggest
from padless.files import unfinished, write_json
from padless.graph.agreement import TOLERANCE, agreed, differs, finite_run, largest_difference
from padless.graph.shadow import eval_only, rebuilt, single
from padless.hardware import Target
from padless.hardware.target import as_target
from padless.inputs import Images
from padless.onnx import OnnxNet, data_file, write_back, write_graph
from padless.onnx.runtime import run_onnx

# Format -> how its files end. The longest ending tells.
FORMATS = {"tflite": ".tflite", "onnx-int8": ".int8.onnx", "onnx": ".onnx", "pt2": ".pt2"}
INT8 = ("tflite", "onnx-int8")


def export(
    model: nn.Module,
    example: Any,
    file: str | Path,
    *,
    images: Iterable[Any] | None = None,
    test: Images | None = None,
    target: Target | str | Path | None = None,
    compile: bool = False,
    quantisation: Quantisation | None = None,
    notes: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Exported:
    """Write `model` to `file` and say how faithful the file is. Its ending is the format:

    - `.tflite`: INT8 TFLite, calibrated on `images` in LiteRT. Beside it lies `FILE.json` with the order of axes, scales,
      zero points and `notes`. With a `target` of Arm's the compiler's cycles for this very file; with `compile` also its
      output (`NAME_vela.tflite`) and that as a C array (`NAME.h`).
    - `.int8.onnx`: INT8 between Quantize and Dequantize nodes, by ONNX Runtime, calibrated on `images`.
    - `.onnx` and `.pt2`: floating point, as PyTorch exports it; convolutions must have exactly the widths of the model. A
      network of `load_onnx` goes back into its own graph: names, opset and metadata stay.

    `example` is a tensor, a dictionary of them, or a tuple of the forward's arguments, a batch of one; the file takes their
    shapes and, in floating point, their types. `images` are batches [N, …] as the network takes them, without labels, such
    as `images.calibration(256, seed=0)`. Floating point is checked on random inputs, or on `example` itself where an output
    is not finite on those. With `test` agreement and accuracy are from its test set.

    Raises UsageError for another ending, a missing extra, no images, or an operator that a format has no form for (named,
    with its module); PadlessError when a check fails. Then no file is left.
    """
    expect_tensors(example, "An example input", "Give a tensor of the shape that the network takes.")
    file = Path(file)
    format = format_of(file)
    quantisation = quantisation or Quantisation()
    npu = None if target is None else as_target(target)
    if compile and (format != "tflite" or npu is None):
        raise UsageError("Only TFLite files are compiled, for a target. Give target='ethos-u55-256'.")
    if compile and npu is not None and not npu.vela:
        raise UsageError(f"{npu.id} is no Ethos-U: Vela does not compile for it. Leave compiling out.")
    if test is not None:
        expect(test, Images, "test", "Give padless.load_images(…), or as_images(…).")
    batches: list[Any] = []
    if format in INT8:
        if images is None:
            raise UsageError(f"{file.name} is quantised and needs calibration images. Give images=[…], or --data.")
        batches = batches_of(images, len(arguments(example)))
    family = family_of(file)
    for path in family:
        if path.is_dir():
            raise UsageError(f"{path} is a folder. Give the file another name.")
    model = eval_only(rebuilt(model, lambda _, tensor: tensor.cpu()))  # the caller's stays in its mode
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch = unfinished(file)
        scratch.mkdir(0o700)
    except OSError as error:
        raise UsageError(f"{file.parent} cannot be written: {error.strerror}. Give another folder.") from error
    try:
        beside = scratch / file.name
        if format in INT8:
            quantised = single(model)
            example = like_model(example, quantised)
            shapes = [tuple(t.shape) for t in tensors_in(arguments(example))]
            trial = trial_of(quantised, batches, shapes)
            tests = trial_of_test(quantised, test) if test is not None else trial
            if format == "tflite":
                exported = _tflite(
                    quantised,
                    example,
                    beside,
                    trial,
                    tests,
                    quantisation,
                    target=npu,
                    compile=compile,
                    notes=notes or {},
                )
            else:
                exported = _qdq(quantised, example, beside, trial, tests, quantisation.ranges)
        else:
            exported = _float(model, example, beside, format, seed)
        written = (exported.file, *exported.others)
        for path in family:  # what belonged to an earlier file of that name says nothing of this one
            if path.name not in {new.name for new in written}:
                path.unlink(missing_ok=True)
        for path in written:
            path.replace(file.parent / path.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return replace(exported, file=file, others=tuple(file.parent / path.name for path in exported.others))


def family_of(file: Path) -> list[Path]:
    """A file and those that may belong to it."""
    format = format_of(file)
    if format == "onnx":
        return [file, data_file(file)]
    names = (f"{file.name}.json", f"{file.stem}_vela.tflite", f"{file.stem}.h") if format == "tflite" else ()
    return [file, *map(file.with_name, names)]


def format_of(file: Path) -> str:
    """The format that a file's ending says. Raises UsageError for another one."""
    for format, ending in FORMATS.items():
        if file.name.endswith(ending):
            return format
    raise UsageError(f"Cannot export to {file.name}. Known endings: {', '.join(FORMATS.values())}.")


def known_format(name: str) -> str:
    """The format of that name. Raises UsageError where there is none."""
    if name not in FORMATS:
        raise UsageError(f"Unknown format {name!r}. {suggest(name, FORMATS)}")
    return name


def _tflite(
    model: nn.Module,
    example: Any,
    file: Path,
    trial: Trial,
    tests: Trial,
    how: Quantisation,
    *,
    target: Target | None,
    compile: bool,
    notes: Mapping[str, Any],
) -> Exported:
    with LiteRT() as runtime:
        network = TFLiteNetwork(model, example, runtime)
        network.calibrate(trial)
        written, about = network.write(how, notes)
        file.write_bytes(written.tflite)
        quality = fidelity(tests, network.answers(file, tests), len(trial))
        if quality.low or written.coarse:
            quality = replace(quality, layers=network.noisiest(file), advice=network.advice(how, written))
    others = [file.with_name(f"{file.name}.json")]
    write_json(others[0], about)
    cycles = None
    if target is not None and target.vela:
        flashed = file.with_name(f"{file.stem}_vela.tflite") if compile else None
        cycles = compiled(target, written.tflite, written.operators, flashed)
        if flashed:
            header = file.with_name(f"{file.stem}.h")
            content = flashed.read_bytes()
            header.write_text(c_array(content, identifier(file.stem), arena_bytes(content)))
            others += [flashed, header]
    return Exported(
        file=file, format="tflite", bytes=len(written.tflite), parity=network.parity, fidelity=quality,
        operators=tuple(about["operators"]), cycles=cycles, others=tuple(others),
    )  # fmt: skip


def _qdq(model: nn.Module, example: Any, file: Path, trial: Trial, tests: Trial, ranges: str) -> Exported:
    whole = file.with_name("float.onnx")
    if isinstance(model, OnnxNet):
        write_graph(model, whole)
    else:
        write_onnx(model, arguments(example), whole)
    parity = largest_difference(trial.outputs, _stacked(whole, trial, "Running the float file"))
    if not parity <= TOLERANCE:
        raise differs(file, parity)
    write_qdq(whole, file, trial.inputs, ranges)
    quality = fidelity(tests, _stacked(file, tests, f"Running {file.name}"), len(trial))
    if quality.low:
        quality = replace(quality, advice="Try ranges by percentile, more calibration images, or the format tflite.")
    return Exported(file=file, format="onnx-int8", bytes=file.stat().st_size, parity=parity, fidelity=quality)


def _stacked(file: Path, trial: Trial, title: str) -> list[Arrays]:
    return [np.stack(column) for column in run_onnx(file, trial.inputs, title)]


def _float(model: nn.Module, example: Any, file: Path, format: str, seed: int) -> Exported:
    if isinstance(model, OnnxNet) and format == "onnx":
        parity = write_back(model, file, list(tensors_in(arguments(example))), seed=seed)
    else:
        x, expected = finite_run(model, arguments(example), seed)
        write: Callable[[nn.Module, tuple[Any, ...], Path], list[Tensor]] = write_onnx if format == "onnx" else _pt2
        parity = agreed(model, x, expected, write(model, x, file), file, expected[0].dtype)
    weights = [data_file(file)] if data_file(file).exists() else []  # of a file that had them outside
    return Exported(file=file, format=format, bytes=file.stat().st_size, parity=parity, others=tuple(weights))


def _pt2(model: nn.Module, x: tuple[Any, ...], file: Path) -> list[Tensor]:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(model, x), file)
        return list(tensors_in(torch.export.load(file).module()(*x)))
