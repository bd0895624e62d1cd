"""Treatments of weights beside widths: what they cost.

A treated layer's cost is asked on a few of its widths, and between them taken in proportion to the untreated one's: the
share that is left is smooth in the logarithms of both widths (measured for Ethos-U55 on Arm's Vela 5.2.0:
`benchmarks/lattice.py`). Where layers alone are no measure, as for Ethos-U85, it is that of computing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from padless.cost import CachedOracle, NetworkCost
from padless.cost.cycles import Answer
from padless.cost.pricing import Pricing
from padless.graph import Layer, LayerShape
from padless.graph.structure import TreatedShape, folded_inputs
from padless.optimise.buckets import Array, Factor
from padless.treat.treatment import QUAD, UNTREATED, Treatment

Grid = npt.NDArray[Any]  # of layer shapes, over the levels of the variables that a layer depends on

LATTICE = 3  # widths along each side that are asked about
FAR = 1.5  # times what layers cost in the network: from there on their costs alone are no measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """By layer, the treatments that it is offered, the strongest first; the last is none.

    With `computing` a treatment leaves of all cycles the share that it leaves of those of computing.
    """

    treatments: Mapping[str, tuple[str, ...]]
    computing: bool = False


def offered_to(treatments: Mapping[str, Iterable[str]], pricing: Pricing, dense: NetworkCost) -> Offered:
    """Treatments by layer as they are offered."""
    each = {layer: (*names, str(UNTREATED)) for layer, names in treatments.items()}
    return Offered(treatments=each, computing=bool(each) and _alone_misleads(pricing, dense))


def _alone_misleads(pricing: Pricing, dense: NetworkCost) -> bool:
    """Whether layers cost far more alone than in the network.

    So they do where a compiler leaves a single layer's maps in slow memory (Ethos-U85): whether it does changes with the
    weights, and the cycles with it by a factor of five.
    """
    assert pricing.oracle is not None
    assert dense.cycles is not None
    within = dense.cycles.operators
    answers = pricing.oracle.attempt([layer.shape for layer in pricing.graph.layers])
    both = [
        (answer.total, within[layer.name])
        for layer, answer in zip(pricing.graph.layers, answers, strict=True)
        if isinstance(answer, Answer) and layer.name in within
    ]
    return sum(alone for alone, _ in both) > FAR * sum(inside for _, inside in both)


def variable(layer: str) -> str:
    """The name of a layer's treatment among the variables of a choice."""
    return f"treatment of {layer}"


@dataclass(frozen=True, slots=True, eq=False)
class TreatedCosts:
    """By layer and treatment, the share of its cost that is left, over the levels of its widths and its treatments."""

    shares: Mapping[str, Mapping[str, Array]]  # quantity -> layer -> [levels..., treatments]
    hard: tuple[Factor, ...]

    def factor(self, quantity: str, layer: Layer, scope: tuple[str, ...], table: Array) -> Factor:
        """A layer's costs, over its treatments, too, where it is offered some."""
        shares = self.shares.get(quantity, {}).get(layer.name)
        if shares is None:
            return Factor(scope, table)
        return Factor((*scope, variable(layer.name)), table[..., None] * shares)


def treated_costs(
    grids: Iterable[tuple[Layer, tuple[str, ...], Grid]],
    offered: Offered | None,
    oracle: CachedOracle | None,
    quantities: Mapping[str, str],
) -> TreatedCosts:
    """Ask about all treatments at once.

    `grids` are layers with the variables that they depend on and their shapes, `quantities` the answers' fields.
    """
    if offered is None or not offered.treatments:
        return TreatedCosts({}, ())
    assert oracle is not None
    treated = [each for each in grids if each[0].name in offered.treatments]
    lattices = {layer.name: _lattice(grid) for layer, _, grid in treated}
    asked: dict[LayerShape, str] = {}
    for layer, _, _ in treated:
        for shape in lattices[layer.name].shapes.ravel():
            asked.setdefault(shape, layer.name)
            for treatment in offered.treatments[layer.name][:-1]:
                if _fits(layer, shape, treatment):
                    asked.setdefault(TreatedShape.of(shape, treatment), layer.name)
    answers = dict(zip(asked, oracle.attempt(list(asked), asked), strict=True))
    shares: dict[str, dict[str, Array]] = {quantity: {} for quantity in quantities}
    for quantity, field in quantities.items():
        counted = "npu" if offered.computing and field == "total" else field
        for layer, _, grid in treated:
            kinds = offered.treatments[layer.name][:-1]
            left = [lattices[layer.name].interpolated(answers, treatment, counted) for treatment in kinds]
            shares[quantity][layer.name] = np.stack([*left, np.ones(grid.shape)], axis=-1)
    return TreatedCosts(shares, tuple(_hard(treated, offered)))


def _fits(layer: Layer, shape: LayerShape, treatment: str) -> bool:
    """Whether a layer of such widths may have a treatment: a removed one has none."""
    if shape.removed:
        return Treatment.parse(treatment) == UNTREATED
    return not Treatment.parse(treatment).sparse or shape.c_in // folded_inputs(layer) % QUAD == 0


def _hard(treated: Iterable[tuple[Layer, tuple[str, ...], Grid]], offered: Offered) -> Iterator[Factor]:
    """Widths that some treatment does not allow."""
    for layer, scope, grid in treated:
        treatments = offered.treatments[layer.name]
        inputs = {shape.c_in: shape for shape in grid.ravel()}
        fits = {c_in: [_fits(layer, shape, each) for each in treatments] for c_in, shape in inputs.items()}
        allowed = np.array([fits[shape.c_in] for shape in grid.ravel()])
        if not allowed.all():
            table = np.where(allowed, 0.0, np.inf).reshape(*grid.shape, len(treatments))
            yield Factor((*scope, variable(layer.name)), table)


def share_of(plain: object, answer: object, field: str) -> float:
    """What is left of a cost; NaN where it is not known."""
    if not (isinstance(plain, Answer) and isinstance(answer, Answer)):
        return np.nan
    if not getattr(plain, field) or getattr(answer, field) is None:
        return np.nan
    return float(getattr(answer, field)) / float(getattr(plain, field))


@dataclass(frozen=True, slots=True, eq=False)
class _Lattice:
    """Some of a layer's shapes: `places` along each axis of its grid, whose levels lie at `sizes`."""

    places: tuple[npt.NDArray[np.int64], ...]
    sizes: tuple[Array, ...]
    shapes: Grid

    def interpolated(self, answers: Mapping[LayerShape, object], treatment: str, field: str) -> Array:
        """The share that a treatment leaves of each shape's cost; where no answer is known, that of the others."""
        pairs = [(answers.get(s), answers.get(TreatedShape.of(s, treatment))) for s in self.shapes.ravel()]
        shares = np.array([share_of(*pair, field) for pair in pairs])
        known = np.isfinite(shares)
        shares[~known] = shares[known].mean() if known.any() else 1.0
        if not self.sizes:
            return shares.reshape(())
        asked = [sizes[at] for sizes, at in zip(self.sizes, self.places, strict=True)]
        between = scipy.interpolate.RegularGridInterpolator(
            asked, shares.reshape(self.shapes.shape), bounds_error=False, fill_value=1.0
        )
        filled: Array = between(np.stack(np.meshgrid(*self.sizes, indexing="ij"), axis=-1))
        return filled


def _lattice(grid: Grid) -> _Lattice:
    """Widths in equal ratios: shares change most where layers are narrow."""
    sizes = tuple(_sizes(grid, axis) for axis in range(grid.ndim))
    places = tuple(
        np.unique(np.abs(at[:, None] - np.linspace(at[np.isfinite(at)][0], at[-1], LATTICE)).argmin(0)) for at in sizes
    )
    return _Lattice(places, sizes, grid[np.ix_(*places)] if places else grid)


def _sizes(grid: Grid, axis: int) -> Array:
    """[levels] the logarithms of a layer's size along an axis; that of no channels lies below all."""
    line = np.moveaxis(grid, axis, 0).reshape(grid.shape[axis], -1)[:, -1]
    return np.array([-np.inf if shape.removed else np.log(shape.c_in * shape.c_out) for shape in line])
