"""What a network looks like to a channel pruner: layers, channels, and the groups that are cut together.

A *channel* is an equivalence class of positions: output row 5 of a convolution, entry 5 of the batch norm behind it and
input column 5 of every consumer are one channel, and they stay or go together. Channels are numbered so that each
group is a contiguous range; arrays of channel numbers use `FIXED` where a position belongs to no channel of the
network's own (the image's colours, for one).
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Literal

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from padless.graph.channels import ChannelIds, Contraction
from padless.graph.examples import Example
from padless.graph.recording import Recording
from padless.notebook import shown

FIXED = -1

Side = Literal["in", "out"]
SIDES: tuple[Side, Side] = ("in", "out")
Kind = Literal["conv", "depthwise", "grouped", "linear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerShape:
    """All that a layer alone costs by. Sizes are for one example.

    Kernels, strides and maps have (rows, columns), in three dimensions (frames, rows, columns).
    """

    kind: Kind
    c_in: int
    c_out: int
    groups: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    in_hw: tuple[int, ...]
    out_hw: tuple[int, ...]
    transposed: bool = False

    def __str__(self) -> str:
        size = "" if self.kind == "linear" else f"{_times(self.kernel)} "
        return f"{self.kind} {size}{self.c_in}→{self.c_out} on a {_times(self.in_hw)} map"

    @property
    def three_dimensional(self) -> bool:
        """Whether its maps have frames beside rows and columns, as video and volumes do."""
        return len(self.kernel) > 2

    @property
    def removed(self) -> bool:
        """Whether it is none any more: no channel is left on a side of it."""
        return self.c_in == 0 or self.c_out == 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one example."""
        if self.removed:
            return 0
        places = math.prod(self.in_hw if self.transposed else self.out_hw)  # where the filters are applied
        return places * math.prod(self.kernel) * self.c_in * self.c_out // self.groups

    @property
    def implied_padding(self) -> tuple[tuple[int, int], ...]:
        """The padding that the sizes ask for: (above, below), (left, right), as evenly as it goes on both sides."""
        added = [
            max(0, (out - 1) * stride + dilation * (kernel - 1) + 1 - size)
            for out, stride, dilation, kernel, size in zip(
                self.out_hw, self.stride, self.dilation, self.kernel, self.in_hw, strict=True
            )
        ]
        return tuple((n // 2, n - n // 2) for n in added)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreatedShape(LayerShape):
    """A layer alone whose weights had a treatment such as `grid:17` (see `padless.treat`)."""

    treatment: str

    @classmethod
    def of(cls, shape: LayerShape, treatment: object) -> "TreatedShape":
        return cls(**{name: getattr(shape, name) for name in SHAPE}, treatment=str(treatment))


def _times(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer(LayerShape):
    """One call of a convolution or linear layer. Two of equal shape are different layers."""

    name: str  # the module's path; a second call of the same module gets "@2"
    weight: str  # the parameter's path
    inputs: ChannelIds  # [c_in] the channel on each input position
    outputs: ChannelIds  # [c_out]
    drops_groups: bool = False  # a cut takes whole groups of filters, else it narrows every group alike

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def shape(self) -> LayerShape:
        return LayerShape(**{name: getattr(self, name) for name in SHAPE})

    def sized(self, c_in: int, c_out: int) -> LayerShape:
        """The same with so many channels; with none of both where a side has none."""
        if not c_in or not c_out:
            return replace(self.shape, c_in=0, c_out=0, groups=1)
        groups = self.groups * c_in // self.c_in if self.drops_groups and self.c_in else self.groups
        return replace(self.shape, c_in=c_in, c_out=c_out, groups=groups)

    @property
    def without_channels(self) -> "Layer":
        """What is left of it in a network from which it was removed."""
        nothing = np.empty(0, dtype=np.int64)
        return replace(self, c_in=0, c_out=0, groups=1, inputs=nothing, outputs=nothing)


SHAPE = tuple(f.name for f in fields(LayerShape))


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One layer axis that a group takes part in; each of its channels fills `repeats` positions there."""

    layer: str
    side: Side
    repeats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelGroup:
    """Channels that live on exactly the same axes. `first` is the number of the group's first channel."""

    id: str  # the name of the first layer that produces it
    width: int
    first: int
    members: tuple[Member, ...]
    pinned: str | None  # why it must not be cut

    @property
    def channels(self) -> slice:
        return slice(self.first, self.first + self.width)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParameterAxis:
    """The channel at each position of one axis of one parameter or buffer."""

    parameter: str
    axis: int
    channels: ChannelIds  # [size of that axis]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredSize:
    """A number in a module's attribute (or at `index` of a sequence there); `scale` times it is an axis' size."""

    module: str
    name: str
    index: int | None
    scale: Fraction
    channels: ChannelIds  # along that axis


def channel_axis(shape: Sequence[int]) -> int:
    """Where channels lie: on axis 1 of a map, on the last axis of anything else."""
    return 1 if len(shape) >= 3 else len(shape) - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValueAxis:
    """The channel at each position of one axis of a recorded value; the axis of channels where several have them."""

    axis: int
    channels: ChannelIds  # [size of that axis]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Positions:
    """A buffer of positions along an axis of channels."""

    buffer: str
    channels: ChannelIds  # along that axis


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graph:
    """A recorded network. Immutable; knows no target and no weights."""

    layers: tuple[Layer, ...]
    groups: tuple[ChannelGroup, ...]
    axes: tuple[ParameterAxis, ...]
    stored: tuple[StoredSize, ...]
    positions: tuple[Positions, ...]
    turned: tuple[ChannelIds, ...]  # axes that stand in reverse order somewhere
    contractions: tuple[Contraction, ...]  # what sums or reduces over channels, for the check
    masked: tuple[
        ParameterAxis, ...
    ]  # weights whose columns the check zeroes, instead of what they are multiplied with
    numbered: ChannelIds  # the channel of each id of the contractions
    example_shapes: tuple[tuple[int, ...], ...]
    recording: Recording
    values: Mapping[int, ValueAxis]  # the recorded values whose size a cut changes
    example_types: tuple[str, ...] = ()  # of each input, such as "float32"
    example_structure: str = ""  # JSON: how the inputs lie in the forward's arguments (see `Example`)

    def __repr__(self) -> str:
        free = sum(group.pinned is None for group in self.groups)
        return (
            f"Graph({len(self.layers)} layers, {self.channels} channels in {len(self.groups)} groups, "
            f"{free} of which may be cut)"
        )

    def __rich__(self) -> Group:
        table = Table("group", "width", "pinned", box=SIMPLE_HEAD)
        table.columns[1].justify = "right"
        for group in self.groups:
            table.add_row(Text(group.id), str(group.width), Text(group.pinned or "free"))
        return Group(Text(repr(self)), table)

    def _repr_html_(self) -> str:
        rows = ((group.id, group.width, group.pinned or "free") for group in self.groups)
        return shown(repr(self), ("group", "width", "pinned"), rows)

    @property
    def example(self) -> Example:
        """The inputs of the recorded run: float32 tensors, each an argument, where nothing else is known."""
        return Example(
            shapes=self.example_shapes,
            types=self.example_types or ("float32",) * len(self.example_shapes),
            structure=self.example_structure or json.dumps(list(range(len(self.example_shapes)))),
        )

    @property
    def channels(self) -> int:
        """How many channels the network has in all."""
        return sum(g.width for g in self.groups)

    def group(self, id: str) -> ChannelGroup:
        return next(g for g in self.groups if g.id == id)

    def digest(self) -> str:
        """A hash of the structure (not of weights): equal digests mean that a plan made on one fits the other."""
        layers = [
            (ly.name, ly.kind, ly.c_in, ly.c_out, ly.groups, ly.kernel, ly.stride, ly.in_hw) for ly in self.layers
        ]
        groups = [(g.id, g.width, [(m.layer, m.side, m.repeats) for m in g.members], g.pinned) for g in self.groups]
        text = json.dumps([self.example_shapes, layers, groups], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def folded_inputs(layer: Layer) -> int:
    """How many neighbouring inputs of a linear layer are one channel."""
    if layer.kind != "linear":
        return 1
    inputs = layer.inputs
    for size in range(layer.c_in, 1, -1):
        if layer.c_in % size == 0 and (inputs.reshape(-1, size) == inputs[::size, None]).all():
            return size if (inputs >= 0).all() else 1
    return 1
