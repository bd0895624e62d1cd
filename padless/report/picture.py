"""The canvas that pictures are drawn on, the colours they are drawn in, and the one style that they share."""

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
GREY: Final = "#666666"
GRID: Final = "#E3E3E3"
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
    """The figure as PNG, or as another `kind` of file that matplotlib writes, such as svg; in the style of all pictures."""
    for axes in figure.axes:
        _styled(axes)
    buffer = BytesIO()
    figure.savefig(buffer, dpi=DPI, format=kind.lower())
    return buffer.getvalue()


def _styled(axes: Any) -> None:
    """Quiet axes: two thin sides, a grid of pale lines behind the data, small numbers, a title at the left."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set(color=GREY, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.yaxis.grid(visible=True, color=GRID, linewidth=0.7)
    axes.tick_params(labelsize=8, color=GREY, labelcolor=GREY)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(fontsize=9, color=GREY)
    title = axes.get_title()
    axes.set_title("")
    axes.set_title(title, loc="left", fontsize=10, parse_math=False)
