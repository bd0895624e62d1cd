"""From a recording to a graph: run the rules, number the channels, gather those that are cut together."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from padless.batches import expect_tensors
from padless.errors import UsageError, expect
from padless.graph.channels import MODEL, Call, ChannelIds, Channels
from padless.graph.examples import Example, batch_of
from padless.graph.numbers import Number, resolved
from padless.graph.record import record
from padless.graph.recording import Op, Recording
from padless.graph.roots import Product, Size
from padless.graph.rules import apply_rule
from padless.graph.structure import (
    FIXED,
    SIDES,
    ChannelGroup,
    Graph,
    Kind,
    Layer,
    Member,
    ParameterAxis,
    Positions,
    StoredSize,
    ValueAxis,
    channel_axis,
)


def trace(model: nn.Module, *example: Any, outputs: Sequence[str | int] | None = None) -> Graph:
    """The layers of `model`, its channels, and the groups of channels that must be cut together.

    `example` holds the arguments of one run: tensors, or tuples and dictionaries of them. Only their shapes and types
    count, and nothing is computed. The model is only read: its training mode, its parameters and their gradients stay as
    they are. The outputs' channels are pinned; where `outputs` names some of them, by their paths in what the model
    returns (`0`, `boxes`, `head.1`; a path stands for all below it), only theirs are, and the others may lose channels.

    Raises TraceError when the forward fails on these shapes, UsageError for what is no module or no tensor, and for an
    output that there is not.
    """
    inner = isinstance(getattr(model, "model", None), nn.Module)
    expect(model, nn.Module, "model", "Give its .model." if inner else "Give a torch.nn.Module.")
    for x in example:
        expect_tensors(x, "An example input", "Give tensors of the shapes that the network takes.")
    inputs, recording = Example.of(example), record(model, *example)
    if outputs is not None:
        recording = replace(recording, staying=_chosen(recording, [str(path) for path in outputs]))
    return replace(grouped(recording, inputs.shapes), example_types=inputs.types, example_structure=inputs.structure)


def _chosen(recording: Recording, paths: Sequence[str]) -> tuple[int, ...]:
    """The outputs at some paths."""
    names = recording.output_names
    below = {path: [name == path or name.startswith(f"{path}.") for name in names] for path in paths}
    for path, hits in below.items():
        if not any(hits):
            shown = ", ".join(name or "(the only one)" for name in names[:12]) + (", …" if len(names) > 12 else "")
            raise UsageError(f"The network has no output {path!r}. Its outputs: {shown}.")
    if not paths:
        raise UsageError("Name one output or more that must stay, or leave outputs out: then all do.")
    return tuple(value for i, value in enumerate(recording.outputs) if any(hits[i] for hits in below.values()))


def grouped(recording: Recording, example_shapes: tuple[tuple[int, ...], ...]) -> Graph:
    """The graph of a recorded run: every operation's rule, then the classes of channels, then the groups.

    Where whole groups of a grouped operation cannot go, it is tried whether they can be narrowed.
    """
    channels, label, reasons = _followed(recording)
    stuck = _stuck(channels, label, reasons)
    if stuck:
        free = stuck - _stuck_within(stuck, *_followed(recording, stuck))
        if free:
            channels, label, reasons = _followed(recording, free)
    return _assemble(channels, label, reasons, example_shapes)


Followed = tuple[Channels, ChannelIds, list[str | None]]


def _stuck(channels: Channels, label: ChannelIds, reasons: list[str | None]) -> frozenset[int]:
    """The operations that are cut by whole groups, none of which may go."""
    return frozenset(op for op, ids in channels.leaders.items() if _is_stuck(label[ids], reasons))


def _stuck_within(
    tried: frozenset[int], channels: Channels, label: ChannelIds, reasons: list[str | None]
) -> frozenset[int]:
    """Those of the operations whose groups cannot be narrowed either."""
    output = {op: channels.of(channels.recording.ops[op].outputs[0]).get(1) for op in tried}
    return frozenset(op for op, ids in output.items() if ids is None or _is_stuck(label[ids], reasons))


def _is_stuck(classes: ChannelIds, reasons: list[str | None]) -> bool:
    free = {c for c in classes.tolist() if reasons[c] is None}
    return len(free) < 2


def _followed(recording: Recording, within: frozenset[int] = frozenset()) -> Followed:
    """Every operation's rule, and the classes; the operations `within` are narrowed within their groups."""
    channels = Channels(recording, within=within)
    for i, op in enumerate(recording.ops):
        channels.current = i
        apply_rule(_with_products(op, channels), channels)
    channels.current = -1
    for value, axis in recording.scaled_by_width:
        if axis in channels.of(value):
            channels.pin(channels.of(value)[axis], "attention is scaled by their number")
    for size, attribute in recording.equal:
        if size.axis in channels.of(size.value):
            channels.follows(channels.of(size.value)[size.axis], attribute, "")
    for root in recording.leaks:
        channels.freeze(root, "their number goes through a function of Python")
    for value in recording.scripted & set(channels.leaves):
        channels.pin_value(value, "belongs to a compiled module")
    for value in recording.staying:
        channels.pin_value(value, "output of the network")
    return channels, *channels.classes()


def _with_products(op: Op, channels: Channels) -> Op:
    """The operation with products of sizes as multiples of the one that may be cut."""
    if not any(isinstance(n, Number) and isinstance(n.root, Product) for n in op.given):
        return op

    def has_channels(size: Size) -> bool:
        return size.axis in channels.of(size.value)

    def size_of(size: Size) -> int:
        return channels.shape(size.value)[size.axis]

    return replace(op, given=tuple(resolved(n, has_channels, size_of) for n in op.given))


def _assemble(
    channels: Channels, label: ChannelIds, reasons: list[str | None], example_shapes: tuple[tuple[int, ...], ...]
) -> Graph:
    produced = np.concatenate([c.outputs for c in channels.calls if c.outputs is not None] or [np.empty(0, np.int64)])
    # The classes that some layer produces, in the order in which they first appear.
    firsts = np.unique(label[produced], return_index=True)[1]
    classes = label[produced][np.sort(firsts)]

    def places(ids: ChannelIds | None, size: int) -> ChannelIds:
        """Positions in `classes` (FIXED where there is none)."""
        return np.full(size, FIXED) if ids is None else position[label[ids]]

    position = np.full(label.max(initial=-1) + 1, FIXED)
    position[classes] = np.arange(len(classes))
    sides = [(places(c.inputs, c.c_in), places(c.outputs, c.c_out)) for c in channels.calls]
    leaves = [
        (channels.recording.values[v].name, axis, position[label[ids]])
        for v, axes in channels.leaves.items()
        for axis, ids in axes.items()
    ]
    cut = _partition([reasons[c] for c in classes], [p for pair in sides for p in pair] + [p for _, _, p in leaves])
    # Number the channels group by group: `number` maps a position in `classes` (and FIXED, the last entry) to a channel.
    number = np.append(np.empty(len(classes), np.int64), FIXED)
    number[np.concatenate(cut or [np.empty(0, np.int64)])] = np.arange(len(classes))
    layers = _layers(channels, [(number[i], number[o]) for i, o in sides], example_shapes)
    axes = tuple(
        ParameterAxis(parameter=name, axis=axis, channels=number[p]) for name, axis, p in leaves if (p != FIXED).any()
    )
    groups = _groups(cut, [reasons[classes[members[0]]] for members in cut], layers)
    numbered = number[position[label]]
    return Graph(
        layers=layers,
        groups=groups,
        axes=axes,
        stored=_stored(channels, numbered),
        positions=tuple(
            Positions(buffer=channels.recording.values[v].name, channels=numbered[ids])
            for v, ids in channels.indices.items()
            if channels.recording.values[v].origin == "buffer"
        ),
        turned=tuple(numbered[ids] for ids in channels.turned),
        contractions=tuple(channels.contractions),
        masked=tuple(
            ParameterAxis(parameter=channels.recording.values[v].name, axis=axis, channels=numbered[ids])
            for v, axis, ids in channels.masked
        ),
        numbered=numbered,
        example_shapes=example_shapes,
        recording=channels.recording,
        values=dict(_values(channels, numbered)),
    )


def _values(channels: Channels, numbered: ChannelIds) -> Iterator[tuple[int, ValueAxis]]:
    for value, axes in channels.axes.items():
        ids_of = {axis: numbered[ids] for axis, ids in axes.items()}
        free = [axis for axis, places in ids_of.items() if (places != FIXED).any()]
        if free and channels.recording.values[value].origin not in MODEL:
            usual = channel_axis(channels.recording.shape(value))
            axis = usual if usual in free else free[0]
            yield value, ValueAxis(axis=axis, channels=ids_of[axis])


def _stored(channels: Channels, numbered: ChannelIds) -> tuple[StoredSize, ...]:
    """The numbers that modules store, each once, that are the sizes of axes which a cut may change."""
    stored: dict[tuple[str, str, int | None], StoredSize] = {}
    for use in channels.uses:
        if use.ids is not None:
            a = use.attribute
            stored.setdefault(
                (a.module, a.name, a.index),
                StoredSize(module=a.module, name=a.name, index=a.index, scale=a.scale, channels=numbered[use.ids]),
            )
    return tuple(stored.values())


def _partition(reasons: list[str | None], axes: list[ChannelIds]) -> list[ChannelIds]:
    """Sets of channels that fill the same number of positions on every axis and stay for the same reason.

    Told apart by a hash: the sum of a random 64-bit number for each position, the same for all positions of an axis.
    """
    order = {reason: i for i, reason in enumerate(dict.fromkeys(reasons))}
    places = np.concatenate(axes or [np.empty(0, np.int64)])
    salts = np.random.default_rng(0).integers(2**63, size=len(axes), dtype=np.uint64)
    hashes = np.append(np.array([order[reason] for reason in reasons], dtype=np.uint64), np.uint64(0))
    np.add.at(hashes, places, np.repeat(salts, [len(a) for a in axes]))  # what is FIXED falls on the last one
    _, first, label = np.unique(hashes[:-1], return_index=True, return_inverse=True)
    by_label = np.argsort(label, kind="stable")
    parts = np.split(by_label, np.cumsum(np.bincount(label))[:-1]) if len(reasons) else []
    return [parts[i] for i in np.argsort(first)]


def _layers(
    channels: Channels, sides: list[tuple[ChannelIds, ChannelIds]], example_shapes: tuple[tuple[int, ...], ...]
) -> tuple[Layer, ...]:
    seen: Counter[str] = Counter()
    layers = []
    for call, (inputs, outputs) in zip(channels.calls, sides, strict=True):
        weight = channels.recording.values[call.weight].name or call.op.module or call.op.name
        path = weight.removesuffix(".weight")
        seen[path] += 1
        name = path if seen[path] == 1 else f"{path}@{seen[path]}"
        for array in (inputs, outputs):
            array.setflags(write=False)
        batch = batch_of(example_shapes)
        layers.append(_layer(name, weight, call, channels.recording, inputs, outputs, batch))
    return tuple(layers)


def _layer(
    name: str, weight: str, call: Call, recording: Recording, inputs: ChannelIds, outputs: ChannelIds, batch: int
) -> Layer:
    args, out = call.op.args, recording.shape(call.op.outputs[0])
    if call.op.name == "aten.convolution":
        kind: Kind = "conv" if call.groups == 1 else "depthwise" if call.groups == call.c_in else "grouped"
        kernel, in_hw, out_hw = recording.shape(args[1].value)[2:], recording.shape(args[0].value)[2:], out[2:]
        n = len(out_hw)
        stride, dilation, transposed = _each(args[3], n), _each(args[5], n), args[6]
    else:
        rows = max(1, (call.rows or math.prod(out) // call.c_out) // batch)
        kind, kernel, in_hw, out_hw, stride, dilation = "linear", (1, 1), (rows, 1), (rows, 1), (1, 1), (1, 1)
        transposed = False
    return Layer(
        name=name, weight=weight, kind=kind, c_in=call.c_in, c_out=call.c_out, groups=call.groups,
        drops_groups=call.drops_groups, transposed=transposed,
        kernel=_at_least_two(kernel), stride=_at_least_two(stride), dilation=_at_least_two(dilation),
        in_hw=_at_least_two(in_hw), out_hw=_at_least_two(out_hw),
        inputs=inputs, outputs=outputs,
    )  # fmt: skip


def _each(sizes: list[int], n: int) -> tuple[int, ...]:
    """A size for each of `n` axes: torch takes one for all of them, too."""
    return tuple(sizes) if len(sizes) == n else tuple(sizes) * n


def _at_least_two(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Rows and columns; one-dimensional layers have one row."""
    return (1, *sizes) if len(sizes) == 1 else tuple(sizes)


def _alone(members: list[Member]) -> str:
    most = max(m.repeats for m in members)
    return "a single channel" if most == 1 else f"splits and groups make one channel of its {most} places"


def _groups(cut: list[ChannelIds], reasons: list[str | None], layers: tuple[Layer, ...]) -> tuple[ChannelGroup, ...]:
    starts = np.cumsum([0] + [len(c) for c in cut])
    owner = np.append(np.repeat(np.arange(len(cut)), np.diff(starts)), len(cut))  # FIXED belongs to none
    members: list[list[Member]] = [[] for _ in cut]
    for layer in layers:
        for side in SIDES:
            places = layer.inputs if side == "in" else layer.outputs
            counts = np.bincount(owner[places], minlength=len(cut) + 1)[:-1]
            for g in np.flatnonzero(counts).tolist():
                members[g].append(Member(layer=layer.name, side=side, repeats=int(counts[g]) // len(cut[g])))
    names: Counter[str] = Counter()
    groups = []
    for channels, start, axes, pinned in zip(cut, starts.tolist(), members, reasons, strict=False):
        name = next(m.layer for m in axes if m.side == "out")
        if pinned is None and len(channels) == 1:
            pinned = _alone(axes)
        names[name] += 1
        id = name if names[name] == 1 else f"{name}/{names[name]}"
        groups.append(ChannelGroup(id=id, width=len(channels), first=start, members=tuple(axes), pinned=pinned))
    return tuple(groups)
