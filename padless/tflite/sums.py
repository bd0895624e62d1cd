"""Constants that are added to maps, as where a residual branch was removed: they go into the layer before."""

import numpy as np

from padless.graph.recording import Op, Ref
from padless.tflite.constants import once
from padless.tflite.lowered import Floats
from padless.tflite.lowering import Lowering


def constants_behind(lowering: Lowering, op: Op) -> tuple[Floats, Op]:
    """What is added to each channel of an operation's map by the additions that alone read it, and the last of them.

    So it is behind a residual branch that was removed. Each addition is merged into the operation. Where another map
    is added first, as by the branch before, what comes behind that goes to the operation, too.
    """
    total, last = _merged(lowering, op)
    reader = lowering.only_reader(last.outputs[0])
    if reader and _joins(lowering, last.outputs[0], reader[1]):
        more, end = _merged(lowering, reader[1])
        if end is not reader[1]:
            total, lowering.ends[reader[1].outputs[0]] = total + more, end
    return total, last


def _merged(lowering: Lowering, op: Op) -> tuple[Floats, Op]:
    total, last = np.zeros(lowering.shape(op.outputs[0])[1]), op
    while (reader := lowering.only_reader(last.outputs[0])) and reader[0] not in lowering.merged:
        added = _added(lowering, last.outputs[0], reader[1])
        if added is None:
            break
        total, last = total + added, reader[1]
        lowering.merged.add(reader[0])
    return total, last


def _joins(lowering: Lowering, value: int, op: Op) -> bool:
    """Whether an operation adds a map to another of the same shape, and nothing else."""
    return _is_sum(op) and all(
        isinstance(ref, Ref) and lowering.shape(ref.value) == lowering.shape(value) for ref in op.args[:2]
    )


def _added(lowering: Lowering, value: int, op: Op) -> Floats | None:
    """[C] what an operation adds to each channel of a map, where it does nothing else."""
    others = [ref for ref in op.args[:2] if not (isinstance(ref, Ref) and ref.value == value)]
    if (
        not _is_sum(op)
        or len(others) != 1
        or not isinstance(others[0], Ref)
        or lowering.shape(op.outputs[0]) != lowering.shape(value)
    ):
        return None
    known = lowering.known(others[0].value)
    if known is None:
        return None
    data = once(known.detach().cpu().double().numpy())
    data = data.reshape((1,) * (len(lowering.shape(value)) - data.ndim) + data.shape)
    return np.broadcast_to(data.reshape(-1), lowering.shape(value)[1]) if data.size == data.shape[1] else None


def _is_sum(op: Op) -> bool:
    return op.name in ("aten.add", "aten.add_") and op.kwargs.get("alpha", 1) == 1
