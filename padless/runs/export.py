"""A run's folder as files to hand over, and what they are worth in its summary and on its page."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from padless.choose import Budget
from padless.choose.budget import amount
from padless.choose.tables import FROM_ORACLE
from padless.deploy import Exported, Quantisation, export
from padless.deploy.export import FORMATS, INT8, known_format
from padless.deploy.trial import classes_of
from padless.errors import UsageError
from padless.files import write_atomically
from padless.inputs import Images, Preprocess, load_images, load_model, parse_inputs, sample_shape, shapes_of
from padless.progress import console
from padless.report.files import written
from padless.report.page import page
from padless.report.report import FILE as REPORT
from padless.report.report import Report
from padless.report.summary import FILE, Measures, Summary
from padless.runs.exchange import claimed, mended, renewed
from padless.runs.folder import PAGE, load
from padless.runs.job import BOUNDS
from padless.runs.trust import Repeated, believed

CALIBRATION = 256  # images that ranges are taken from


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What to write of a run: formats, how INT8 is made, whether Arm's compiler's output is wanted, too.

    Raises UsageError for unknown formats, for calibration out of bounds, and for compiling without TFLite.
    """

    formats: tuple[str, ...] = ("tflite",)
    quantisation: Quantisation = field(default_factory=Quantisation)
    calibration: int = CALIBRATION
    compile: bool = False

    def __post_init__(self) -> None:
        for name in self.formats:
            known_format(name)
        least, most = BOUNDS["calibration"]
        if not least <= self.calibration <= most:
            raise UsageError(f"calibration is from {least} to {most:,}; got {self.calibration}.")
        if self.compile and "tflite" not in self.formats:
            raise UsageError("Only TFLite files are compiled. Add --format tflite.")

    @property
    def needs_images(self) -> bool:
        return any(name in INT8 for name in self.formats)


def export_folder(
    folder: Path, handover: Handover, repeated: Repeated, preprocess: str | None = None
) -> list[Exported]:
    """Write the files of a run into its folder; data (`repeated`) and `preprocess` are the run's own by default.

    Raises UsageError where INT8 is asked for and there are no images, or of one class alone; and for what the folder names
    and the user did not repeat.
    """
    summary = Summary.read(mended(folder))
    target = believed(folder, summary, repeated, prices=False, images=handover.needs_images)
    with claimed(folder):
        loaded = load_model(
            summary.model, input_shape=shapes_of(summary.inputs, summary.model), reading=summary.reading
        )
        images = None
        if handover.needs_images:
            place = repeated.data or summary.data
            if not place:
                raise UsageError(
                    f"{folder} was made without images, and INT8 needs some to see ranges on. Give --data."
                )
            text = preprocess or summary.preprocess
            how = Preprocess.parse(text) if text else loaded.preprocess
            images = load_images(place, shape=sample_shape(summary.inputs, summary.model), preprocess=how)
        small, exported = load(folder, loaded.model), []
        of_int8 = {} if images is None else _calibrated_on(small, images, summary, handover)
        for name in handover.formats:
            options = {"quantisation": handover.quantisation, **of_int8} if name in INT8 else {}
            if name == "tflite":
                options |= {"target": target, "compile": handover.compile}
            with renewed(folder, keep=True) as new:
                file = new / f"model{FORMATS[name]}"
                made = export(small, parse_inputs(summary.inputs), file, seed=summary.seed, **options)
                summary = _record(new, summary, made, handover)  # at once: the next one may fail
            others = tuple(folder / path.name for path in made.others)
            exported.append(replace(made, file=folder / file.name, others=others))
            _compare(summary, exported[-1])
        return exported


def _compare(summary: Summary, exported: Exported) -> None:
    """Say where the file takes more than a budget that the network met."""
    if not exported.cycles:
        return
    fields = {**FROM_ORACLE, "peak_sram_bytes": "peak_sram_bytes"}
    if summary.before["nanoseconds"]:  # the run was counted in time
        del fields["cycles"]
    for budget in summary.budgets:
        field = fields.get(Budget.parse(budget.budget).counted)
        now = getattr(exported.cycles, field) if field else None
        if now is not None and now > budget.asked:
            takes, allowed = (amount(budget.budget, value, summary.before) for value in (now, budget.asked))
            console.print(
                f"{exported.file.name} takes {takes}, and {budget.budget} allows {allowed}: real ranges, or what stands at "
                "its in- and outputs, come on top. Ask for a slightly smaller budget.",
                style="yellow",
            )


def _calibrated_on(small: nn.Module, images: Images, summary: Summary, handover: Handover) -> dict[str, Any]:
    """What `export` is told of the images."""
    if images.train_labels is not None and len(images.train_labels.unique()) < 2:
        raise UsageError(
            f"All training images of {images.name} are of one class: what the network computes on them says little about "
            "others. Calibrate on images of all classes."
        )
    notes: dict[str, Any] = {"model": summary.model, "labels": list(images.names)}
    if images.preprocess:
        notes["normalisation"] = {
            "formula": "(byte * scale - mean) / std, for each colour",
            **asdict(images.preprocess),
        }
    scored = classes_of(small, images) if images.test_labels is not None else None
    return {
        "images": list(images.calibration(handover.calibration, summary.seed)),
        "test": images if scored is not None and scored >= images.classes else None,
        "notes": notes,
    }


def _record(folder: Path, summary: Summary, exported: Exported, handover: Handover) -> Summary:
    """The file's row in `summary.json` and on the page; the accuracy of a TFLite file beside those of the networks."""
    row = written(exported, handover.quantisation)
    files = {**summary.files, exported.file.name: row}
    after: Measures = {**summary.after}
    if row.format == "tflite" and row.accuracy is not None:
        after["accuracy_tflite"] = row.accuracy
    summary = replace(summary, files=files, after=after)
    write_atomically(folder / FILE, summary.to_json())
    if (folder / REPORT).exists():  # a run from Python without a factory, or of an older padless, has none
        write_atomically(folder / PAGE, page(summary, Report.read(folder)))
    return summary
