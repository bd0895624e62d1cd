"""What every choice of widths costs: per layer a table over its input and output widths, from any oracle.

The variables are the channel groups that may be cut, each with its feasible widths. An axis on which several groups lie (a
concatenation) is indexed by their sum, which is a variable of its own: the previous sum plus the next width, so that axes
that begin alike share it, and a dense block remains a chain.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from padless.align import Levels
from padless.align.units import Widths
from padless.choose.budget import FLASH, PEAKS
from padless.choose.treated import Offered, treated_costs, variable
from padless.cost import CachedOracle
from padless.cost.charged import Field
from padless.cost.memory import value_bytes
from padless.cost.padding import padding
from padless.cut.branches import Branches
from padless.errors import UsageError
from padless.graph import Graph, Layer, LayerShape
from padless.graph.liveness import moments
from padless.graph.structure import SIDES, Side
from padless.hardware import Target
from padless.optimise.buckets import Array, Factor

MOST = 32  # widths a group is offered: of more, evenly spaced ones
WIDE, MOST_WIDE = 512, 16  # channels of a group that is offered fewer: the pairs of wide groups are most of the queries
COUNTED = ("macs", "padded_macs", "weight_bytes", "padded_weight_bytes")
FROM_ORACLE: dict[str, Field] = {"cycles": "total", "npu_cycles": "npu", FLASH: "flash_bytes"}  # fields of an answer
SHARED = (FLASH, "weight_bytes", "padded_weight_bytes")  # what a second call of a layer does not take again
WHOLE = (*FROM_ORACLE, *PEAKS)  # what the network as a whole may cost otherwise than the tables say


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tables:
    """`widths` are the levels of each group; `sums` the values of each running sum.

    `costs` has, per quantity and layer, a table over the levels of the variables that the layer depends on.
    """

    widths: Mapping[str, Widths]
    sums: Mapping[str, Widths]
    hard: tuple[Factor, ...]
    costs: Mapping[str, tuple[Factor, ...]]
    peaks: tuple[tuple[Factor, ...], ...] = ()  # what lives at each moment, in bytes: the most of them counts
    treatments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # that layers are offered; the last is none

    @property
    def sizes(self) -> dict[str, int]:
        sizes = {v: len(values) for v, values in (*self.widths.items(), *self.sums.items())}
        return sizes | {variable(layer): len(treatments) for layer, treatments in self.treatments.items()}

    def treated(self, chosen: Mapping[str, str]) -> "Tables":
        """The choice of widths that is left once each layer has its treatment in `chosen`, or none."""
        levels = {variable(name): all.index(chosen.get(name, all[-1])) for name, all in self.treatments.items()}

        def given(factors: Iterable[Factor]) -> tuple[Factor, ...]:
            return tuple(
                Factor(
                    tuple(v for v in f.scope if v not in levels),
                    f.table[tuple(levels.get(v, slice(None)) for v in f.scope)],
                )
                for f in factors
            )

        costs = {quantity: given(factors) for quantity, factors in self.costs.items()}
        return replace(self, costs=costs, hard=given(self.hard), treatments={})


def tabulate(
    graph: Graph,
    levels: Levels,
    target: Target,
    oracle: CachedOracle | None,
    quantities: Sequence[str],
    offered: Offered | None = None,
) -> Tables:
    """Tables for each of `quantities`: counted ones from the padding, cycles and flash from the oracle, asked all at once,
    peaks from what lives at the same time. `offered` treatments change what an oracle says.

    Raises OracleError from the oracle, and UsageError where it says nothing of a quantity for layers alone.
    """
    variables = _Variables(graph, levels)
    shapes: dict[LayerShape, str] = {}
    grids = []
    for layer in graph.layers:
        scope, grid = variables.grid(layer)
        shapes |= {shape: layer.name for shape in grid.ravel() if shape not in shapes}
        grids.append((scope, grid))
    sums = [quantity for quantity in quantities if quantity not in PEAKS]
    costs: dict[str, list[Factor]] = {quantity: [] for quantity in sums}
    listed = list(shapes)
    values = _values(listed, shapes, target, oracle, quantities)
    place = {shape: i for i, shape in enumerate(listed)}
    shaped = [(layer, *grid) for layer, grid in zip(graph.layers, grids, strict=True)]
    counted = {quantity: FROM_ORACLE[quantity] for quantity in sums if quantity in FROM_ORACLE}
    treated = treated_costs(shaped, offered, oracle, counted)
    stored: set[str] = set()
    for layer, (scope, grid) in zip(graph.layers, grids, strict=True):
        places = np.vectorize(place.__getitem__, otypes=[np.int64])(grid)
        for quantity in sums:
            if quantity not in SHARED or layer.weight not in stored:
                table = _completed(values[quantity][places], grid, target, oracle)
                costs[quantity].append(treated.factor(quantity, layer, scope, table))
        stored.add(layer.weight)
    peaks = tuple(variables.peaks(target)) if len(sums) < len(quantities) else ()
    return Tables(
        peaks=peaks,
        widths=variables.widths,
        sums=variables.sums,
        hard=(*variables.hard, *treated.hard),
        treatments=dict(offered.treatments) if offered else {},
        costs={quantity: tuple(factors) for quantity, factors in costs.items()},
    )


def asked_shapes(graph: Graph, levels: Levels) -> dict[LayerShape, str]:
    """Every shape that an oracle may be asked about where widths are chosen of `levels`, with the name of the first layer
    that it is of: the layers as they are, then all pairs of widths."""
    shapes: dict[LayerShape, str] = {}
    for layer in graph.layers:
        shapes.setdefault(layer.shape, layer.name)
    variables = _Variables(graph, levels)
    for layer in graph.layers:
        for shape in variables.grid(layer)[1].ravel():
            if not shape.removed:
                shapes.setdefault(shape, layer.name)
    return shapes


def _values(
    shapes: list[LayerShape],
    names: Mapping[LayerShape, str],
    target: Target,
    oracle: CachedOracle | None,
    quantities: Sequence[str],
) -> dict[str, Array]:
    values: dict[str, Array] = {}
    if any(quantity in FROM_ORACLE for quantity in quantities):
        assert oracle is not None  # else the dense network has no cycles, and a budget on them is refused
        left = [shape for shape in shapes if not shape.removed]
        answers = dict(zip(left, oracle.attempt(left, names), strict=True))
        for quantity, field in FROM_ORACLE.items():
            costs = [0.0 if s.removed else getattr(answers[s], field, np.nan) for s in shapes]
            values[quantity] = np.array(costs, dtype=float)
    if any(quantity in COUNTED for quantity in quantities):
        costs = [padding(shape, target) for shape in shapes]
        values |= {q: np.array([getattr(cost, q) for cost in costs], dtype=float) for q in COUNTED}
    return values


def _completed(costs: Array, grid: npt.NDArray[Any], target: Target, oracle: CachedOracle | None) -> Array:
    """Where the oracle has no answer for a layer alone, the nearest answer's cost for as many padded MACs."""
    unknown = np.isnan(costs)
    if not unknown.any():
        return costs
    work = np.vectorize(lambda shape: float(padding(shape, target).padded_macs), otypes=[np.float64])(grid)
    telling = ~unknown & (work > 0)
    if not telling.any() and oracle is not None:
        oracle.shapes([shape for shape in grid.ravel() if not shape.removed])  # raises what the oracle says
        raise UsageError(
            "The oracle says nothing of flash for layers alone, only for whole networks. Use a budget on weight_bytes."
        )
    nearest = tuple(scipy.ndimage.distance_transform_edt(~telling, return_distances=False, return_indices=True))
    return np.where(unknown, costs[nearest] / work[nearest] * work, costs)


class _Variables:
    """Groups and running sums, and which of them each axis depends on."""

    def __init__(self, graph: Graph, levels: Levels) -> None:
        joint = {id for axis in levels.joint for id in axis.repeats}
        self.fixed = {g.id: g.width for g in graph.groups if len(levels.widths[g.id]) == 1}
        self.fixed = {id: int(levels.widths[id][0]) for id in self.fixed}
        self.widths: dict[str, Widths] = {
            id: widths if id in joint else _spread(widths)
            for id, widths in levels.widths.items()
            if id not in self.fixed
        }
        for id in levels.branches.groups:
            self.widths[id] = np.append(0, self.widths.get(id, levels.widths[id]))
            self.fixed.pop(id, None)
        self.sums: dict[str, Widths] = {}
        self.hard = list(_gone_together(levels.branches, self.widths))
        self._prefixes: dict[tuple[tuple[str, int], ...], str] = {}
        self._on: dict[tuple[str, Side], list[tuple[str, int]]] = {}
        for group in graph.groups:
            for member in group.members:
                self._on.setdefault((member.layer, member.side), []).append((group.id, member.repeats))
        self.graph = graph
        self._widths = {g.id: g.width for g in graph.groups}
        wholes = {(axis.layer, axis.side): axis.unit for axis in levels.joint}
        self._axes: dict[tuple[str, Side], tuple[str | None, Widths]] = {}
        for layer in graph.layers:
            for side in SIDES:
                self._axes[layer.name, side] = self._axis(layer, side)
        for axis, unit in wholes.items():
            variable, sizes = self._axes[axis]
            if variable is not None:
                self.hard.append(Factor((variable,), np.where(sizes % unit == 0, 0.0, np.inf)))

    def _axis(self, layer: Layer, side: Side) -> tuple[str | None, Widths]:
        """The variable that an axis depends on, and the axis' size at each of its levels."""
        size = layer.c_in if side == "in" else layer.c_out
        return self._owned(size, self._on.get((layer.name, side), []))

    def _owned(self, size: int, owners: list[tuple[str, int]]) -> tuple[str | None, Widths]:
        rest = size - sum(repeats * self._widths[id] for id, repeats in owners)
        rest += sum(repeats * self.fixed[id] for id, repeats in owners if id in self.fixed)
        free = [(id, repeats) for id, repeats in owners if id not in self.fixed]
        if not free:
            return None, np.array([rest])
        if len(free) == 1:
            id, repeats = free[0]
            return id, rest + repeats * self.widths[id]
        variable = self._sum(tuple(free))
        return variable, rest + self.sums[variable]

    def _sum(self, parts: tuple[tuple[str, int], ...]) -> str:
        """The running sum of some groups' widths, each times its repeats."""
        if parts in self._prefixes:
            return self._prefixes[parts]
        id, repeats = parts[-1]
        added = repeats * self.widths[id]
        if len(parts) == 2:
            before, (first, times) = parts[0][0], parts[0]
            so_far = times * self.widths[first]
        else:
            before = self._sum(parts[:-1])
            so_far = self.sums[before]
        name = f"sum {len(self.sums)}"
        total = so_far[:, None] + added[None]
        values = np.unique(total)
        self.sums[name] = values
        self._prefixes[parts] = name
        self.hard.append(Factor((before, id, name), np.where(total[..., None] == values, 0.0, np.inf)))
        return name

    def peaks(self, target: Target) -> Iterator[tuple[Factor, ...]]:
        """Per moment a table for each variable that what lives then depends on."""
        graph = self.graph
        owner = np.append(np.repeat(np.arange(len(graph.groups)), [g.width for g in graph.groups]), len(graph.groups))
        sizes: dict[int, tuple[str | None, Array]] = {}
        for moment in moments(graph):
            live: dict[str | None, Array] = {}
            for value in moment.values:
                if value not in sizes:
                    variable, widths = None, None
                    if axis := graph.values.get(value):
                        counts = np.bincount(owner[axis.channels], minlength=len(graph.groups) + 1)[:-1]
                        owners = [
                            (group.id, int(count) // group.width)
                            for group, count in zip(graph.groups, counts, strict=True)
                            if count
                        ]
                        variable, widths = self._owned(len(axis.channels), owners)
                    sizes[value] = variable, value_bytes(graph, value, target, widths).astype(float)
                variable, bytes = sizes[value]
                live[variable] = live.get(variable, 0.0) + bytes.reshape(-1 if variable else ())
            yield tuple(Factor((v,) if v else (), table) for v, table in live.items())

    def grid(self, layer: Layer) -> tuple[tuple[str, ...], npt.NDArray[Any]]:
        """The variables that a layer depends on, and its shape at each combination of their levels (an array of objects)."""
        (v_in, sizes_in), (v_out, sizes_out) = (self._axes[layer.name, side] for side in SIDES)
        tied = v_in == v_out
        scope = tuple(v for v in ((v_in,) if tied else (v_in, v_out)) if v is not None)
        pairs: Any = zip(sizes_in, sizes_out, strict=True) if tied else ((i, o) for i in sizes_in for o in sizes_out)
        shapes = [layer.sized(int(c_in), int(c_out)) for c_in, c_out in pairs]
        grid = np.empty(len(shapes), dtype=object)
        grid[:] = shapes
        sizes = [len(self.widths[v] if v in self.widths else self.sums[v]) for v in scope]
        return scope, grid.reshape(sizes)


def _gone_together(branches: Branches, widths: Mapping[str, Widths]) -> Iterator[Factor]:
    """Where a group has no channel, those that only feed it or only live on it have none either."""
    for id, others in branches.implied.items():
        for other in sorted(others):
            if other in branches.groups:
                table = np.zeros((len(widths[id]), len(widths[other])))
                table[0, 1:] = np.inf
                yield Factor((id, other), table)


def _spread(widths: Widths) -> Widths:
    """At most `MOST` of the widths (`MOST_WIDE` of a wide group), evenly spaced, the first and the last among them."""
    most = MOST_WIDE if widths[-1] > WIDE else MOST
    if len(widths) <= most:
        return widths
    few: Widths = widths[np.unique(np.linspace(0, len(widths) - 1, most).round().astype(int))]
    return few
