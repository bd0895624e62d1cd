"""Channel ids on the axes of every tensor of a recording, and what must be the same channel.

The *axes* of a value map an axis to its ids: entry c is the id of the channel that everything at position c of that
axis belongs to. A convolution's output carries ids on axis 1, its weight on axes 0 and 1, since rows and columns are
cut apart. An axis without ids keeps its size whatever is cut. Pure data movement is the same movement of the ids.
"""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy

from padless.graph.numbers import origin
from padless.graph.recording import Op, Recording, Ref
from padless.graph.roots import Attribute, Product, Root, Size

ChannelIds = npt.NDArray[np.int64]  # the channel at each place of an axis
Axes = dict[int, ChannelIds]
MODEL = ("parameter", "buffer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One convolution or linear operation, with the ids on its two sides (None: no channels of the network's own)."""

    op: Op
    weight: int
    inputs: ChannelIds | None
    outputs: ChannelIds | None
    c_in: int
    c_out: int
    groups: int = 1
    drops_groups: bool = False  # it is cut by whole groups of filters
    rows: int = 0  # how often a linear layer is applied; 0: as the size of its output says


@dataclass(frozen=True, slots=True)
class Place:
    """One axis of one tensor among an operation's inputs or outputs, and the ids there."""

    tensor: int
    axis: int
    ids: ChannelIds


@dataclass(frozen=True, slots=True)
class Contraction:
    """An operation that sums or reduces over channels, so that what is removed must not take part in it.

    `zero`: zeros for the removed channels are enough (a sum of products). `gather`: what it computes depends on how many
    channels there are (a mean), so that it must run on those that are left.
    """

    op: int
    how: Literal["zero", "gather"]
    inputs: tuple[Place, ...]
    outputs: tuple[Place, ...] = ()
    by_weight: bool = False  # a sum over channels that each have a weight: channels of zero weight change nothing


@dataclass(frozen=True, slots=True)
class Use:
    """A module's stored number that is the size of an axis; `ids` is None where nothing is known of the use."""

    attribute: Attribute
    ids: ChannelIds | None


@dataclass(slots=True)
class Channels:
    """The ids while the rules run: axes per value, ties between ids, and ids that must stay."""

    recording: Recording
    axes: dict[int, Axes] = field(default_factory=dict)
    leaves: dict[int, Axes] = field(default_factory=dict)  # parameters and buffers that were used
    weights: dict[int, int] = field(default_factory=dict)  # what is computed from parameters alone -> the parameter
    ties: list[tuple[ChannelIds, ChannelIds]] = field(default_factory=list)
    pins: list[tuple[ChannelIds, str]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    contractions: list[Contraction] = field(default_factory=list)
    masked: list[tuple[int, int, ChannelIds]] = field(default_factory=list)  # (weight, axis, ids)
    stored: dict[Attribute, ChannelIds] = field(default_factory=dict)  # the first use of each stored number
    uses: list[Use] = field(default_factory=list)
    sizes: list[tuple[ChannelIds, Size, str]] = field(
        default_factory=list
    )  # an axis whose size is computed from another's
    spread: set[tuple[int, int]] = field(default_factory=set)  # (value, axis) of one place that fills what it meets
    turned: list[ChannelIds] = field(default_factory=list)  # what stands in reverse order somewhere
    indices: dict[int, ChannelIds] = field(default_factory=dict)  # a buffer of positions -> the ids it points into
    within: frozenset[int] = frozenset()  # operations in groups that are narrowed within them, not cut by whole ones
    leaders: dict[int, ChannelIds] = field(default_factory=dict)  # of which whole groups go: operation -> an id a group
    readers: set[int] = field(default_factory=set)
    current: int = 0  # the operation whose rule runs
    size: int = 0

    def fresh(self, n: int) -> ChannelIds:
        ids = np.arange(self.size, self.size + n)
        self.size += n
        return ids

    def fresh_pinned(self, n: int, reason: str) -> ChannelIds:
        """ChannelIds for places that no cut may take, among channels that may be cut."""
        ids = self.fresh(n)
        self.pin(ids, reason)
        return ids

    def is_read(self, value: int) -> bool:
        """Whether a value is used at all."""
        if not self.readers:
            self.readers.update(v for op in self.recording.ops for v in op.inputs())
            self.readers.update(self.recording.outputs)
        return value in self.readers

    def shape(self, value: int | Ref) -> tuple[int, ...]:
        return self.recording.values[value.value if isinstance(value, Ref) else value].shape

    def of(self, value: int | Ref) -> Axes:
        """The axes of a value; a parameter gets ids of its own on first sight."""
        value = value.value if isinstance(value, Ref) else value
        known = self.axes.get(value)
        if known is None:
            own = self.recording.values[value].origin in MODEL
            known = self.axes[value] = self._leaf(value, {}) if own else {}
        return known

    def _leaf(self, value: int, known: Axes) -> Axes:
        """The axes of a parameter or buffer on first sight: ids of its own where none are known."""
        shape = self.shape(value)[: 2 if value in self.recording.filters else None]
        axes = {i: known[i] if i in known else self.fresh(n) for i, n in enumerate(shape) if n > 1}
        self.leaves[value], self.weights[value] = axes, value
        return axes

    def put(self, op: Op, axes: Axes) -> None:
        """The axes of the operation's output; of each of them, where it has several of one shape."""
        shape = self.shape(op.outputs[0])
        for out in op.outputs:
            if self.shape(out) == shape:
                self.place(out, axes)

    def place(self, value: int, axes: Axes) -> None:
        """The axes of a value. One with a single place has nothing to cut."""
        for ids in axes.values():
            if len(ids) == 1:
                self.pin(ids, "a single channel")
        self.axes[value] = {axis: ids for axis, ids in axes.items() if len(ids) > 1}

    def tie(self, a: ChannelIds | None, b: ChannelIds | None, reason: str = "") -> None:
        """The same position is the same channel. Where one side carries none, the other must stay whole."""
        if a is None or b is None:
            for ids in (a, b):
                if ids is not None:
                    self.pin(ids, reason)
        elif a is not b:
            self.ties.append((a.reshape(-1), b.reshape(-1)))

    def pin(self, ids: ChannelIds, reason: str) -> None:
        self.pins.append((ids.reshape(-1), self._at(reason)))

    def _at(self, reason: str) -> str:
        module = self.recording.ops[self.current].module if self.current >= 0 else ""
        return f"{reason} (module {module})" if module else reason

    def pin_value(self, value: int | Ref, reason: str) -> None:
        """Pin what lies on any axis of a value."""
        for ids in self.of(value).values():
            self.pin(ids, reason)

    def keep_equal(self, ids: ChannelIds, blocks: int) -> ChannelIds:
        """Tie the `blocks` equal parts of `ids` to one another, position by position; returns the first part.

        What a split makes of an axis must stay rectangular.
        """
        if blocks == 1:
            return ids
        parts = ids.reshape(blocks, -1)
        first: ChannelIds = parts[0]
        self.tie(parts[1:], np.tile(first, blocks - 1))
        return first

    def belong(self, value: Ref, axis: int, ids: ChannelIds | None, reason: str) -> None:
        """The axis of a parameter holds a place for each of these channels."""
        unseen = value.value not in self.axes and self.recording.values[value.value].origin in MODEL
        if ids is not None and unseen and self.shape(value)[axis] == len(ids) > 1:
            self.axes[value.value] = self._leaf(value.value, {axis: ids})
        elif ids is not None or self.of(value):
            self.tie(ids, self.of(value).get(axis), reason)

    def whole_blocks(self, ids: ChannelIds, blocks: int) -> ChannelIds:
        """Tie what is within each of the `blocks` equal parts of `ids`; returns one id a block."""
        parts: ChannelIds = ids.reshape(blocks, -1)
        if parts.shape[1] > 1:
            self.tie(parts[:, 1:], np.repeat(parts[:, 0], parts.shape[1] - 1))
        leaders: ChannelIds = parts[:, 0]
        return leaders

    def gather(self, op: Op) -> None:
        """Say that an operation must run on the channels that are left, once its inputs and outputs have their axes."""

        def places(values: list[int]) -> tuple[Place, ...]:
            return tuple(Place(i, axis, ids) for i, v in enumerate(values) for axis, ids in self.of(v).items())

        self.contractions.append(Contraction(self.current, "gather", places(op.inputs()), places(list(op.outputs))))

    def zero(self, tensor: int, axis: int, ids: ChannelIds, *, by_weight: bool) -> None:
        """Say that an operation sums products over an axis of its input number `tensor`."""
        self.contractions.append(Contraction(self.current, "zero", (Place(tensor, axis, ids),), by_weight=by_weight))

    # --- numbers ---------------------------------------------------------------------------------------------------

    def origins(self, op: Op, numbers: list[int]) -> list[Root | int | None]:
        """Where the sizes that an operation was given come from (see `numbers.origin`)."""
        return origin(op.given, numbers)

    def follows(self, ids: ChannelIds, root: Root | int | None, what: str) -> None:
        """The size of an axis with these ids is given by `root`, and must still fit it behind a cut."""
        if isinstance(root, Attribute):
            known = self.stored.setdefault(root, ids)
            if known is ids or known.shape != ids.shape:
                self.uses.append(Use(root, ids))
            else:
                self.tie(known, ids)
        elif isinstance(root, Size):
            self.of(root.value)  # a parameter that is not read otherwise has ids too
            self.sizes.append((ids, root, self._at(what)))
        elif root is not None:
            self.pin(ids, f"{what} is a fixed number")

    def freeze(self, root: Root | Product | int | None, what: str) -> None:
        """A number whose use has no rule must not change."""
        for factor in root.factors if isinstance(root, Product) else ():
            self.freeze(factor, what)
        if isinstance(root, Attribute):
            self.uses.append(Use(root, None))
        elif isinstance(root, Size):
            ids = self.of(root.value).get(root.axis)
            if ids is not None:
                self.pin(ids, what)

    def split_by(self, parts: list[ChannelIds], roots: list[Root | int | None], what: str) -> None:
        """Parts of one axis with a size each. Those with one origin are cut alike."""
        equal = len({len(p) for p in parts}) == 1
        if any(r is None or isinstance(r, Size) for r in roots):
            if equal and not any(isinstance(r, int) for r in roots):
                self.keep_equal(np.concatenate(parts), len(parts))
                for part, root in zip(parts, roots, strict=True):
                    self._sized(part, root, what)
                return
            for part, root in zip(parts, roots, strict=True):
                if root is None:  # computed to fit this one sum
                    self.pin(part, f"{what} is a fixed number")
                elif isinstance(root, Size):
                    self._sized(part, root, what)
            left = [(p, r) for p, r in zip(parts, roots, strict=True) if isinstance(r, Attribute | int)]
            parts, roots = [p for p, _ in left], [r for _, r in left]
        first: dict[Root, ChannelIds] = {}
        for part, root in zip(parts, roots, strict=True):
            if isinstance(root, Attribute):
                self.tie(first.setdefault(root, part), part)
            self.follows(part, root, what)

    def _sized(self, part: ChannelIds, root: Root | int | None, what: str) -> None:
        """A part as large as an axis. Where that is another tensor's, both lose the same places."""
        source = self.of(root.value).get(root.axis) if isinstance(root, Size) and root.scale == 1 else None
        if source is not None and len(source) == len(part):
            self.tie(source, part)
        else:
            self.follows(part, root, what)

    # --- the end ---------------------------------------------------------------------------------------------------

    def classes(self) -> tuple[ChannelIds, list[str | None]]:
        """The class of every id once the ties are drawn, and each class's first reason to stay."""
        label = self._connected()
        while self._tie_sizes(label):
            label = self._connected()
        self._check_numbers(label)
        reasons: list[str | None] = [None] * (int(label.max(initial=-1)) + 1)
        for ids, reason in self.pins:
            for c in np.unique(label[ids]).tolist():
                reasons[c] = reasons[c] or reason
        return label, reasons

    def _connected(self) -> ChannelIds:
        """The class of every id by the ties so far."""
        left = np.concatenate([a for a, _ in self.ties] or [np.empty(0, np.int64)])
        right = np.concatenate([b for _, b in self.ties] or [np.empty(0, np.int64)])
        links = scipy.sparse.coo_array((np.ones(len(left), np.int8), (left, right)), shape=(self.size, self.size))
        label: ChannelIds = scipy.sparse.csgraph.connected_components(links, directed=False)[1].astype(np.int64)
        return label

    def _tie_sizes(self, label: ChannelIds) -> bool:
        """Where an axis is given the size of one with other channels, as behind attention, both lose the same places."""
        tied = False
        for ids, root, _ in self.sizes:
            source = self.of(root.value).get(root.axis)
            alike = source is not None and root.scale == 1 and len(source) == len(ids)
            if alike and not np.array_equal(np.sort(label[ids]), np.sort(label[source])):
                self.tie(source, ids)
                tied = True
        return tied

    def _check_numbers(self, label: ChannelIds) -> None:
        """Pin where a size that the forward computes or stores would not be that of the axis it is used for."""
        self.current = -1
        for ids, root, what in self.sizes:
            source = self.of(root.value).get(root.axis)
            scale = root.scale
            if source is None:
                self.pin(ids, f"{what} is that of an axis of fixed size")
            elif not np.array_equal(
                np.sort(np.repeat(label[ids], scale.denominator)), np.sort(np.repeat(label[source], scale.numerator))
            ):
                for side in (ids, source):
                    self.pin(side, f"{what} is taken from an axis with other channels")
        first: dict[Attribute, Use] = {}
        for use in self.uses:
            key = replace(use.attribute, scale=Fraction(1))
            first_use = first.setdefault(key, use)
            if not _same_count(use, first_use, label):
                for u in (use, first_use):
                    if u.ids is not None:
                        self.pin(u.ids, f"{key.module}.{key.name} is stored once for different channels")


def _same_count(a: Use, b: Use, label: ChannelIds) -> bool:
    """Whether the stored number that fits one axis always fits the other, and is a whole one."""
    if a.ids is None or b.ids is None:
        return a.ids is b.ids
    (a_classes, a_counts), (b_classes, b_counts) = (np.unique(label[u.ids], return_counts=True) for u in (a, b))
    a_scale, b_scale = a.attribute.scale, b.attribute.scale
    a_counts, b_counts = a_counts * a_scale.denominator, b_counts * b_scale.denominator
    if not np.array_equal(a_classes, b_classes) or (a_counts % a_scale.numerator).any():
        return False
    return np.array_equal(a_counts * b_scale.numerator, b_counts * a_scale.numerator)
