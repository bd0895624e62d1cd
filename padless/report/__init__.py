"""What was wasted, what is left, what it costs."""

from padless.report.tables import catalogue, layers, target_sheet, totals

__all__ = ["catalogue", "layers", "target_sheet", "totals"]
