"""A user's own table of costs: `csv FILE`, or `csv FILE interpolate` for widths between those of the table."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.interpolate import LinearNDInterpolator

from padless.cost.cycles import Answer, Source
from padless.cost.oracle import Oracle
from padless.errors import OracleError, UsageError
from padless.graph import LayerShape
from padless.hardware import Target

NEEDED = ("h", "w", "cin", "cout", "k")
DEFAULTS = {"stride": 1, "groups": 1, "dilation": 1}
UNITS: dict[str, tuple[Literal["cycles", "ns"], float]] = {
    "cycles": ("cycles", 1), "ns": ("ns", 1), "us": ("ns", 1e3), "ms": ("ns", 1e6)
}  # fmt: skip
_Setting = tuple[object, ...]  # all of a layer but its widths
_Widths = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Row:
    setting: _Setting
    widths: _Widths
    cost: float


class Table(Oracle):
    """Columns: h, w (of the input map), cin, cout, k, one of cycles, ns, us, ms; and, where they are not 1, stride, groups,
    dilation. A depthwise layer has as many groups as channels; a linear layer is a 1x1 kernel on a 1x1 map.

    A layer that is not in the table is an OracleError, unless interpolation was asked for and the table has widths
    around it. Raises UsageError where the file cannot be read as such a table.
    """

    def __init__(self, target: Target, argument: str = "") -> None:
        name, _, mode = argument.rpartition(" ")
        if mode != "interpolate":
            name, mode = argument, ""
        if not name:
            raise UsageError("Write --oracle 'csv FILE' or 'csv FILE interpolate'.")
        self.interpolate, self.file = bool(mode), Path(name.strip())
        rows, unit = _read(self.file)
        self._settings: dict[_Setting, dict[_Widths, float]] = {}
        for row in rows:
            self._settings.setdefault(row.setting, {})[row.widths] = row.cost
        self.source = Source(oracle="csv", device=self.file.name, system="interpolated" if mode else "", unit=unit)

    def __call__(self, shapes: Sequence[LayerShape]) -> list[Answer]:
        costs = [round(self._cost(shape)) for shape in shapes]
        return [Answer(source=self.source, total=cost, npu=cost) for cost in costs]

    def has(self, shape: LayerShape) -> bool:
        """Whether the table has a row for exactly this layer."""
        return (shape.c_in, shape.c_out) in self._settings.get(_setting(shape), {})

    def _cost(self, shape: LayerShape) -> float:
        if shape.three_dimensional or shape.kernel[0] != shape.kernel[1] or shape.transposed:
            raise OracleError(f"{self.file} has square kernels in two dimensions only, and none of {shape}.")
        setting, widths = _setting(shape), (shape.c_in, shape.c_out)
        table = self._settings.get(setting, {})
        if widths in table:
            return table[widths]
        if not self.interpolate:
            raise OracleError(
                f"{self.file} has no row for {shape}. Add it, or allow widths between others with 'csv FILE interpolate'."
            )
        cost = _between(table, widths, shape.kind == "depthwise")
        if cost is None:
            raise OracleError(f"{self.file} has no rows around {shape} to interpolate between.")
        return cost


def _setting(shape: LayerShape) -> _Setting:
    groups = "all" if shape.kind == "depthwise" else shape.groups
    return (*shape.in_hw, shape.kernel[0], shape.stride[0], shape.dilation[0], groups)


def _between(table: dict[_Widths, float], widths: _Widths, depthwise: bool) -> float | None:
    """The cost at widths inside those of the table: linear along one side, over triangles along both."""
    points, costs = np.array([*table], dtype=float).reshape(-1, 2), np.array([*table.values()])
    for side in (0, 1):  # the other side is the same, or (depthwise) follows
        line = np.ones(len(points), dtype=bool) if depthwise else points[:, 1 - side] == widths[1 - side]
        xs, ys = points[line, side], costs[line]
        if len(xs) > 1 and xs.min() <= widths[side] <= xs.max():
            order = np.argsort(xs)
            return float(np.interp(widths[side], xs[order], ys[order]))
    if len(points) < 3 or np.linalg.matrix_rank(points - points[0]) < 2:
        return None
    cost = float(LinearNDInterpolator(points, costs)(*widths))
    return None if np.isnan(cost) else cost


def _read(file: Path) -> tuple[list[_Row], Literal["cycles", "ns"]]:
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            reader = csv.DictReader(opened)
            columns = [re.sub(r"\s", "", name).lower() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            costs = [name for name in columns if name in UNITS]
            if len(costs) != 1 or not set(NEEDED) <= set(columns):
                raise UsageError(
                    f"{file} has the columns {', '.join(columns) or 'none'}. Needed: {', '.join(NEEDED)} and one of "
                    f"{', '.join(UNITS)}; where not 1: {', '.join(DEFAULTS)}."
                )
            unit, factor = UNITS[costs[0]]
            return [_row(file, reader.line_num, row, costs[0], factor) for row in reader], unit
    except OSError as error:
        raise UsageError(f"Cannot read the cost table {file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is no text in UTF-8.") from error


def _row(file: Path, line: int, row: dict[str, str], cost: str, factor: float) -> _Row:
    try:
        h, w, cin, cout, k = (int(row[name]) for name in NEEDED)
        stride, groups, dilation = (int(row.get(name) or default) for name, default in DEFAULTS.items())
        value = float(row[cost]) * factor
        if not value >= 0:
            raise ValueError
    except (TypeError, ValueError):
        raise UsageError(f"{file}, line {line}: whole numbers and a cost of 0 or more are expected.") from None
    kind = "all" if groups > 1 and groups == cin else groups
    return _Row((h, w, k, stride, dilation, kind), (cin, cout), value)
