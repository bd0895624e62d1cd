"""What was wasted, what is left, what it costs."""

from padless.report.frontier import draw_frontier, frontier
from padless.report.page import page
from padless.report.roofline import roofline_page
from padless.report.staircase import draw, staircases
from padless.report.tables import at_clock, boards, catalogue, layers, target_sheet, totals, who_counted, widths

__all__ = [
    "at_clock", "boards", "catalogue", "draw", "draw_frontier", "frontier", "layers", "page", "roofline_page", "staircases",
    "target_sheet", "totals", "who_counted", "widths",
]  # fmt: skip
