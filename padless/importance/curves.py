"""Importance as a curve per group: how much of it is kept at each width."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from padless.graph import Graph, Keep

Array = npt.NDArray[np.float64]
Scores = Array  # [channels of the graph]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """One group: which channels go first, and the importance kept by those that stay."""

    order: npt.NDArray[np.int64]  # [width] places within the group, the most important first
    kept: Array  # [width + 1] importance kept with the first 0, 1, 2, ... of them
    layers: int = 1  # that write the group

    def at(self, widths: npt.NDArray[np.int64]) -> Array:
        """Importance kept at some widths; channels of zeros behind the last one add none."""
        kept: Array = self.kept[np.minimum(widths, len(self.order))]
        return kept


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Importance:
    """A curve for each group. `comparable` says that all have one unit (of the loss, say), so that they add up.

    Where they have not, a curve is the share of its group's whole. What is kept of shares multiplies, since a network's
    layers follow each other: their logarithms add up, once for each layer that writes the group, and no group is starved
    for the others' sake.
    """

    curves: Mapping[str, Curve]
    comparable: bool
    name: str = ""
    treated: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # by layer and treatment, what it loses

    def worth(self, id: str, widths: npt.NDArray[np.int64]) -> Array:
        """What some widths of a group add to the sum that is to be as large as possible; above 0 for 1 channel or more."""
        kept = self.curves[id].at(widths)
        if self.comparable:
            return kept
        worth: Array = self.curves[id].layers * np.log(np.maximum(kept, 1e-12))
        return worth

    def kept(self, widths: Mapping[str, int]) -> float:
        """The share of importance that a network keeps: of the sum, or the geometric mean of the layers' shares."""
        worth = sum(float(self.worth(id, np.array([widths[id]]))[0]) for id in self.curves)
        if not self.comparable:
            return float(np.exp(worth / sum(curve.layers for curve in self.curves.values())))
        return worth / (sum(curve.kept[-1] for curve in self.curves.values()) or 1.0)

    def worth_treated(self, layer: str, treatments: Sequence[str]) -> Array:
        """The same of a layer's treatments: what they lose, below 0; untreated weights lose nothing."""
        losses = self.treated[layer]
        return -np.array([losses.get(treatment, 0.0) for treatment in treatments])

    def strongest(self, graph: Graph, widths: Mapping[str, int]) -> Keep:
        """The channels to keep at some widths. A width above the group's own is made up with zeros behind its last one."""
        keep = np.zeros(graph.channels, dtype=np.int64)
        for group in graph.groups:
            keep[group.first + self.curves[group.id].order[: widths[group.id]]] = 1
            keep[group.first + group.width - 1] += max(0, widths[group.id] - group.width)
        return keep


def ranked(graph: Graph, scores: Scores, *, comparable: bool) -> Importance:
    """Curves of scores that add up: the channels by falling score, ties to the lower index."""
    curves = {}
    for group in graph.groups:
        group_scores = scores[group.channels]
        order = np.argsort(-group_scores, kind="stable")
        kept = np.concatenate([[0.0], np.cumsum(group_scores[order])])
        whole = kept[-1] if kept[-1] > 0 else 1.0
        writers = {member.layer for member in group.members if member.side == "out"}
        curves[group.id] = Curve(order=order, kept=kept if comparable else kept / whole, layers=max(1, len(writers)))
    return Importance(curves=curves, comparable=comparable)


def said_curves(curves: Importance) -> dict[str, Any]:
    """Curves as JSON data, exactly."""
    return {
        "name": curves.name,
        "comparable": curves.comparable,
        "curves": {id: [c.order.tolist(), c.kept.tolist(), c.layers] for id, c in curves.curves.items()},
    }


def read_curves(said: Mapping[str, Any]) -> Importance:
    """What `said_curves` wrote; treatments are apart."""
    curves = {
        id: Curve(order=np.array(order, dtype=np.int64), kept=np.array(kept, dtype=np.float64), layers=layers)
        for id, (order, kept, layers) in said["curves"].items()
    }
    return Importance(curves=curves, comparable=said["comparable"], name=said["name"])
