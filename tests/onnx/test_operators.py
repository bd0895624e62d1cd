"""Every operator against the ONNX project's own cases, one for each way that its specification names."""

import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from models.onnx_files import answers, difference, model, node, saved, weights
from onnx.backend.test.case.node import collect_testcases

from padless import UsageError, load_onnx
from padless.onnx.files import OPSETS
from padless.onnx.operators import OPERATORS

# What the cases ask for that is refused in words, by a part of the message.
REFUSED = (
    "asks for the last of equal ones", "is dilated", "has a further output", "has unsupported type", "has no form",
    "asks for an output that is larger", "peepholes", "does not fit", "crops",
    "is antialiased or excludes the outside", "is cubic with asymmetric", "keeps the aspect ratio",
    "goes backwards over a part", "Unrecognized attribute", "No Op registered", "aligns corners by scales",
    "is in training mode", "is given lengths", "Give its open axes", "couples its gates", "has opset",
)  # fmt: skip
# Operators whose every case has a further output, needs whole numbers as inputs, or is of a later opset.
NEVER_ALONE = {"Range", "Size", "ConstantOfShape", "LayerNormalization", "Cast", "CastLike", "CumSum"}
TIES = {"test_top_k_same_values", "test_top_k_same_values_largest", "test_top_k_same_values_2d"}
CONSTANT_KINDS = {"LSTM", "GRU", "RNN"}
LEAST = 500  # cases that are read and right; fewer would mean that something is refused that was not


def cases():
    """The cases of each operator that are one node on arrays, as files whose parameters are constants."""
    by_operator = defaultdict(list)
    with warnings.catch_warnings():  # it casts what does not fit
        warnings.simplefilter("ignore")
        every = collect_testcases(None)
    for case in every:
        nodes = case.model.graph.node
        if len(nodes) == 1 and nodes[0].op_type in OPERATORS and case.data_sets:
            by_operator[nodes[0].op_type].append(case)
    return by_operator


CASES = cases()


def as_file(case, folder: Path):
    """A case's file and the inputs that are left: whole numbers and weights become constants, as in real files."""
    proto = onnx.ModelProto.FromString(case.model.SerializeToString())
    graph, only = proto.graph, proto.graph.node[0]
    operator = OPERATORS[only.op_type]
    left, inputs = [], []
    for i, (value, array) in enumerate(zip(list(graph.input), case.data_sets[0][0], strict=True)):
        if not isinstance(array, np.ndarray):
            return None, []
        role = operator.input(list(only.input).index(value.name))
        if only.op_type == "ConstantOfShape" or (
            i and (array.dtype.kind == "i" or role in operator.constant or only.op_type in CONSTANT_KINDS)
        ):
            graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
        else:
            left.append(onnx.ValueInfoProto.FromString(value.SerializeToString()))
            inputs.append(array)
    del graph.input[:]
    graph.input.extend(left)
    proto.opset_import[0].version = min(max(proto.opset_import[0].version, OPSETS[0]), OPSETS[-1])
    return saved(proto, folder), inputs


@pytest.mark.parametrize("operator", sorted(CASES))
def test_an_operator_is_right_or_refused_in_each_case_of_its_specification(operator, tmp_path):
    right, refused = 0, {}
    for case in CASES[operator]:
        file, inputs = as_file(case, tmp_path)
        if not inputs or case.name in TIES or any(array.size == 0 for array in inputs):  # a size of 0 means: open
            continue
        try:
            network = load_onnx(file)
        except UsageError as error:
            refused[case.name] = str(error)
            continue
        with torch.no_grad():
            got = network(*(torch.from_numpy(np.array(array)) for array in inputs))
        for a, b in zip(got if isinstance(got, tuple) else (got,), case.data_sets[0][1], strict=False):
            assert tuple(a.shape) == b.shape, case.name
            same = np.allclose(a.numpy().astype(np.float64), b.astype(np.float64), 1e-3, 1e-4, equal_nan=True)
            assert same, case.name
        right += 1
    unexpected = {name: said for name, said in refused.items() if not any(part in said for part in REFUSED)}
    assert not unexpected
    RIGHT[operator] = right


RIGHT: dict[str, int] = {}


def test_enough_cases_are_right():
    """Behind the cases themselves: most are not refused."""
    if len(RIGHT) == len(CASES):  # all of them ran
        assert sum(RIGHT.values()) >= LEAST
        assert {name for name, count in RIGHT.items() if not count} <= NEVER_ALONE


CHANNELS = (1, 4, 6, 6)
SINGLE = {
    "Cast": (node("Cast", "x", "i", to=6), node("Cast", "i", "y", to=1)),
    "CastLike": (node("CastLike", "x x", "y"),),
    "CumSum": (node("CumSum", "x axis", "y"),),
    "Dropout": (node("Dropout", "x", "y"),),
    "Upsample": (node("Upsample", "x scales", "y", mode="nearest"),),
    "Upsample by attribute of opset 9": (node("Upsample", "x scales", "y", mode="linear"),),
    "Resize 10": (node("Resize", "x scales", "y", mode="nearest"),),
    "Resize asymmetric linear": (
        node("Resize", "x - scales3", "y", mode="linear", coordinate_transformation_mode="asymmetric"),
    ),
    "Softmax 11": (node("Softmax", "x", "y", axis=1),),
    "LogSoftmax 11": (node("LogSoftmax", "x", "y", axis=2),),
    "Clip 10": (node("Clip", "x", "y", min=-0.5, max=0.25),),
    "Squeeze 11": (node("Unsqueeze", "x", "u", axes=[0]), node("Squeeze", "u", "y", axes=[0])),
    "ReduceSum 11": (node("ReduceSum", "x", "y", axes=[1]),),
    "Split 11": (node("Split", "x", "a y", axis=1, split=[1, 3]),),
    "Pad 10": (node("Pad", "x", "y", pads=[0, 0, 1, 2, 0, 0, 0, 1], value=0.5),),
    "GroupNormalization 21": (node("GroupNormalization", "x g h4", "y", num_groups=2),),
    "LayerNormalization": (node("LayerNormalization", "x scale6", "y"),),
    "ConvTranspose uneven": (node("ConvTranspose", "x w", "y", strides=[2, 2], pads=[0, 1, 1, 0]),),
    "ConvTranspose same": (node("ConvTranspose", "x w", "y", strides=[2, 2], auto_pad="SAME_LOWER"),),
    "AveragePool uneven": (node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1, 0, 0, 1]),),
    "MaxPool ceil": (node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1], ceil_mode=1),),
    "PRelu": (node("PRelu", "x slope", "y"),),
    "HardSigmoid": (node("HardSigmoid", "x", "y", alpha=0.3, beta=0.4),),
    "Shape sub-graph": (
        node("Shape", "x", "s"), node("Gather", "s two", "h"), node("Mul", "h two", "d"), node("Unsqueeze", "d", "u", axes=[0]),
        node("Concat", "first u minus", "shape", axis=0), node("Reshape", "x shape", "y"),
    ),
    "Shape by floats": (
        node("Shape", "x", "s"), node("Slice", "s starts ends", "hw"), node("Cast", "hw", "f", to=1),
        node("Mul", "f doubled", "m"), node("Floor", "m", "n"), node("Cast", "n", "i", to=7),
        node("Shape", "x", "t"), node("Slice", "t zeros starts", "nc"), node("Concat", "nc i", "sizes", axis=0),
        node("Resize", "x - - sizes", "y", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    ),
    "Where on shapes": (
        node("Shape", "x", "s"), node("Equal", "s s", "e"), node("Where", "e s ones", "w4"), node("Expand", "x w4", "y"),
    ),
    "Gather backwards": (node("Gather", "x back", "y", axis=1),),
    "Slice backwards": (node("Slice", "x last first axis step", "y"),),
    "LSTM with states": (
        node("Reshape", "x long", "r"), node("LSTM", "r lw lr lb - lh lc", "y", direction="bidirectional", hidden_size=5),
    ),
    "GRU with a state": (
        node("Reshape", "x long", "r"), node("GRU", "r gw gr gb - gh", "y", direction="reverse", linear_before_reset=1, hidden_size=5),
    ),
    "GRU that resets first": (node("Reshape", "x long", "r"), node("GRU", "r gw gr", "y", direction="reverse", hidden_size=5)),
    "GRU that resets first in both directions": (
        node("Reshape", "x long", "r"), node("GRU", "r gw2 gr2 gb2 - lh", "y", direction="bidirectional", hidden_size=5),
    ),
    "ConstantOfShape": (node("Shape", "x", "s"), node("ConstantOfShape", "s", "z"), node("Sub", "x z", "y")),
    "Range": (
        node("Range", "nought four one", "r"), node("Cast", "r", "f", to=1), node("Reshape", "f four_one", "q"),
        node("Add", "x q", "y"),
    ),
}  # fmt: skip
OPSET_OF = {"Upsample": 9, "Resize 10": 10, "Shape sub-graph": 11}
CONSTANTS = {
    "axis": 1, "scales": [1.0, 1.0, 2.0, 2.0], "scales3": [1.0, 1.0, 3.0, 1.5], "g": weights(4), "h4": weights(4, seed=1),
    "scale6": weights(6),
    "w": weights(4, 3, 3, 3), "slope": weights(4, 1, 1), "two": 2, "first": [1], "minus": [-1], "starts": [2], "ends": [4],
    "zeros": [0], "doubled": [2.0, 2.0], "ones": [1, 1, 1, 1], "back": [-1, 0, -2], "last": [-1], "step": [-1],
    "long": [4, 3, 12], "lw": weights(2, 20, 12), "lr": weights(2, 20, 5), "lb": weights(2, 40), "lh": weights(2, 3, 5),
    "lc": weights(2, 3, 5, seed=1), "gw": weights(1, 15, 12), "gr": weights(1, 15, 5), "gb": weights(1, 30),
    "gh": weights(1, 3, 5), "gw2": weights(2, 15, 12), "gr2": weights(2, 15, 5), "gb2": weights(2, 30),
    "nought": 0, "four": 4, "one": 1, "four_one": [4, 1, 1],
}  # fmt: skip


@pytest.mark.parametrize("name", SINGLE)
def test_a_form_of_an_older_or_rarer_kind_is_onnx_runtimes(name, tmp_path):
    last = name.split()[-1]
    opset = OPSET_OF.get(name.split(" by")[0], int(last) if last.isdigit() else 17)
    constants = {**CONSTANTS, "first": [-100], "axis": [1]} if name.startswith("Slice back") else CONSTANTS
    used = {i for each in SINGLE[name] for i in each.input}
    file = saved(
        model(SINGLE[name], {k: v for k, v in constants.items() if k in used}, opset=opset, inputs={"x": CHANNELS}),
        tmp_path,
    )
    x = torch.randn(CHANNELS)
    assert difference(load_onnx(file)(x), answers(file, x)[0]) < 1e-5
