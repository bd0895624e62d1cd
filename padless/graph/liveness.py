"""What is needed, and what lives at once: the live ranges of a recorded network's tensors."""

from collections import Counter
from dataclasses import dataclass

from padless.graph.recording import Op, Recording
from padless.graph.structure import Graph

VIEWS = frozenset((
    "view", "_unsafe_view", "reshape", "flatten", "squeeze", "unsqueeze", "detach", "alias", "clone", "native_dropout",
    "_to_copy", "expand", "t",
))  # fmt: skip
JOINS = frozenset(["cat"])
TWO_STEPS = frozenset(["silu", "gelu", "mish"])  # x times a function of x: both are there at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What lives while one operation runs."""

    where: str  # its module
    values: tuple[int, ...]


def needed(recording: Recording) -> list[int]:
    """The operations that the outputs depend on."""
    wanted, found = set(recording.outputs), []
    for i, op in reversed(list(enumerate(recording.ops))):
        if wanted.intersection(op.outputs):
            wanted.update(op.inputs())
            found.append(i)
    return found[::-1]


def moments(graph: Graph) -> list[Moment]:
    """The sets of values that live at the same time, each once and none that is part of the one beside it."""
    recording = graph.recording
    born, dies = _lives(recording)
    largest: list[Moment] = []
    for i in range(-1, len(recording.ops)):
        live = tuple(v for v, first in born.items() if first <= i <= dies.get(v, first))
        where = (recording.ops[i].module or "network") if i >= 0 else "input"
        if largest and set(live) <= set(largest[-1].values):
            continue
        if largest and set(largest[-1].values) < set(live):
            largest.pop()
        largest.append(Moment(where=where, values=live))
    return largest


def _lives(recording: Recording) -> tuple[dict[int, int], dict[int, int]]:
    """For each value with memory of its own: the operation that makes it (-1 for inputs), and the last that needs it."""
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
            for part in operands if _name(op) in JOINS and value in born else ():
                if part not in recording.inputs and root(part) == part and joins[part] == 1:
                    born[value] = min(born[value], born.pop(part))
                    storage[part] = value
    dies: dict[int, int] = {}
    for value, when in last.items():
        home = root(value)
        dies[home] = max(dies.get(home, when), when)
    return born, dies


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
