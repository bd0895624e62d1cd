"""Treatments of weights beside widths: which are offered, and what they cost.

A treated layer's cost is asked on a few of its widths, and between them taken in proportion to the untreated one's: the
share that is left is smooth in both widths (measured on Arm's Vela 5.2.0).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from padless.choose.choices import Choices
from padless.cost import CachedOracle
from padless.cost.cycles import Answer
from padless.cost.pricing import Pricing
from padless.errors import UsageError
from padless.graph import Layer, LayerShape
from padless.graph.structure import SHAPE, TreatedShape
from padless.importance import Importance
from padless.optimise.buckets import Array, Factor
from padless.treat.layers import treatable, unfit
from padless.treat.treatment import QUAD, UNTREATED, Treatment, offers

Grid = npt.NDArray[Any]  # of layer shapes, over the levels of the variables that a layer depends on

LATTICE = 4  # widths along each side that are asked about
PROBED = 3  # layers, those that cost most
PAYS = 0.99  # of the untreated cost, at most


def paying(pricing: Pricing, choices: Choices) -> tuple[Treatment, ...]:
    """Those of the treatments that are asked for for which the oracle charges less, tried on the layers that cost most.

    Raises UsageError, with the shares that were seen, where it does for none.
    """
    oracle, graph = pricing.oracle, pricing.graph
    if oracle is None or not oracle.oracle.treats:
        who = "nobody is asked for cycles" if oracle is None else "its oracle does not know what treated weights cost"
        raise UsageError(f"Nothing says what treatments are worth on {pricing.target.id}: {who}. Leave treat out.")
    layers = treatable(graph, pricing.model)
    plain = oracle.attempt([layer.shape for layer in layers])
    spent = [answer.total if isinstance(answer, Answer) else 0 for answer in plain]
    most = [i for i in np.argsort(spent)[::-1][:PROBED] if spent[i]]
    shares: dict[Treatment, float] = {}
    for treatment in offers(choices.treat)[:-1]:
        asked = [i for i in most if not unfit(layers[i], treatment)]
        answers = oracle.attempt([treated(layers[i].shape, treatment) for i in asked])
        both = [(plain[i], answer) for i, answer in zip(asked, answers, strict=True)]
        left = [share for pair in both for share in _shares(*pair)]
        shares[treatment] = min(left, default=1.0)
    worth = [treatment for treatment, share in shares.items() if share <= PAYS]
    if not worth:
        least = min(shares, key=shares.__getitem__, default=UNTREATED)
        raise UsageError(
            f"Treatments do not pay on {pricing.target.id}: with {least} the costliest layers still take "
            f"{100 * shares.get(least, 1.0):.1f} % of their cycles. Leave treat out."
        )
    return tuple(worth)


def treated(shape: LayerShape, treatment: Treatment | str) -> TreatedShape:
    """The question that an oracle is asked."""
    return TreatedShape(**{name: getattr(shape, name) for name in SHAPE}, treatment=str(treatment))


def _shares(plain: object, answer: object) -> list[float]:
    if not (isinstance(plain, Answer) and isinstance(answer, Answer)):
        return []
    return [answer.total / plain.total, answer.npu / plain.npu if plain.npu else 1.0]


def offered_to(curves: Importance) -> dict[str, tuple[str, ...]]:
    """By layer, the treatments that it is offered, the strongest first; the last is none."""
    return {layer: (*losses, str(UNTREATED)) for layer, losses in curves.treated.items()}


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
    grids: Mapping[str, tuple[tuple[str, ...], Grid]],
    offered: Mapping[str, Sequence[str]],
    oracle: CachedOracle | None,
    quantities: Mapping[str, str],
) -> TreatedCosts:
    """Ask about all treatments at once. `grids` are the scopes and shapes of layers, `quantities` the answers' fields."""
    lattices = {name: _lattice(grids[name][1]) for name in offered}
    asked: dict[LayerShape, str] = {}
    for name, treatments in offered.items():
        for shape in lattices[name].shapes.ravel():
            asked.setdefault(shape, name)
            for treatment in treatments[:-1]:
                if _fits(shape, treatment):
                    asked.setdefault(treated(shape, treatment), name)
    assert oracle is not None or not asked
    answers = dict(zip(asked, oracle.attempt(list(asked), asked), strict=True)) if oracle and asked else {}
    shares: dict[str, dict[str, Array]] = {quantity: {} for quantity in quantities}
    for quantity, field in quantities.items():
        for name, treatments in offered.items():
            kinds = [lattices[name].interpolated(answers, t, field) for t in treatments[:-1]]
            shares[quantity][name] = np.stack([*kinds, np.ones(grids[name][1].shape)], axis=-1)
    return TreatedCosts(shares, tuple(_hard(grids, offered)))


def _fits(shape: LayerShape, treatment: str) -> bool:
    return not Treatment.parse(treatment).sparse or shape.c_in % QUAD == 0


def _hard(grids: Mapping[str, tuple[tuple[str, ...], Grid]], offered: Mapping[str, Sequence[str]]) -> list[Factor]:
    """Widths that some treatment does not allow."""
    factors = []
    for name, treatments in offered.items():
        scope, grid = grids[name]
        allowed = np.array([[_fits(shape, t) for t in treatments] for shape in grid.ravel()])
        if not allowed.all():
            table = np.where(allowed, 0.0, np.inf).reshape(*grid.shape, len(treatments))
            factors.append(Factor((*scope, variable(name)), table))
    return factors


@dataclass(frozen=True, slots=True, eq=False)
class _Lattice:
    """Some of a layer's shapes: `places` along each axis of its grid."""

    places: tuple[npt.NDArray[np.int64], ...]
    shapes: Grid
    whole: tuple[int, ...]

    def interpolated(self, answers: Mapping[LayerShape, object], treatment: str, field: str) -> Array:
        """The share that a treatment leaves of each shape's cost; where no answer is known, that of the others."""
        shares = np.array([self._share(answers, shape, treatment, field) for shape in self.shapes.ravel()])
        known = np.isfinite(shares)
        shares[~known] = shares[known].mean() if known.any() else 1.0
        if not self.whole:
            return shares.reshape(())
        between = scipy.interpolate.RegularGridInterpolator(self.places, shares.reshape(self.shapes.shape))
        points = np.stack(np.meshgrid(*(np.arange(n) for n in self.whole), indexing="ij"), axis=-1)
        filled: Array = between(points)
        return filled

    @staticmethod
    def _share(answers: Mapping[LayerShape, object], shape: LayerShape, treatment: str, field: str) -> float:
        plain, answer = answers.get(shape), answers.get(treated(shape, treatment))
        if not (isinstance(plain, Answer) and isinstance(answer, Answer)) or not getattr(plain, field):
            return np.nan
        return float(getattr(answer, field)) / float(getattr(plain, field))


def _lattice(grid: Grid) -> _Lattice:
    places = tuple(np.unique(np.linspace(0, n - 1, LATTICE).round().astype(np.int64)) for n in grid.shape)
    return _Lattice(places, grid[np.ix_(*places)] if places else grid, grid.shape)
