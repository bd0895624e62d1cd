"""How much memory a network's activations need at once: the live ranges of its tensors.

A tensor lives from the operation that writes it to the last one that reads it. Channels are padded to the target's memory
block (those of the network's inputs and outputs only where a layout without padding does not exist) and tensors to its
alignment. What compilers for NPUs do without a copy needs no memory of its own: views, what is merged into the operation
before it (normalisation, activation functions), an elementwise operation that may overwrite an operand nobody reads
again, and a concatenation, whose parts are written where they belong.

The answer is the largest sum of what lives at the same time: what an allocator without gaps needs, if whole tensors are
kept. A compiler that cuts maps into stripes and passes them on (cascading) may need less; one that buffers weights in the
same memory needs more.
"""

import math
from collections import Counter
from dataclasses import dataclass

from padless.graph import Graph
from padless.graph.record import Op, Recording
from padless.hardware import Target, round_up

VIEWS = frozenset((
    "view", "_unsafe_view", "reshape", "flatten", "squeeze", "unsqueeze", "detach", "alias", "clone", "native_dropout",
    "_to_copy", "expand", "t",
))  # fmt: skip
JOINS = frozenset(["cat"])
TWO_STEPS = frozenset(["silu", "gelu", "mish"])  # x times a function of x: both are there at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The most bytes that activations need at once, and the operation (module) at which they do."""

    bytes: int
    where: str


def peak_memory(graph: Graph, target: Target) -> Peak:
    """Live-range analysis of one run of the recorded network, in the precision that the target prices."""
    recording = graph.recording
    last = _last_uses(recording)
    storage: dict[int, int] = {}  # value -> the value whose memory it lies in

    def root(value: int) -> int:
        while storage.get(value, value) != value:
            value = storage[value]
        return value

    born: dict[int, int] = {}
    for value in recording.inputs:
        born[value] = -1
    joins = Counter(v for op in recording.ops if _name(op) in JOINS for v in set(op.inputs()))
    for i, op in enumerate(recording.ops):
        operands = [v for v in dict.fromkeys(op.inputs()) if root(v) in born]
        if not operands:  # made of parameters alone: a constant
            continue
        for value in op.outputs:
            home = _shared(recording, op, value, operands, i, last)
            if home is not None:
                storage[value] = root(home)
            elif value in last:
                born[value] = i
            for part in operands if _name(op) in JOINS else ():
                if part not in recording.inputs and root(part) == part and joins[part] == 1:
                    born[value] = min(born[value], born.pop(part))
                    storage[part] = value
    dies: dict[int, int] = {}
    for value, when in last.items():
        home = root(value)
        dies[home] = max(dies.get(home, when), when)
    plain = {*recording.inputs, *recording.outputs} if target.memory.channel_block_optional else set()
    sizes = {value: _bytes(recording.shape(value), target, 1 if value in plain else target.block) for value in born}
    change = [0] * (len(recording.ops) + 2)
    for value, first in born.items():
        change[first + 1] += sizes[value]
        change[dies.get(value, first) + 2 if dies.get(value, first) < len(recording.ops) else -1] -= sizes[value]
    live, most, where = 0, 0, "network"
    for i, step in enumerate(change[:-1]):
        live += step
        if live > most:
            most, where = live, (recording.ops[i - 1].module or "network") if i else "input"
    return Peak(bytes=most, where=where)


def _last_uses(recording: Recording) -> dict[int, int]:
    """Value -> the last operation that reads it; the number of operations for outputs."""
    last = {value: i for i, op in enumerate(recording.ops) for value in op.inputs()}
    return last | {value: len(recording.ops) for value in recording.outputs}


def _shared(recording: Recording, op: Op, value: int, operands: list[int], i: int, last: dict[int, int]) -> int | None:
    """The operand whose memory a result may use."""
    name = _name(op)
    if name in VIEWS and operands:
        return operands[0]
    elementwise = not _windowed(name) and name not in TWO_STEPS
    for operand in operands:
        same = recording.shape(operand) == recording.shape(value)
        if elementwise and same and last.get(operand, i) <= i and operand not in recording.inputs:
            return operand
    return None


def _windowed(name: str) -> bool:
    """Whether a result element reads other places than its own, so that operands must stay until it is done."""
    return any(part in name for part in ("conv", "pool", "mm", "linear", "upsample", "softmax", "roll", "flip", "pad"))


def _name(op: Op) -> str:
    return op.name.removeprefix("aten.").removesuffix("_")


def _bytes(shape: tuple[int, ...], target: Target, block: int) -> int:
    """Channels lie on axis 1 of a map, on the last axis of anything else."""
    if not shape:
        return 0
    axis = 1 if len(shape) >= 3 else len(shape) - 1
    padded = math.prod((*shape[:axis], *shape[axis + 1 :])) * round_up(shape[axis], block)
    return round_up(-(-padded * target.activation_bits // 8), target.memory.align_bytes or 1)
