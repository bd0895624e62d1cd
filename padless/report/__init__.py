"""What was wasted, what is left, what it costs."""

from padless.report.page import page
from padless.report.tables import catalogue, layers, target_sheet, totals, widths

__all__ = ["catalogue", "layers", "page", "target_sheet", "totals", "widths"]
