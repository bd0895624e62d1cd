"""A network as INT8 TFLite: lowered, compared with the model in LiteRT, calibrated there, written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from padless.batches import arguments
from padless.deploy.litert import LiteRT, NotFiniteError
from padless.deploy.trial import Trial
from padless.errors import PadlessError, UsageError, suggest
from padless.graph import trace
from padless.graph.agreement import largest_difference
from padless.tflite import Port, Unlowered, float32, lower
from padless.tflite.calibrated import IO, WEIGHTED, Calibrated, calibrated
from padless.tflite.file import Tensor
from padless.tflite.ranges import METHODS, Seen, chosen

TOLERANCE = 1e-4  # of the largest output, between the model and its float file
WORST = 8  # layers that are told
FEW = 64  # calibration images below which more are advised
# In LiteRT 2.3, which computes PRELU wrong instead of refusing.
ONLY_8_BITS = ("ELU", "HARD_SWISH", "LOG_SOFTMAX", "PRELU")
Arrays = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisation:
    """How a file is quantised: `ranges` is mse, percentile or minmax, `activations` 8 or 16 bits, `io` the type of in- and
    outputs: int8 (that of the activations), float32 or uint8.

    Raises UsageError for others.
    """

    ranges: str = METHODS[0]
    activations: int = 8
    io: str = IO[0]

    def __post_init__(self) -> None:
        for name, value, known in (("ranges", self.ranges, METHODS), ("io", self.io, IO)):
            if value not in known:
                raise UsageError(f"{name} cannot be {value!r}. {suggest(str(value), known)}")
        if self.activations not in (8, 16):
            raise UsageError(f"Activations have 8 or 16 bits; got {self.activations!r}.")
        if self.activations == 16 and self.io == "uint8":
            raise UsageError("uint8 in- and outputs go with activations of 8 bits. Take float32, or leave it out.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantised:
    """A file, the name of each of its operators, and what its scales leave few steps (see `Calibrated`)."""

    tflite: bytes
    operators: list[str]
    coarse: tuple[tuple[str, int], ...]


class TFLiteNetwork:
    """A model on its way into a file: lowered, then `calibrate`d, then `write`-n.

    Raises UsageError, naming the operator, where the network has no TFLite form.
    """

    def __init__(self, model: nn.Module, example: Any, runtime: LiteRT) -> None:
        self.runtime = runtime
        try:
            self.lowered = lower(trace(model, *arguments(example)), model, whole=True)
            reference = float32(self.lowered)
        except Unlowered as error:
            raise UsageError(
                f"The network cannot be written as TFLite: {error}. The formats onnx and onnx-int8 may take it."
            ) from error
        self.reference = runtime.file("float.tflite", reference)
        self.seen: dict[int, Seen] = {}
        self.samples: list[Arrays] = []
        self.parity = 0.0

    def calibrate(self, trial: Trial) -> None:
        """See what every activation is on these images, and compare the float file with the model on them.

        Raises PadlessError where they differ, or where something is not finite.
        """
        tensors = self.lowered.builder.tensors
        indices = [i for i, tensor in enumerate(tensors) if tensor.data is None]
        self.samples = self.to_file(trial.inputs)
        try:
            self.seen, got = self.runtime.observe(self.reference, indices, self.samples)
        except NotFiniteError as error:
            raise PadlessError(
                f"{tensors[error.tensor].name} is not finite on the calibration images, so it has no range. Look at the "
                "weights, and at how the images are normalised."
            ) from error
        self.parity = largest_difference(trial.outputs, self.to_model(got))
        if not self.parity <= TOLERANCE:
            raise PadlessError(
                f"The TFLite form differs from the model by {self.parity:.1e} of its largest output in LiteRT; not written. "
                "Please report it."
            )

    def write(self, how: Quantisation, notes: Mapping[str, Any]) -> tuple[Quantised, dict[str, Any]]:
        """The file, and what its readers must know, which it holds too (metadata `padless`)."""
        if how.activations == 16:
            self._refuse_16_bits()
        ranges = chosen(self.seen, how.ranges, how.activations)

        made = calibrated(self.lowered, ranges, bits=how.activations, io=how.io)
        about = {**notes, **described(made), "ranges": how.ranges, "calibration_images": len(self.samples[0])}
        try:
            text = json.dumps(about)
        except (TypeError, ValueError) as error:
            raise UsageError(f"notes hold what JSON cannot: {error}.") from error
        tflite = made.build({"padless": text.encode()})
        return Quantised(tflite=tflite, operators=made.builder.operator_names(), coarse=made.coarse), about

    def _refuse_16_bits(self) -> None:
        for op in self.lowered.builder.operators:
            if op.code in ONLY_8_BITS:
                name = self.lowered.builder.tensors[op.outputs[0]].name
                raise UsageError(f"{name}: LiteRT has no {op.code} for activations of 16 bits. Take 8.")

    def answers(self, file: Path, trial: Trial) -> list[Arrays]:
        """What a file answers to a trial's inputs, as the model has it."""
        return self.to_model(self.runtime.outputs(file, self.to_file(trial.inputs), f"Running {file.name}"))

    def to_file(self, inputs: Sequence[Arrays]) -> list[Arrays]:
        """Inputs of the model [n, …] with their axes as they lie in the file."""
        pairs = zip(self.lowered.inputs, inputs, strict=True)
        return [np.stack([port.to_file(value) for value in column]) for port, column in pairs]

    def to_model(self, outputs: Sequence[Arrays]) -> list[Arrays]:
        """The file's outputs [n, …] with the axes of the model."""
        pairs = zip(self.lowered.outputs, outputs, strict=True)
        return [np.stack([port.to_model(value) for value in column]) for port, column in pairs]

    def noisiest(self, file: Path) -> tuple[tuple[str, float], ...]:
        """The layers with the least signal to noise in a file, in decibels, on some calibration images."""
        builder = self.lowered.builder
        layers = {op.outputs[0]: builder.tensors[op.outputs[0]].name for op in builder.operators if op.code in WEIGHTED}
        some = [column[:16] for column in self.samples]
        ratios = self.runtime.noise(self.reference, file, list(layers), some)
        worst = sorted(ratios.items(), key=lambda pair: pair[1])[:WORST]
        return tuple((layers[index], round(ratio, 1)) for index, ratio in worst)

    def advice(self, how: Quantisation, written: Quantised) -> str:
        """What may help where the file computes something else than the model."""
        if written.coarse:
            name, steps_left = written.coarse[0]
            return (
                f"{name} is joined to numbers that are so much larger that {steps_left} steps of the scale are left for it. "
                "Return such parts as outputs of their own."
            )
        codes, steps = {op.code for op in self.lowered.builder.operators}, []
        if "LOG_SOFTMAX" in codes:
            steps.append("leaving the log_softmax out, which INT8 holds down to -16 alone")
        if how.ranges != METHODS[0]:
            steps.append(f"ranges by {METHODS[0]}")
        if len(self.samples[0]) < FEW:
            steps.append(f"more calibration images than {len(self.samples[0])}")
        if how.activations == 8 and not codes & set(ONLY_8_BITS):
            steps.append("activations of 16 bits")
        return f"Try {', then '.join(steps)}." if steps else "Fine-tuning may help."


def described(file: Calibrated) -> dict[str, Any]:
    """In- and outputs of a file: names, shapes, the order of the axes, types, scales and zero points."""
    return {
        "inputs": [_described(port, file.builder.tensors[tensor]) for port, tensor in file.inputs],
        "outputs": [_described(port, file.builder.tensors[tensor]) for port, tensor in file.outputs],
        "operators": sorted({op.code for op in file.builder.operators}),
    }


def _described(port: Port, tensor: Tensor) -> dict[str, Any]:
    order = port.layout.order()
    return {
        "name": port.name,
        "shape": list(tensor.shape),
        "model_shape": list(port.shape),
        "axes": list(order) if order else None,  # of the model's shape, as they lie in the file
        "type": tensor.dtype.lower(),
        "scale": tensor.scale[0] if tensor.scale else None,
        "zero_point": tensor.zero_point if tensor.scale else None,
    }
