"""Branches and loops: decided beforehand where constants decide them, else refused by operator and node."""

import time

import numpy as np
import pytest
import torch
from models.onnx_files import answers, constant, difference, model, node, saved, weights
from onnx import helper

from padless import UsageError, export, load_onnx, plan, prune


def refused(proto, folder, message):
    with pytest.raises(UsageError, match=message):
        load_onnx(saved(proto, folder))


def branching(condition):
    """A branch with a condition that is a constant, or an input."""
    branches = []
    for name, operator in (("then", "Relu"), ("else", "Neg")):
        made = node(operator, "x", f"{name}_y")
        branches.append(
            helper.make_graph([made], name, [], [helper.make_tensor_value_info(f"{name}_y", 1, [1, 3, 8, 8])])
        )
    chosen = helper.make_node("If", ["c"], ["i"], "choose", then_branch=branches[0], else_branch=branches[1])
    nodes = [chosen, node("Sigmoid", "i", "y")]
    if condition is None:
        return model([node("ReduceMax", "x", "m", keepdims=0), node("Cast", "m", "c", to=9), *nodes])
    return model(nodes, [constant("c", condition, np.bool_)])


@pytest.mark.parametrize("condition", [True, False])
def test_a_branch_with_a_constant_condition_is_taken(condition, tmp_path):
    network = load_onnx(saved(branching(condition), tmp_path))
    x = torch.randn(1, 3, 8, 8)
    assert torch.equal(network(x), torch.sigmoid(torch.relu(x) if condition else -x))


def test_another_branch_is_refused(tmp_path):
    refused(branching(None), tmp_path, r"If \(node choose\) decides while it runs what is computed")


FLOAT, WHOLE, TRUTH = 1, 7, 9
MAP = [1, 8, 8, 8]
STEP = (node("Conv", "v w", "p", pads=[1, 1, 1, 1]), node("Relu", "p", "v2"), node("Identity", "go", "go2"))
VALUES = {"i": (WHOLE, []), "go": (TRUTH, []), "go2": (TRUTH, [])}


def graph(name, nodes, inputs, outputs):
    infos = (
        [helper.make_tensor_value_info(n, *VALUES.get(n, (FLOAT, MAP))) for n in names.split()]
        for names in (inputs, outputs)
    )
    return helper.make_graph(list(nodes), name, *infos)


def looping(times=3, *, go=True, body=STEP, hands_out="go2 v2", inputs="m c r", outputs="l", after=(), opset=17):
    """A convolution, a loop over others with one weight, and a last one."""
    repeated = graph("body", body, "i go v", hands_out)
    names = ["" if name == "-" else name for name in inputs.split()]
    loop = helper.make_node("Loop", names, outputs.split(), "again", body=repeated)
    nodes = [
        node("Conv", "x first", "f1", pads=[1, 1, 1, 1]), node("Relu", "f1", "r"), loop, *(after or [node("Conv", "l last", "y")]),
    ]  # fmt: skip
    constants = {
        "m": np.array(times), "c": np.array(go), "first": weights(8, 3, 3, 3), "w": 0.3 * weights(8, 8, 3, 3), "last": weights(4, 8, 1, 1),
    }  # fmt: skip
    return model(nodes, constants, opset=opset)


AXIS = node("Constant", "", "axis", value=constant("", [0], np.int64))
LOOPS = {
    "once": looping(1),
    "three times": looping(),
    "64 times": looping(64, body=[node("Sigmoid", "v", "v2"), STEP[2]]),
    "never": looping(0),
    "less than never": looping(-7),
    "without a condition": looping(inputs="m - r"),
    "a condition of its own": looping(body=[*STEP[:2], node("Constant", "", "go2", value=constant("", True, np.bool_))]),
    "a condition of outside": looping(body=[*STEP[:2], node("Cast", "c", "go2", to=TRUTH)]),
    "its own number": looping(body=[STEP[0], node("Cast", "i", "f", to=FLOAT), node("Mul", "p f", "v2"), STEP[2]]),
    "what it was given": looping(body=STEP[2:], hands_out="go2 v"),
    "a branch on its number": looping(
        body=[
            node("Constant", "", "one", value=constant("", 1, np.int64)), node("Greater", "i one", "late"), STEP[2],
            helper.make_node(
                "If", ["late"], ["v2"], "choose", then_branch=graph("then", [node("Relu", "v", "a")], "", "a"),
                else_branch=graph("else", [node("Neg", "v", "b")], "", "b"),
            ),
        ],
    ),
    "a loop in a loop": looping(
        body=[
            helper.make_node(
                "Loop", ["m", "c", "v"], ["v2"], "inner",
                body=helper.make_graph(
                    [node("Conv", "u w", "q", pads=[1, 1, 1, 1]), node("Sigmoid", "q", "u2"), node("Identity", "on", "on2")], "inner",
                    [helper.make_tensor_value_info(n, *t) for n, t in (("j", (WHOLE, [])), ("on", (TRUTH, [])), ("u", (FLOAT, MAP)))],
                    [helper.make_tensor_value_info(n, *t) for n, t in (("on2", (TRUTH, [])), ("u2", (FLOAT, MAP)))],
                ),
            ),
            STEP[2],
        ],
    ),
    "collecting": looping(
        hands_out="go2 v2 p p", outputs="l all all_again", after=[AXIS, node("ReduceSum", "all axis", "s", keepdims=0), node("Add", "s l", "y")],
    ),
    "collecting before opset 13": looping(hands_out="go2 v2 p", outputs="l all", after=[node("ReduceSum", "all", "y", axes=[0])], opset=11),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_of_a_known_number_of_turns_is_unrolled(name, tmp_path):
    file = saved(LOOPS[name], tmp_path)
    network, x = load_onnx(file), torch.randn(1, 3, 8, 8)
    assert not any(network.get_submodule(step.path).operator in ("Loop", "If") for step in network.source.steps)
    assert difference(answers(file, x)[0], network(x)) < 1e-5


def test_an_unrolled_loop_is_cut_with_its_one_weight(tmp_path):
    network, x = load_onnx(saved(looping(), tmp_path)), torch.randn(1, 3, 8, 8)
    small = prune(network, plan(network, x, target="unit:2", budget="macs=60%"))
    turns = [small.get_submodule(f"node_p_{turn}").weight for turn in range(3)]
    assert turns[0] is turns[1] is turns[2] and turns[0].shape[0] == turns[0].shape[1] < 8
    written = tmp_path / "small.onnx"
    assert export(small, x, written).parity < 1e-5
    assert difference(answers(written, x)[0], small(x)) < 1e-5


UNKNOWN = r"operator Loop \(node again\) decides while it runs what is computed"
REFUSED = {
    "too often": (looping(65), r"Loop \(node again\) runs 65 times; up to 64 are unrolled"),
    "without end": (looping(10**12), r"Loop \(node again\) runs 1000000000000 times; up to 64 are unrolled"),
    "no number": (looping(inputs="- c r"), UNKNOWN),
    "two numbers": (looping([3, 4]), UNKNOWN),
    "not begun": (looping(go=False), UNKNOWN),
    "ended by what it computes": (
        looping(body=[*STEP[:2], node("ReduceMax", "v", "most", keepdims=0), node("Cast", "most", "go2", to=TRUTH)]), UNKNOWN,
    ),
    "nothing collected": (
        looping(0, hands_out="go2 v2 p", outputs="l all", after=[node("Conv", "l last", "y")]), "collects outputs and runs 0 times",
    ),
    "a missing name": (looping(body=[node("Relu", "nothing", "v2"), STEP[2]]), "is not a valid ONNX file: .*input 'nothing' of node"),
    "itself": (looping(body=[node("Relu", "v2", "v2"), STEP[2]]), "is not a valid ONNX file: .*input 'v2' of node"),
    "its own loop": (looping(body=[node("Add", "v l", "v2"), STEP[2]]), "is not a valid ONNX file: .*input 'l' of node"),
    "too few values": (looping(inputs="m c"), "is not a valid ONNX file: .*Graph has 3 inputs but 2 were provided"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_another_loop_is_refused(name, tmp_path):
    proto, message = REFUSED[name]
    refused(proto, tmp_path, message)


@pytest.mark.parametrize("depth", [3, 7])
def test_loops_in_loops_have_an_end(depth, tmp_path):
    """64 turns of 64 turns of …"""
    body = graph("body", [node("Relu", "v", "v2"), STEP[2]], "i go v", "go2 v2")
    for level in range(depth):
        names = {name: f"{name}_{level}" for name in ("i", "go", "v", "v2", "go2")}
        VALUES.update({names["i"]: VALUES["i"], names["go"]: VALUES["go"], names["go2"]: VALUES["go2"]})
        inner = helper.make_node("Loop", ["m", "c", names["v"]], [names["v2"]], f"inner{level}", body=body)
        nodes = [inner, node("Identity", names["go"], names["go2"])]
        body = graph(f"body{level}", nodes, f"{names['i']} {names['go']} {names['v']}", f"{names['go2']} {names['v2']}")
    proto = looping(64)
    proto.graph.node[2].attribute[0].g.CopyFrom(body)
    start = time.process_time()
    refused(proto, tmp_path, r"Loop \(node .*\) is too long: with it 1048576 bytes of nodes would be unrolled")
    assert time.process_time() - start < 10
