"""Finding an NPU's units without its manual: sweep one width, and see where the cost steps.

A unit u makes cost a staircase, a + b * ceil(width / u). Each candidate u is fitted by least absolute deviations, so that a
compiler that changes its mind for a few widths does not bend the line; the closest fit is the unit if its edges are where
the cost rises: they carry most of the rise, and far more of it than their number explains.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from padless.cost.cycles import Source
from padless.cost.oracle import CachedOracle, OracleLike
from padless.errors import UsageError
from padless.graph import LayerShape

Swept = Literal["output", "input", "depthwise"]
SIDES: tuple[Swept, ...] = ("output", "input", "depthwise")
FEWEST = 12  # widths that a staircase can be seen in
SHARE, LIFT = (
    0.45,
    2.5,
)  # of the rise that must fall on a unit's edges; times more than chance (or halfway from there to all)
NOTICEABLE = 0.02  # of the largest cost
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dip:
    """Widths that cost more than a wider one does: `wider` is the cheapest of those."""

    first: int
    last: int
    wider: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Staircase:
    """One swept side, and what can be read off it. Costs are without waiting for outer memory where that is known."""

    side: Swept
    widths: tuple[int, ...]
    costs: tuple[int, ...]
    source: Source
    unit: int | None  # None: no staircase
    share: float = 0.0  # of the whole rise that falls on the unit's edges
    chance: float = 0.0  # the share of all steps that are its edges
    misfit_percent: float = 0.0  # mean distance from the fitted staircase, of the range of costs
    next_best: int | None = None  # the unit that fits second best, multiples and parts included
    dips: tuple[Dip, ...] = ()
    rises: tuple[int, ...] = ()  # widths at which the cost rises noticeably off the unit's edges

    @property
    def evidence(self) -> str:
        """Why this unit, in a sentence."""
        if self.unit is None:
            return "no staircase: the cost follows something else than this width, or every channel counts"
        return (
            f"its edges are {self.chance:.0%} of the steps and carry {self.share:.0%} of the rise; the costs lie "
            f"{self.misfit_percent:.1f} % of their range off its staircase (next best: {self.next_best})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What stays the same in a sweep."""

    kernel: int = 3
    hw: int = 16
    other: int = 64  # channels on the side that is not swept
    widths: Sequence[int] = field(default_factory=lambda: range(1, 129))

    def shape(self, side: Swept, width: int) -> LayerShape:
        c_in, c_out = {"output": (self.other, width), "input": (width, self.other)}.get(side, (width, width))
        return LayerShape(
            kind="depthwise" if side == "depthwise" else "conv",
            c_in=c_in,
            c_out=c_out,
            groups=width if side == "depthwise" else 1,
            kernel=(self.kernel, self.kernel),
            stride=(1, 1),
            dilation=(1, 1),
            in_hw=(self.hw, self.hw),
            out_hw=(self.hw, self.hw),
        )


def probe(oracle: OracleLike, setting: Setting, sides: Sequence[Swept] = SIDES) -> list[Staircase]:
    """Sweep each side and infer its unit. Layers that the oracle does not have (`Oracle.has`) are passed over.

    Raises UsageError where it knows too few widths for a staircase.
    """
    cached = CachedOracle(oracle)
    known = {side: [w for w in setting.widths if cached.oracle.has(setting.shape(side, w))] for side in sides}
    if short := {side: len(widths) for side, widths in known.items() if 0 < len(widths) < FEWEST}:
        side, n = next(iter(short.items()))
        raise UsageError(f"{n} widths of the {side} are too few to see a staircase; at least {FEWEST} are needed.")
    shapes = [setting.shape(side, w) for side, widths in known.items() for w in widths]
    if not shapes:
        raise UsageError(
            f"The oracle knows no {setting.kernel}x{setting.kernel} layer on a {setting.hw}x{setting.hw} map with "
            f"{setting.other} channels on the other side. Change --kernel, --hw or --other."
        )
    stairs, answers = [], iter(cached.shapes(shapes))
    for side, widths in known.items():
        if widths:
            costs = [next(answers) for _ in widths]
            stairs.append(infer(side, widths, [answer.npu for answer in costs], costs[0].source))
    return stairs


def infer(side: Swept, widths: Sequence[int], costs: Sequence[int], source: Source) -> Staircase:
    """The unit that a sweep shows. Widths ascend; gaps are allowed."""
    n, f = np.array(widths), np.array(costs, dtype=float)
    whole = Staircase(side=side, widths=tuple(widths), costs=tuple(costs), source=source, unit=None, dips=_dips(n, f))
    if f.max() - f.min() <= NOTICEABLE * f.max():
        return whole
    candidates = np.arange(1, int(n[-1] - n[0]) // 2 + 1)
    misfits = dict(zip(candidates.tolist(), _misfits(np.ceil(n / candidates[:, None]), f).tolist(), strict=True))
    ranked = sorted(misfits, key=lambda u: (round(misfits[u], 6), -u))  # of equal fits (sparse widths) the coarsest
    unit = ranked[0]
    rise = np.maximum(np.diff(f), 0)
    edges = np.diff(np.ceil(n / unit)) > 0
    share, chance = float(rise[edges].sum() / rise.sum()), float(edges.mean())
    if unit == 1 or share < max(SHARE, min(LIFT * chance, (1 + chance) / 2)):
        return whole
    strange = (rise > NOTICEABLE * f.max()) & ~edges
    return Staircase(
        side=side,
        widths=whole.widths,
        costs=whole.costs,
        source=source,
        unit=unit,
        share=share,
        chance=chance,
        misfit_percent=100 * misfits[unit],
        next_best=ranked[1],
        dips=whole.dips,
        rises=tuple(int(w) for w in n[1:][strange]),
    )


def _misfits(x: Floats, f: Floats) -> Floats:
    """For each row of x the mean distance of the costs from a line through it, as a share of their range.

    Least absolute deviations, by iteratively reweighted squares.
    """
    weights, off = np.ones_like(x), np.broadcast_to(f, x.shape)
    for _ in range(40):
        total = weights.sum(1, keepdims=True)
        mean_x, mean_f = ((weights * y).sum(1, keepdims=True) / total for y in (x, f))
        spread = (weights * (x - mean_x) ** 2).sum(1, keepdims=True)
        slope = (weights * (x - mean_x) * (f - mean_f)).sum(1, keepdims=True) / np.maximum(spread, 1e-12)
        off = np.abs(f - mean_f - slope * (x - mean_x))
        weights = 1 / np.maximum(off, 1e-4 * f.max())
    misfits: Floats = off.mean(1) / (f.max() - f.min())
    return misfits


def _dips(n: npt.NDArray[np.int64], f: Floats) -> tuple[Dip, ...]:
    """Ranges of widths that a wider one undercuts noticeably."""
    dips: list[Dip] = []
    for i in range(len(n) - 1):
        best = i + 1 + int(np.argmin(f[i + 1 :]))
        if f[best] < f[i] - NOTICEABLE * f.max():
            if dips and dips[-1].last == n[i - 1] and dips[-1].wider == n[best]:
                dips[-1] = Dip(first=dips[-1].first, last=int(n[i]), wider=int(n[best]))
            else:
                dips.append(Dip(first=int(n[i]), last=int(n[i]), wider=int(n[best])))
    return tuple(dips)
