"""Layer shapes as the rows of a cost table that are to be filled in."""

from collections.abc import Mapping

from padless.errors import UsageError
from padless.graph import LayerShape
from padless.report.markdown import csv_table

COLUMNS = (
    "layer", "h", "w", "cin", "cout", "kh", "kw", "sh", "sw", "dh", "dw", "groups", "transposed", "oh", "ow",
)  # fmt: skip


def shapes_csv(shapes: Mapping[LayerShape, str], unit: str) -> str:
    """A row a shape, in the columns that `csv FILE` reads; the last one, called `unit`, is empty.

    Raises UsageError for layers in three dimensions, for which a table has no rows.
    """
    volumes = sorted({layer for shape, layer in shapes.items() if shape.three_dimensional})
    if volumes:
        raise UsageError(
            f"A table has no rows for layers in three dimensions, which {', '.join(volumes[:5])} are. "
            "Give an oracle of your own in Python."
        )
    rows = [
        (layer, *shape.in_hw, shape.c_in, shape.c_out, *shape.kernel, *shape.stride, *shape.dilation, shape.groups,
         int(shape.transposed), *shape.out_hw, "")
        for shape, layer in shapes.items()
    ]  # fmt: skip
    return csv_table((*COLUMNS, unit), rows)
