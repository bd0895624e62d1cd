"""A user's own table of costs: `csv FILE`, or `csv FILE interpolate` for widths between those of the table."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import scipy

from padless.cost.cycles import Answer, Source
from padless.cost.oracle import MOST, Oracle
from padless.errors import LayersError, UsageError
from padless.files import regular
from padless.graph import LayerShape
from padless.hardware import Target

# A pair may be one column where both sides are equal: kernel, stride, dilation. Those that are left out are 1.
PAIRS = {"k": ("kh", "kw"), "stride": ("sh", "sw"), "dilation": ("dh", "dw")}
NEEDED = ("h", "w", "cin", "cout")
OPTIONAL = ("stride (or sh, sw)", "dilation (or dh, dw)", "groups", "transposed (0 or 1)", "oh, ow")
UNITS: dict[str, tuple[Literal["cycles", "ns"], float]] = {
    "cycles": ("cycles", 1), "ns": ("ns", 1), "us": ("ns", 1e3), "ms": ("ns", 1e6)
}  # fmt: skip
_Setting = tuple[object, ...]  # all of a layer but its widths
_Widths = tuple[int, int]


class Table(Oracle):
    """Columns: h, w (of the input map), cin, cout, k (or kh, kw), one of cycles, ns, us, ms; and, where they are not 1,
    stride (or sh, sw), groups, dilation (or dh, dw). A depthwise layer has as many groups as channels; a linear layer is a
    1x1 kernel on a 1x1 map. `oh, ow` are of the output map: where they are left out, a row is for every padding.
    `transposed` is 1 for a transposed convolution. A row without a cost is one that is not measured yet.

    Layers that are not in the table are a LayersError that names all of them, unless interpolation was asked for and the
    table has widths around them. Raises UsageError where the file cannot be read as such a table.
    """

    def __init__(self, target: Target, argument: str = "") -> None:
        name, _, mode = argument.rpartition(" ")
        if mode != "interpolate":
            name, mode = argument, ""
        if not name:
            raise UsageError("Write --oracle 'csv FILE' or 'csv FILE interpolate'.")
        self.interpolate, self.file = bool(mode), Path(name.strip())
        self._rows = read_table(self.file)
        self.source = Source(
            oracle="csv", device=self.file.name, system="interpolated" if mode else "", unit=self._rows.unit
        )

    def __call__(self, shapes: Sequence[LayerShape]) -> list[Answer]:
        costs = [self._cost(shape) for shape in shapes]
        missing = {shape: _described(shape) for shape, cost in zip(shapes, costs, strict=True) if cost is None}
        if missing:
            around = " around" if self.interpolate else ""
            other = "" if self.interpolate else ", or allow widths between others with 'csv FILE interpolate'"
            raise LayersError(
                f"{self.file} has no row{around} for {len(missing)} of {len(shapes)} layers",
                missing,
                f"Add them{other}. `padless shapes MODEL --target ID --oracle 'csv {self.file}'` lists all that a prune "
                "will ask for and that are not in the table.",
            )
        whole = [round(cost) for cost in costs if cost is not None]
        return [Answer(source=self.source, total=cost, npu=cost) for cost in whole]

    def has(self, shape: LayerShape) -> bool:
        """Whether the table has a row for exactly this layer."""
        return (shape.c_in, shape.c_out) in self._rows.costs(shape)

    def _cost(self, shape: LayerShape) -> float | None:
        widths, table = (shape.c_in, shape.c_out), self._rows.costs(shape)
        if widths in table or not self.interpolate:
            return table.get(widths)
        return _between(table, widths, shape.kind == "depthwise")


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table: what each setting costs at each pair of widths, and in which unit."""

    unit: Literal["cycles", "ns"]
    by_setting: dict[_Setting, dict[_Widths, float]]
    outputs: bool  # whether the output maps are told

    def costs(self, shape: LayerShape) -> dict[_Widths, float]:
        """The rows of layers that differ from this one in their widths alone."""
        return self.by_setting.get(_setting(shape, self.outputs), {})


def _setting(shape: LayerShape, outputs: bool) -> _Setting:
    groups = "all" if shape.groups == shape.c_in > 1 else shape.groups
    sizes = (shape.in_hw, shape.kernel, shape.stride, shape.dilation, shape.out_hw if outputs else ())
    return (*sizes, groups, shape.transposed)


def _described(shape: LayerShape) -> str:
    """A layer with all that a row says of it."""
    more = [f"{name} {'x'.join(map(str, pair))}" for name, pair in (("stride", shape.stride), ("dilation", shape.dilation))
            if set(pair) != {1}]  # fmt: skip
    more += [f"{shape.groups} groups"] * (shape.kind == "grouped") + ["transposed"] * shape.transposed
    return ", ".join([str(shape), *more])


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
    cost = float(scipy.interpolate.LinearNDInterpolator(points, costs)(*widths))
    return None if np.isnan(cost) else cost


def read_table(file: Path) -> Rows:
    """The rows of a file that have a cost. Raises UsageError for a file that is no such table."""
    try:
        with regular(file).open(newline="", encoding="utf-8-sig") as opened:  # Excel writes a byte-order mark
            reader = csv.DictReader(opened)
            columns = [re.sub(r"\s", "", name).lower() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            costs = [name for name in columns if name in UNITS]
            kernel = "k" in columns or {"kh", "kw"} <= set(columns)
            if len(costs) != 1 or not set(NEEDED) <= set(columns) or not kernel:
                raise UsageError(
                    f"{file} has the columns {', '.join(columns) or 'none'}. Needed: {', '.join(NEEDED)}, k (or kh, kw) and "
                    f"one of {', '.join(UNITS)}; where not 1: {', '.join(OPTIONAL)}."
                )
            (unit, factor), outputs = UNITS[costs[0]], {"oh", "ow"} <= set(columns)
            settings: dict[_Setting, dict[_Widths, float]] = {}
            for row in reader:
                if row[costs[0]] is None or row[costs[0]].strip():  # None: the line has too few cells
                    setting, widths, cost = _row(file, reader.line_num, row, costs[0], outputs)
                    if settings.setdefault(setting, {}).setdefault(widths, cost * factor) != cost * factor:
                        raise UsageError(
                            f"{file}, line {reader.line_num}: an earlier line has the same layer with another cost. "
                            "Leave one, or tell them apart by oh and ow."
                        )
            return Rows(unit, settings, outputs)
    except OSError as error:
        raise UsageError(f"Cannot read the cost table {file}: {error.strerror}.") from error
    except csv.Error as error:
        raise UsageError(f"{file} is no table: {error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is no text in UTF-8.") from error


def _row(file: Path, line: int, row: dict[str, str], cost: str, outputs: bool) -> tuple[_Setting, _Widths, float]:
    try:
        h, w, cin, cout = (int(row[name]) for name in NEEDED)
        kernel, stride, dilation = (_pair(row, whole, sides) for whole, sides in PAIRS.items())
        groups, transposed = int(row.get("groups") or 1), bool(int(row.get("transposed") or 0))
        out_hw = (int(row["oh"]), int(row["ow"])) if outputs else ()
        value = float(row[cost])
        if not 0 <= value < MOST or min(h, w, cin, cout, groups, *kernel, *stride, *dilation, *out_hw) < 1:
            raise ValueError
    except (TypeError, ValueError):
        raise UsageError(
            f"{file}, line {line}: whole numbers from 1 up and a cost from 0 to {MOST:,} are expected."
        ) from None
    kind = "all" if groups == cin > 1 else groups
    return ((h, w), kernel, stride, dilation, out_hw, kind, transposed), (cin, cout), value


def _pair(row: dict[str, str], whole: str, sides: tuple[str, str]) -> tuple[int, int]:
    """Rows and columns of a kernel, a stride or a dilation: two columns, or one for both; without them 1, but the kernel."""
    for side in sides:
        if row.get(side) and row.get(whole) and int(row[side]) != int(row[whole]):
            raise ValueError  # both are told, and they contradict each other
    down, across = (row.get(side) or row.get(whole) or ("" if whole == "k" else "1") for side in sides)
    return int(down), int(across)
