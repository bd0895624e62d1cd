"""`padless export`: a run's network as the files that are handed over."""

from pathlib import Path
from typing import Annotated

import typer

from padless.cli.app import Data, ModelAgain, PreprocessOption, TargetAgain, Trust, app, out
from padless.deploy import Exported, Quantisation
from padless.errors import UsageError
from padless.report.files import lines
from padless.report.report import Report
from padless.runs.export import CALIBRATION, Handover, export_folder
from padless.runs.overlays import write_overlays
from padless.runs.trust import Repeated
from padless.tflite.calibrated import IO
from padless.tflite.ranges import METHODS

FORMATS_HELP = (
    "tflite (INT8, calibrated and checked in LiteRT), onnx-int8 (QDQ, by ONNX Runtime), onnx or pt2 (floating point)"
)


@app.command("export")
def export_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that `padless prune --out` wrote.")],
    format: Annotated[
        list[str] | None,
        typer.Option("--format", help=f"{FORMATS_HELP}; may be given several times. By default tflite."),
    ] = None,
    data: Data = None,
    preprocess: PreprocessOption = None,
    calibration: Annotated[
        int, typer.Option("--calibration", min=2, help="Training images that the ranges of INT8 are taken from.")
    ] = CALIBRATION,
    ranges: Annotated[
        str,
        typer.Option(
            "--ranges",
            help="mse: the range whose rounding and clipping together err least. percentile: without the outermost "
            "ten-thousandth. minmax: the extremes. ONNX Runtime has no mse and takes the extremes there.",
        ),
    ] = METHODS[0],
    activations: Annotated[
        int, typer.Option("--activations", help="8, or 16 bits for sensitive networks; weights have 8. TFLite alone.")
    ] = 8,
    io: Annotated[
        str, typer.Option("--io", help="Type of in- and outputs: int8, uint8 or float32. TFLite alone.")
    ] = IO[0],
    compile: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="For an Ethos-U also write what Vela makes of it (model_vela.tflite), and that as a C array (model.h) with "
            "the arena's size.",
        ),
    ] = False,
    model: ModelAgain = None,
    target: TargetAgain = None,
    trust: Trust = False,
    node_data: Annotated[
        bool,
        typer.Option(
            "--node-data",
            help="With --format pt2 also write overlays for Model Explorer: time, removable padding and channels kept, by "
            "layer.",
        ),
    ] = False,
) -> None:
    """Write a pruned network as the file that is flashed, and say how faithful it is, measured in its own interpreter.

    Ranges are seen on training images of the run's own data, accuracy is from the test set. For an Ethos-U the compiler's
    cycles for this very file are printed. The folder gets model.tflite, model.int8.onnx, model.onnx or model.pt2.

    Example: `padless export runs/half --format tflite --format onnx-int8 --compile`
    """
    how = Quantisation(ranges=ranges, activations=activations, io=io)
    handover = Handover(
        formats=tuple(dict.fromkeys(format or ["tflite"])), quantisation=how, calibration=calibration, compile=compile
    )
    if node_data and "pt2" not in handover.formats:
        raise UsageError("Overlays are laid over the PyTorch program. Add --format pt2.")
    if node_data:
        Report.read(folder)  # says what is missing before anything is written
    repeated = Repeated(model=model, target=target, data=data, trust=trust)
    show(export_folder(folder, handover, repeated, preprocess))
    for path in write_overlays(folder) if node_data else ():
        out.print(f"Written: {path}", markup=False)


def show(files: list[Exported]) -> None:
    """The lines of each written file."""
    for exported in files:
        for line in lines(exported):
            out.print(line, markup=False)
