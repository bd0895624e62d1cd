"""What an export has found out about the file that it wrote."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from padless.cost.cycles import Cycles
from padless.deploy.trial import Trial

MOST_DECIBELS = 200.0  # said where there is no difference at all
LOW_AGREEMENT, LOW_DECIBELS = 98.0, 15.0  # below them the noisiest layers are told, and what may help
Arrays = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """A quantised file against the model in float, on `images` images of the test set or, if not `tested`, of the
    calibration set: agreement of the first choice in percent (None where there are no class scores), the power of the
    output over that of its difference in decibels, for the worst output where there are several, accuracy in percent where
    labels are known. The file runs in its own interpreter.
    """

    images: int
    calibration: int  # images that the ranges are from
    tested: bool
    agreement: float | None
    decibels: float
    accuracy: float | None
    float_accuracy: float | None  # the model's on the same images
    layers: tuple[tuple[str, float], ...] = ()  # the noisiest, in decibels, where agreement is low
    advice: str = ""

    @property
    def low(self) -> bool:
        return self.decibels < LOW_DECIBELS or (self.agreement is not None and self.agreement < LOW_AGREEMENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A written file.

    `parity` is the largest difference between the model and the file, over the largest output; for INT8 files that of the
    float file which they are made of. `cycles` are the compiler's for this very file.
    """

    file: Path
    format: str
    bytes: int
    parity: float
    fidelity: Fidelity | None = None
    operators: tuple[str, ...] = ()  # kinds of operators in a TFLite file, which its runtime must have
    cycles: Cycles | None = None
    others: tuple[Path, ...] = ()  # files that belong to it

    @property
    def agreement(self) -> float | None:
        return self.fidelity.agreement if self.fidelity else None

    @property
    def accuracy(self) -> float | None:
        return self.fidelity.accuracy if self.fidelity else None


def fidelity(trial: Trial, got: Sequence[Arrays], calibration: int) -> Fidelity:
    """What a file answers to a trial's inputs, against what the model does. `calibration` images gave its ranges."""
    scores = [column.reshape(len(column), -1) for column in (trial.outputs[0], got[0])]
    classes = len(got) == 1 and trial.outputs[0].ndim == 3 and scores[0].shape[1] > 1
    ours, theirs = (row.argmax(1) for row in scores)
    return Fidelity(
        images=len(trial),
        calibration=calibration,
        tested=trial.labels is not None,
        agreement=100.0 * float(np.mean(ours == theirs)) if classes else None,
        decibels=decibels(trial.outputs, got),
        accuracy=_share(theirs, trial.labels),
        float_accuracy=_share(ours, trial.labels),
    )


def _share(choices: Arrays, labels: Arrays | None) -> float | None:
    return None if labels is None else 100.0 * float(np.mean(choices == labels))


def decibels(reference: Sequence[Arrays], other: Sequence[Arrays]) -> float:
    """The power of the reference over that of the difference, of the output where it is least; at most 200."""

    def ratio(wanted: Arrays, got: Arrays) -> float:
        signal, noise = float((wanted**2).sum()), float(((got - wanted) ** 2).sum())
        if not noise:
            return MOST_DECIBELS
        return (
            float(np.clip(10 * np.log10(signal / noise), -MOST_DECIBELS, MOST_DECIBELS)) if signal else -MOST_DECIBELS
        )

    return min(ratio(a.astype(float), b.astype(float)) for a, b in zip(reference, other, strict=True))
