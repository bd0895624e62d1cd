"""Damaged files: whatever is changed in one, it is read or refused in words."""

import random
import time
from typing import Any

import pytest
import torch
from models.onnx_files import chain, model, node, saved, weights

from padless import PadlessError, UsageError, load_onnx, trace


def shapes() -> Any:
    """Shapes worked out in the graph, slices, a resize: what numbers can do harm in."""
    nodes = [
        node("Conv", "x w", "c", pads=[1, 1, 1, 1], group=1),
        node("Shape", "c", "s"),
        node("Gather", "s one", "width", axis=0),
        node("Div", "width two", "half"),
        node("Unsqueeze", "half zero", "ends"),
        node("Slice", "c zero ends axis", "a"),
        node("Resize", "a - scales", "r", mode="nearest"),
        node("Pad", "r pads", "q"),
        node("Tile", "q repeats", "t"),
        node("Reshape", "t shape", "y"),
    ]
    constants = {
        "w": weights(8, 3, 3, 3), "one": 1, "two": 2, "zero": [0], "axis": [1], "scales": [1.0, 1.0, 2.0, 2.0],
        "pads": [0, 0, 1, 1, 0, 0, 1, 1], "repeats": [1, 1, 1, 2], "shape": [1, -1],
    }  # fmt: skip
    return model(nodes, constants)


def changed(proto: Any, generator: random.Random) -> bytes:
    """Sense changed: a number, a name, a type, a shape, an operator; a node doubled, dropped or moved."""
    proto = type(proto).FromString(proto.SerializeToString())
    graph, odd = proto.graph, generator.choice([0, -1, 1, 2, 7, 1 << 20, 1 << 31, 1 << 40, -(1 << 63), (1 << 63) - 1])
    names = [name for each in graph.node for name in (*each.input, *each.output)]
    some, constant = generator.choice(graph.node), generator.choice(graph.initializer)
    match generator.randrange(12):
        case 0 | 1:
            attribute = generator.choice([a for each in graph.node for a in each.attribute if a.type in (2, 7)])
            if attribute.ints:
                attribute.ints[generator.randrange(len(attribute.ints))] = odd
            else:
                attribute.i = odd
        case 2 | 3:
            tensor = generator.choice([t for t in graph.initializer if t.data_type == 7])
            tensor.raw_data = odd.to_bytes(8, "little", signed=True) + tensor.raw_data[8:]
        case 4 if constant.dims:
            constant.dims[generator.randrange(len(constant.dims))] = odd
        case 5:
            constant.data_type = generator.randrange(30)
        case 6:
            some.input[generator.randrange(len(some.input))] = generator.choice(names)
        case 7:
            some.op_type = generator.choice(
                ["If", "Loop", "Concat", "Add", "MatMul", "Cast", "Nothing", "Split", "Shape"]
            )
        case 8:
            graph.node.remove(some)
        case 9:
            graph.node.append(some)
        case 10:
            dims = graph.input[0].type.tensor_type.shape.dim
            dims[generator.randrange(len(dims))].dim_value = odd
        case _:
            some.domain = generator.choice(["com.microsoft", "ai.onnx.ml", "mine"])
    return bytes(proto.SerializeToString())


def mutated(content: bytes, generator: random.Random) -> bytes:
    """Bytes changed, cut out, doubled or put in."""
    data = bytearray(content)
    for _ in range(generator.choice([1, 1, 2, 8])):
        place, length = generator.randrange(len(data)), generator.choice([1, 1, 4, 32])
        match generator.randrange(5):
            case 0:
                data[place] = generator.randrange(256)
            case 1:
                data[place] ^= 1 << generator.randrange(8)
            case 2:
                del data[place : place + length]
            case 3:
                data[place:place] = data[place : place + length]
            case _:
                data[place:place] = bytes(generator.choice([b"\xff" * 9 + b"\x01", b"\x00", b"\x80\x01"]))
        if not data:
            break
    return bytes(data)


@pytest.mark.parametrize("make", [chain, shapes])
def test_250_mutations_are_read_or_refused(make, tmp_path):
    """Never another error, never a crash, and never minutes; what is read can be recorded, too, without its memory."""
    proto, generator = make(), random.Random(0)
    content = proto.SerializeToString()
    file = tmp_path / "m.onnx"
    outcomes = {"read": 0, "refused": 0}
    for number in range(250):
        file.write_bytes(changed(proto, generator) if number % 2 else mutated(content, generator))
        start = time.process_time()
        try:
            network = load_onnx(file)
            trace(network, *(torch.empty(shape, device="meta") for shape in network.example_shapes))
            outcomes["read"] += 1
        except PadlessError:
            outcomes["refused"] += 1
        assert time.process_time() - start < 10, number
    assert outcomes["read"] > 10 and outcomes["refused"] > 50


def test_every_truncation_is_refused(tmp_path):
    content = chain().SerializeToString()
    for size in range(0, len(content), len(content) // 60):
        file = tmp_path / "m.onnx"
        file.write_bytes(content[:size])
        with pytest.raises(UsageError):
            load_onnx(file)


def test_the_untouched_files_are_read(tmp_path):
    for make in (chain, shapes):
        assert load_onnx(saved(make(), tmp_path)).source.steps
