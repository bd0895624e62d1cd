"""Operations that write into a tensor which is read elsewhere: the values of a recording are written once."""

from collections.abc import Mapping, Sequence

from padless.graph.recording import Op, Recording
from padless.graph.views import roots


def overwriting(recording: Recording, readers: Mapping[int, Sequence[int]]) -> Op | None:
    """The first operation that writes into a part of a tensor that is read again as a whole, or the other way round.

    `readers` has for each value the places of the operations that read it.
    """
    outputs = set(recording.outputs)
    root = roots(recording)
    family: dict[int, list[int]] = {}  # a tensor -> its views and itself, in the order of their making
    for place, op in enumerate(recording.ops):
        if not op.outputs or op.outputs[0] not in root:
            continue
        source = root[op.outputs[0]]
        views = family.setdefault(source, [source])
        others = [v for v in views if v != op.reads[0]]
        if op.name.endswith("_") and any(v in outputs or readers.get(v, [-1])[-1] > place for v in others):
            return op
        views.extend(op.outputs)
    return None
