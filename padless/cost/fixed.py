"""Layers whose output channels belong to no group, and why: nothing of them can ever be cut."""

from collections.abc import Iterator
from dataclasses import dataclass

from padless.graph import Graph
from padless.graph.recording import Op, Recording, Ref

MODEL = ("parameter", "buffer")
WEIGHT = {"aten.convolution": 1, "aten._convolution": 1, "aten.addmm": 2, "aten.mm": 1}  # its place among the arguments
MOVING = frozenset(f"aten.{name}" for name in ("t", "transpose", "permute", "detach", "clone", "view", "_to_copy"))
PAST_THE_MODEL = (
    "has a weight that is no parameter of the model: the forward reaches it past the model, through a closure, a lambda "
    "or a plain attribute"
)


@dataclass(frozen=True, slots=True)
class FixedLayer:
    """A layer without channels of its own."""

    layer: str
    width: int  # its output channels
    reason: str


def fixed_layers(graph: Graph) -> tuple[FixedLayer, ...]:
    """Every layer whose output channels are in no group, in the order of the run. A second call counts once."""
    grouped = {m.layer.partition("@")[0] for group in graph.groups for m in group.members if m.side == "out"}
    layers: dict[str, FixedLayer] = {}
    makers = {value: op for op in graph.recording.ops for value in op.outputs}
    for op in graph.recording.ops:
        for name, reason in _fixed(op, graph.recording, makers):
            shape = graph.recording.shape(op.outputs[0])
            width = shape[1] if "convolution" in op.name and len(shape) > 1 else shape[-1] if shape else 1
            if name not in grouped:
                layers.setdefault(name, FixedLayer(name, width, reason))
    return tuple(layers.values())


def _fixed(op: Op, recording: Recording, makers: dict[int, Op]) -> Iterator[tuple[str, str]]:
    """The name of the layer that an operation is, and why its channels would be in no group."""
    if op.name.startswith("quantized."):
        yield op.module or op.name, f"{op.name} is quantised; prune the float network, then quantise the small one"
        return
    place = WEIGHT.get(op.name)
    if place is None or not isinstance(op.args[place], Ref):
        return
    weight = recording.values[op.args[place].value]
    made = []  # the operations between the weight that the layer reads and the model's own
    while weight.origin == "op" and makers[weight.id].reads:
        made.append(makers[weight.id])
        sources = [recording.values[v] for v in makers[weight.id].reads]
        weight = next((v for v in sources if v.origin in MODEL), sources[0])
    made = [step for step in made if step.name not in MOVING]
    own = weight.name.removesuffix(".weight").removesuffix(".original1").removesuffix(".parametrizations.weight")
    name = own if weight.origin in MODEL and own else op.module or op.name
    if weight.id in recording.scripted:
        yield name, "belongs to a compiled module (torch.jit); prune the network before it is traced or scripted"
    elif weight.origin == "constant":
        yield name, PAST_THE_MODEL
    elif made:
        by = made[-1]
        quantised = any("fq_helper" in step.name or "quant" in step.name for step in made)
        remedy = "; prune first, then prepare the small network for quantisation" if quantised else ""
        yield name, f"has a weight that {by.name} {'quantises' if quantised else 'computes'}{remedy}"
    else:
        yield name, f"{op.name} makes no channels of its own here"
