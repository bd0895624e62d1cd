"""The canvas that pictures are drawn on, and the colours they are drawn in."""

from io import BytesIO
from pathlib import Path
from typing import Any, Final

from padless.errors import missing_extra
from padless.files import check_output

# Okabe and Ito's, which colour-blind readers can tell apart.
COLOURS: Final = {
    "black": "#000000", "orange": "#E69F00", "sky blue": "#56B4E9", "green": "#009E73", "yellow": "#F0E442",
    "blue": "#0072B2", "vermilion": "#D55E00", "purple": "#CC79A7",
}  # fmt: skip
DPI = 110


KINDS: Final = ("png", "svg", "pdf", "jpg", "jpeg", "webp", "tif", "tiff", "eps", "ps")


def check_picture(file: Path | None, what: str) -> None:
    """Raises UsageError, before work is done, where a picture cannot be drawn, or not written to `file`."""
    check_output(file, KINDS)
    if file is not None:
        canvas(what)


def canvas(what: str, **figure_arguments: Any) -> Any:
    """An empty matplotlib figure that needs no screen; `figure_arguments` are its own, such as `figsize` in inches.

    Raises UsageError without matplotlib, saying that `what` (such as "Drawing staircases") needs it.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise missing_extra("matplotlib", "plots", what) from error
    figure = Figure(layout="constrained", **figure_arguments)
    FigureCanvasAgg(figure)
    return figure


def png(figure: Any, kind: str = "png") -> bytes:
    """The figure as PNG, or as another `kind` of file that matplotlib writes, such as svg."""
    buffer = BytesIO()
    figure.savefig(buffer, dpi=DPI, format=kind.lower())
    return buffer.getvalue()
