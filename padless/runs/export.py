"""A run's folder as files to hand over, and what they are worth in its summary and on its page."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from padless.deploy import Exported, Quantisation, export
from padless.deploy.export import FORMATS, INT8, known_format
from padless.errors import UsageError
from padless.files import write_atomically
from padless.hardware import load_target
from padless.inputs import Images, load_images, load_model
from padless.report.files import replaced, written
from padless.report.summary import FILE, Measures, Summary
from padless.runs.folder import PAGE, load

CALIBRATION = 256  # images that ranges are taken from


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What to write of a run: formats, how INT8 is made, whether Arm's compiler's output is wanted, too.

    Raises UsageError for unknown formats, and for compiling without TFLite.
    """

    formats: tuple[str, ...] = ("tflite",)
    quantisation: Quantisation = field(default_factory=Quantisation)
    calibration: int = CALIBRATION
    compile: bool = False

    def __post_init__(self) -> None:
        for name in self.formats:
            known_format(name)
        if self.compile and "tflite" not in self.formats:
            raise UsageError("Only TFLite files are compiled. Add --format tflite.")

    @property
    def needs_images(self) -> bool:
        return any(name in INT8 for name in self.formats)


def export_folder(folder: Path, handover: Handover, data: str | None = None) -> list[Exported]:
    """Write the files of a run into its folder; `data` are the run's own by default.

    Raises UsageError where INT8 is asked for and there are no images, or of one class alone.
    """
    summary = Summary.read(folder)
    target = load_target(summary.target, **summary.variant)
    loaded = load_model(summary.model, input_shape=summary.input_shape, reading=summary.reading)
    images = None
    if handover.needs_images:
        place = data or summary.data
        if not place:
            raise UsageError(f"{folder} was made without images, and INT8 needs some to see ranges on. Give --data.")
        _, channels, rows, columns = loaded.input_shape
        images = load_images(place, shape=(channels, rows, columns), normalise=loaded.normalise)
    small, exported = load(folder, loaded.model), []
    of_int8 = {} if images is None else _calibrated_on(images, summary, handover)
    for name in handover.formats:
        options = {"quantisation": handover.quantisation, **of_int8} if name in INT8 else {}
        if name == "tflite":
            options |= {"target": target, "compile": handover.compile}
        file = folder / f"model{FORMATS[name]}"
        exported.append(
            export(
                small,
                torch.zeros(loaded.input_shape),
                file,
                quantisation=handover.quantisation,
                seed=summary.seed,
                **options,
            )
        )
    _record(folder, summary, exported, handover)
    return exported


def _calibrated_on(images: Images, summary: Summary, handover: Handover) -> dict[str, Any]:
    """What `export` is told of the images."""
    if len(images.train_labels.unique()) < 2:
        raise UsageError(
            f"All training images of {images.name} are of one class: what the network computes on them says little about "
            "others. Calibrate on images of all classes."
        )
    colours = {"scale": 1 / 255, "mean": images.mean.tolist(), "std": images.std.tolist()}
    return {
        "images": list(images.calibration(handover.calibration, summary.seed)),
        "test": images,
        "notes": {"model": summary.model, "normalisation": colours},
    }


def _record(folder: Path, summary: Summary, exported: Sequence[Exported], handover: Handover) -> None:
    """The files' rows in `summary.json` and on the page; the accuracy of the TFLite file beside those of the networks."""
    rows = {e.file.name: written(e, handover.quantisation, handover.calibration) for e in exported}
    files = {**summary.files, **rows}
    after: Measures = {**summary.after}
    for row in rows.values():
        if row.format == "tflite" and row.accuracy is not None:
            after["accuracy_tflite"] = row.accuracy
    write_atomically(folder / FILE, replace(summary, files=files, after=after).to_json())
    page = folder / PAGE
    if page.exists():
        write_atomically(page, replaced(page.read_text(encoding="utf-8"), files))
