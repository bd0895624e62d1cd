"""The unit of each side of a layer."""

import numpy as np
import numpy.typing as npt

from padless.graph import Layer
from padless.graph.structure import Side
from padless.hardware import Target

Widths = npt.NDArray[np.int64]


class Units:
    """The unit of each side of a layer at each width."""

    def __init__(self, target: Target) -> None:
        self.target, self.varies = target, bool(target.active.rules)
        self.known: dict[tuple[object, ...], int] = {}

    def at(self, layer: Layer, side: Side, width: int) -> int:
        """The multiple that the whole side must be: where groups are narrowed alike, a unit for each."""
        key = (
            layer.kind,
            layer.kernel,
            layer.groups,
            side,
            width if self.varies else 0,
            layer.c_in,
            layer.c_out,
            layer.out_hw,
        )
        unit = self.known.get(key)
        if unit is None:
            units = self.target.units(layer, **{"c_in" if side == "in" else "c_out": width})
            unit = units.input if side == "in" else units.output
            unit *= 1 if layer.kind == "depthwise" else layer.groups
            self.known[key] = unit
        return unit

    def fits(self, layer: Layer, side: Side, sizes: Widths) -> npt.NDArray[np.bool_]:
        if self.varies:
            return np.array([size % self.at(layer, side, size) == 0 for size in sizes.tolist()], dtype=bool)
        fitting: npt.NDArray[np.bool_] = sizes % self.at(layer, side, 0) == 0
        return fitting
