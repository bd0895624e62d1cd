"""Groups that may lose all their channels: the branch that they stand in becomes a constant, and the network goes on.

Where no channel of a group is left, the layers that read it sum over nothing and give their bias. Whether the rest of the
network still sees its inputs is followed through the recording.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from padless.graph import ChannelGroup, Graph, Keep, Layer
from padless.graph.recording import Op, Ref
from padless.graph.shadow import modules_of
from padless.graph.views import LIKE, roots

PLAIN = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
PRODUCTS = {"aten.convolution": 0, "aten.addmm": 1, "aten.mm": 0}  # where among their arguments the input stands

Channels = npt.NDArray[np.bool_]  # [channels of the graph, and one for what belongs to none]


@dataclass(frozen=True, slots=True)
class Branches:
    """The groups that may go together, and for each those that go with it: they only feed it, or only live on it."""

    groups: tuple[str, ...] = ()
    implied: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def without(self, staying: Collection[str]) -> "Branches":
        """Those that are left where some groups stay, and with them those that would take them along."""
        groups = tuple(
            id for id in self.groups if id not in staying and not self.implied.get(id, frozenset()) & set(staying)
        )
        return Branches(groups, {id: self.implied[id] for id in groups if id in self.implied})


NONE = Branches()


def emptied(graph: Graph, keep: Keep) -> tuple[ChannelGroup, ...]:
    """The groups of which no channel is kept."""
    return tuple(group for group in graph.groups if not keep[group.channels].any())


def mask_of(graph: Graph, groups: Collection[ChannelGroup]) -> Channels:
    """Which channels some groups have. The last entry is for places that belong to none."""
    mask = np.zeros(graph.channels + 1, dtype=bool)
    for group in groups:
        mask[group.channels] = True
    return mask


def branches(graph: Graph, model: nn.Module) -> Branches:
    """The groups of `model`, in their order, that may go as long as all outputs still depend on the inputs.

    Each stands alone on every axis that it lies on, between layers that are modules of torch's own, called once. Of
    branches that stand beside each other the last one stays.
    """
    return _Search(graph, model).found()


def unremovable(graph: Graph, model: nn.Module, groups: Sequence[ChannelGroup]) -> str | None:
    """Why some groups cannot lose all their channels, if they cannot."""
    search = _Search(graph, model)
    for group in groups:
        if group.id not in search.candidates:
            return (
                f"{group.id} goes only where it has its axes to itself, between convolutions and linear layers of torch's "
                "own that are called once, share nothing and have no hooks"
            )
    if not search.goes_on({group.id for group in groups}):
        return "an output would not depend on the inputs"
    return None


class _Search:
    def __init__(self, graph: Graph, model: nn.Module) -> None:
        self.graph = graph
        self.groups = {group.id: group for group in graph.groups}
        self.plain = _plain_layers(graph, model)
        self._roots = roots(graph.recording)
        self.by_name = {layer.name: layer for layer in graph.layers}
        self.candidates = [group.id for group in graph.groups if self._stands_alone(group)]
        owners = {id: set(self.groups[id].members) for id in self.candidates}
        self.reads = {m.layer: id for id, members in owners.items() for m in members if m.side == "in"}
        self.writes = {m.layer: id for id, members in owners.items() for m in members if m.side == "out"}

    def _stands_alone(self, group: ChannelGroup) -> bool:
        """Whether it has every axis that it lies on to itself, and nothing but plain layers sums over it."""
        if group.pinned or group.id in self._leaving or not any(m.side == "in" for m in group.members):
            return False
        for member in group.members:
            layer = self.by_name[member.layer]
            size = layer.c_in if member.side == "in" else layer.c_out
            if layer.name not in self.plain or member.repeats != 1 or size != group.width:
                return False
        return group.id not in self._summed_elsewhere

    @cached_property
    def _summed_elsewhere(self) -> frozenset[str]:
        """Groups that something else than a plain layer sums or reduces over, or whose places a buffer names."""
        owner = np.repeat(np.arange(len(self.graph.groups)), [group.width for group in self.graph.groups])
        paths = {_path(self.by_name[name]) for name in self.plain}
        touched = [positions.channels for positions in self.graph.positions]
        touched += [*self.graph.turned, *(axis.channels for axis in self.graph.masked)]
        for contraction in self.graph.contractions:
            op = self.graph.recording.ops[contraction.op]
            if op.name not in PRODUCTS or op.module not in paths:
                touched += [self.graph.numbered[p.ids] for p in (*contraction.inputs, *contraction.outputs)]
        found = {int(owner[c]) for channels in touched for c in np.unique(channels[channels >= 0])}
        return frozenset(self.graph.groups[i].id for i in found)

    @cached_property
    def _leaving(self) -> frozenset[str]:
        """Groups that lie on an axis of an output."""
        axes = (self.graph.values.get(value) for value in self.graph.recording.outputs)
        channels = {int(c) for axis in axes if axis for c in np.unique(axis.channels)}
        return frozenset(g.id for g in self.graph.groups if channels & set(range(g.first, g.first + g.width)))

    def found(self) -> Branches:
        with_each = {id: self._with(id) for id in self.candidates}
        going: set[str] = set()
        for id in self.candidates:
            wanted = going | {id} | with_each[id]
            if wanted != going and self.goes_on(wanted):
                going = wanted
        implied = {id: with_each[id] for id in self.candidates if id in going and with_each[id]}
        return Branches(tuple(id for id in self.candidates if id in going), implied)

    def _with(self, id: str) -> frozenset[str]:
        """The candidates that go with one: all that they read has gone, or all that read them has."""
        gone = {id}
        while more := {
            other for other in self.candidates
            if other not in gone and (self._all(other, "out", gone) or self._all(other, "in", gone))
        }:  # fmt: skip
            gone |= more
        return frozenset(gone - {id})

    def _all(self, id: str, side: str, gone: set[str]) -> bool:
        """Whether each layer on a side of a group has only groups that are gone on its other side."""
        names = [m.layer for m in self.groups[id].members if m.side == side]
        across = [(self.reads if side == "out" else self.writes).get(name) for name in names]
        others = [other for other in across if other != id]  # depthwise layers lead from a group to itself
        return bool(others) and all(other in gone for other in others)

    def goes_on(self, gone: Collection[str]) -> bool:
        """Whether every output depends on the inputs once some groups are gone."""
        live = self._live(gone)
        return all(self._root(value) in live for value in self.graph.recording.outputs)

    def _root(self, value: int) -> int:
        return self._roots.get(value, value)

    def _live(self, gone: Collection[str]) -> set[int]:
        """The tensors whose values depend on the inputs; what is written into a part of one is in it."""
        mask = mask_of(self.graph, [self.groups[id] for id in gone])
        live = set(self.graph.recording.inputs)
        for op in self.graph.recording.ops:
            constant = op.name.removeprefix("aten.") in LIKE or self._silent(op, mask)
            if not constant and any(self._root(value) in live for value in op.reads):
                live.update(map(self._root, op.outputs))
        return live

    def _silent(self, op: Op, mask: Channels) -> bool:
        """Whether an operation sums over nothing but channels that are gone."""
        place = PRODUCTS.get(op.name)
        if place is None or not isinstance(op.args[place], Ref):
            return False
        axis = self.graph.values.get(op.args[place].value)
        return axis is not None and bool(mask[axis.channels].all())


def _plain_layers(graph: Graph, model: nn.Module) -> frozenset[str]:
    """The layers that are modules of torch's own, with tensors that they share with none, no hooks, and one call."""
    modules, slots = dict(modules_of(model)), slots_of(model)
    calls = Counter(layer.weight for layer in graph.layers)

    def names() -> Iterator[str]:
        for layer in graph.layers:
            module = modules.get(_path(layer))
            if (
                module is not None and type(module) in PLAIN and is_alone(module, slots)
                and calls[layer.weight] == 1 and layer.weight == f"{_path(layer)}.weight"
            ):  # fmt: skip
                yield layer.name

    return frozenset(names())


def slots_of(model: nn.Module) -> Counter[int]:
    """In how many places of its modules each tensor of a model stands, by its id."""
    return Counter(id(tensor) for _, module in modules_of(model) for tensor in _own(module))


def is_alone(module: nn.Module, slots: Counter[int]) -> bool:
    """Whether nothing else has a hand in a module: no hooks, and no other that shares a tensor with it."""
    hooked = module._forward_hooks or module._forward_pre_hooks
    return not hooked and all(slots[id(tensor)] == 1 for tensor in _own(module))


def _own(module: nn.Module) -> Iterator[Tensor]:
    return (t for t in (*module._parameters.values(), *module._buffers.values()) if t is not None)


def _path(layer: Layer) -> str:
    return layer.weight.removesuffix(".weight")
