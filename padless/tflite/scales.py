"""A scale and a zero point for each activation, as operators and the runtime want them to agree."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import numpy as np

from padless.tflite.file import Operator
from padless.tflite.lowered import Lowered

Quantity = tuple[float, int]  # scale, zero point
Range = tuple[float, float]

# Operators whose in- and outputs share scale and zero point.
SAME: Final = frozenset(
    [
        "AVERAGE_POOL_2D", "GATHER", "MAX_POOL_2D", "MIRROR_PAD", "PAD", "PADV2", "REDUCE_MAX",
        "REDUCE_MIN", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "STRIDED_SLICE", "TILE", "TRANSPOSE",
    ]
)  # fmt: skip
# The same, but what goes in may be far wider than what comes out, or narrower.
NEAR: Final = frozenset(["CONCATENATION", "MAXIMUM", "MINIMUM"])
# What the runtime insists on for an operator's result, in 8 and in 16 bits.
FIXED: Final[Mapping[str, tuple[Quantity, Quantity]]] = {
    "LOGISTIC": ((1 / 256, -128), (1 / 32768, 0)),
    "SOFTMAX": ((1 / 256, -128), (1 / 32768, 0)),
    "LOG_SOFTMAX": ((16 / 256, 127), (16 / 32768, 0)),
    "TANH": ((1 / 128, 0), (1 / 32768, 0)),
}
SMALLEST: Final = 1e-20  # scale; products of two must stay numbers
WIDEST: Final = 2.0  # how much wider the shared range of joined parts may be than a part's own


class Scales:
    """The classes of activations that share one range: a union-find over the operators of a network.

    Operators of `SAME` join in- and outputs; those of `NEAR` where nothing gets a range that is more than twice its own. For
    the others `of` differs from that of the result, and QUANTIZE, which saturates, has to stand between.
    """

    def __init__(self, lowered: Lowered, ranges: Mapping[int, Range], bits: int) -> None:
        self._builder, self._bits = lowered.builder, bits
        builder = lowered.builder
        self._parent = list(range(len(builder.tensors)))
        self._range = {index: (min(low, 0.0), max(high, 0.0)) for index, (low, high) in ranges.items()}
        self._saturate(lowered)
        self._narrowest = {index: high - low for index, (low, high) in self._range.items()}
        self._fixed = {op.outputs[0]: FIXED[op.code][bits == 16] for op in builder.operators if op.code in FIXED}
        for op in builder.operators:
            if op.code in SAME:
                for part in self._parts(op):
                    self._join(part, op.outputs[0])
        for op in builder.operators:
            if op.code in NEAR:
                for part in self._parts(op):
                    self._join(part, op.outputs[0], WIDEST)

    def of(self, index: int) -> Quantity:
        """Scale and zero point of an activation."""
        root = self._find(index)
        if root in self._fixed:
            return self._fixed[root]
        low, high = self._range.get(root, (0.0, 0.0))
        if self._bits == 16:
            largest = max(-low, high)
            return float(np.float32(max((largest or 1.0) / 32767, SMALLEST))), 0
        scale = float(np.float32(max((high - low or 1.0) / 255, SMALLEST)))
        return scale, int(np.clip(round(-128 - low / scale), -128, 127))

    def _saturate(self, lowered: Lowered) -> None:
        """What only a clamp reads is stored as the clamp leaves it: what lies beyond saturates."""
        outputs = {port.tensor for port in lowered.outputs}
        readers = Counter(index for op in lowered.builder.operators for index in set(op.inputs))
        for op in reversed(lowered.builder.operators):
            if op.code in ("MAXIMUM", "MINIMUM"):
                parts, (out,) = self._parts(op), op.outputs
                if len(parts) == 1 and readers[parts[0]] == 1 and parts[0] not in outputs and out in self._range:
                    self._range[parts[0]] = self._range[out]

    def _parts(self, op: Operator) -> list[int]:
        return [i for i in op.inputs if self._builder.tensors[i].data is None]

    def _find(self, index: int) -> int:
        while self._parent[index] != index:
            index = self._parent[index]
        return index

    def _join(self, part: int, whole: int, widest: float = np.inf) -> None:
        """One class for both, unless a fixed scale cannot hold the other's numbers, or a part's range grew too wide."""
        a, b = self._find(part), self._find(whole)
        if a == b:
            return
        together = self._union(a, b)
        width = together[1] - together[0]
        narrowest = min(self._narrowest.get(r, np.inf) for r in (a, b))
        fixed = {self._fixed[r] for r in (a, b) if r in self._fixed}
        if len(fixed) > 1 or width > widest * narrowest:
            return
        if any(not self._holds(quantity, together) for quantity in fixed):
            return
        self._parent[a] = b
        self._range[b], self._narrowest[b] = together, narrowest
        if fixed:
            self._fixed[b] = fixed.pop()

    def _union(self, a: int, b: int) -> Range:
        ranges = [self._range[r] for r in (a, b) if r in self._range]
        return min((low for low, _ in ranges), default=0.0), max((high for _, high in ranges), default=0.0)

    def _holds(self, quantity: Quantity, numbers: Range) -> bool:
        scale, zero = quantity
        half = 2 ** (self._bits - 1)
        return bool(numbers[0] >= scale * (-half - zero - 1) and numbers[1] <= scale * (half - zero))
