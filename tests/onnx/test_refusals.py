"""Files that are no networks, hostile ones, and what has no form: one clear error each."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from models.onnx_files import chain, constant, model, node, saved, weights
from onnx import TensorProto, helper

from padless import UsageError, load_model, load_onnx
from padless.onnx import Reading
from padless.onnx.packages import package


def refused(proto, folder, message, **options):
    with pytest.raises(UsageError, match=message):
        load_onnx(saved(proto, folder), **options)


def edited(change, **options):
    proto = chain(**options)
    change(proto)
    return proto


def test_what_is_no_file(tmp_path):
    with pytest.raises(UsageError, match=r"No file at nowhere\.onnx"):
        load_onnx("nowhere.onnx")
    with pytest.raises(UsageError, match="path is a int; expected str or Path"):
        load_onnx(3)
    (tmp_path / "x.onnx").write_text("no protocol buffer")
    with pytest.raises(UsageError, match="is not an ONNX file, or it is cut short"):
        load_onnx(tmp_path / "x.onnx")
    (tmp_path / "x.onnx").write_bytes(b"")
    with pytest.raises(UsageError, match="holds no network: its graph has no nodes or no outputs"):
        load_onnx(tmp_path / "x.onnx")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    file = saved(chain(), tmp_path)

    def denied(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", denied)
    with pytest.raises(UsageError, match="cannot be read: Permission denied"):
        load_onnx(file)


HOSTILE = {
    "opset": (lambda p: setattr(p.opset_import[0], "version", 8), "has opset 8; from 9 to 23 are read"),
    "no opset": (lambda p: p.opset_import.pop(), "has opset none"),
    "cyclic": (lambda p: p.graph.node[0].input.__setitem__(0, "r2"), "is not a valid ONNX file: .*sorted"),
    "wrong type": (lambda p: setattr(p.graph.initializer[0], "data_type", TensorProto.DOUBLE), "takes 3456 bytes; it has 1728"),
    "type 0": (lambda p: setattr(p.graph.initializer[0], "data_type", 0), "'w1' has the unknown type 0"),
    "huge": (lambda p: p.graph.initializer[0].dims.__setitem__(0, 1 << 40), r"'w1' has the shape \[1099511627776, 3, 3, 3\]"),
    "negative": (lambda p: p.graph.initializer[0].dims.__setitem__(0, -4), r"'w1' has the shape \[-4, 3, 3, 3\]"),
    "disagreeing": (lambda p: p.graph.initializer[0].dims.__setitem__(0, 15), r"has the shape \[15, 3, 3, 3\], which takes 1620"),
    "strings": (
        lambda p: p.graph.initializer[0].CopyFrom(helper.make_tensor("w1", TensorProto.STRING, [1], [b"a"])),
        "the constant 'w1' holds strings; expected numbers",
    ),
    "sparse": (lambda p: p.graph.sparse_initializer.add(), "has sparse constants"),
    "no stride": (lambda p: p.graph.node[3].attribute[1].ints.__setitem__(0, 0), r"strides of Conv \(node node_c2\) is \[0, 2\]"),
    "invalid": (lambda p: p.graph.node[2].input.append("x"), "is not a valid ONNX file: .*Relu"),
    "sequence": (
        lambda p: p.graph.input.add().CopyFrom(
            helper.make_tensor_sequence_value_info("list", TensorProto.FLOAT, [1])
        ),
        "the input 'list' is no tensor",
    ),
    "type of input": (
        lambda p: p.graph.input.add().CopyFrom(helper.make_tensor_value_info("u", TensorProto.UINT16, [1])),
        "the input 'u' is of the type UINT16, which has no form",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file(name, tmp_path):
    change, message = HOSTILE[name]
    refused(edited(change), tmp_path, message)


def test_graphs_within_graphs_have_an_end(tmp_path):
    inner = helper.make_graph([node("Identity", "x", "z")], "g", [], [helper.make_tensor_value_info("z", 1, None)])
    for depth in range(12):
        branch = helper.make_node("If", ["c"], [f"i{depth}"], then_branch=inner, else_branch=inner)
        inner = helper.make_graph([branch], "g", [], [helper.make_tensor_value_info(f"i{depth}", 1, None)])
    proto = chain()
    proto.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner))
    refused(proto, tmp_path, "has graphs within graphs, more than 8 deep")


@pytest.mark.parametrize(
    ("location", "more", "message"),
    [
        ("../secret", {}, r"'w1' lies at '\.\./secret', outside the model's folder; it is not read"),
        ("/etc/passwd", {}, "lies at '/etc/passwd', outside the model's folder"),
        ("", {}, "outside the model's folder"),
        ("link", {}, "outside the model's folder"),
        ("nowhere", {}, "'w1' should lie in nowhere, which is not there"),
        ("data", {"offset": "100000"}, "'w1' of 1728 bytes does not lie in data at offset 100000 with length 1728"),
        ("data", {"offset": "-1"}, "does not lie in data at offset -1"),
        ("data", {"length": "7"}, "with length 7"),
        ("data", {"length": "much"}, "with length much"),
    ],
)
def test_weights_outside_the_folder_are_not_read(location, more, message, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(4000))
    (folder / "data").write_bytes(bytes(4000))
    (folder / "link").symlink_to(tmp_path / "secret")
    proto = chain()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    refused(proto, folder, message)


def test_a_constant_that_cannot_be_read(tmp_path):
    proto = chain()
    tensor = next(t for t in proto.graph.initializer if t.name == "b1")
    tensor.segment.end = 3
    refused(proto, tmp_path, "the constant 'b1' cannot be read: Currently not supporting loading segments")
    tensor.ClearField("segment")
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0, 2.0])
    refused(proto, tmp_path, r"is not a valid ONNX file: .*b1.* size \(2\) is too small")


def small(*nodes, **constants):
    proto = model(nodes, constants)
    proto.opset_import.add(domain="com.mine", version=1)
    return proto


def recurrent(operator, inputs, worked_out="", **options):
    """A recurrent layer of width 4; `worked_out`: a constant, and its name behind a node."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[operator] * 4
    constants = {"s": np.array([1, 8, 24]), "w": weights(1, gates, 24), "h": weights(1, gates, 4)}
    constants |= {name: options.pop(name) for name in list(options) if isinstance(options[name], np.ndarray)}
    nodes = [node("Reshape", "x s", "r"), node(operator, inputs, "y", **options)]
    if worked_out:
        nodes.insert(0, node("Relu", *worked_out.split()))
    return model(nodes, [constant(name, values, values.dtype) for name, values in constants.items()])


FORMLESS = {
    "unknown": (small(node("Det", "x", "y")), r"operator Det \(node node_y\) has no form here\. Cut the network off.*--until"),
    "custom": (
        small(helper.make_node("Conv", ["x", "w"], ["y"], "mine", domain="com.mine"), w=weights(1, 3, 1, 1)),
        r"Conv \(node mine\) is of the domain com\.mine",
    ),
    "quantised": (
        small(node("DynamicQuantizeLinear", "x", "q y z")), r"is quantised already: DynamicQuantizeLinear \(node node_q\).*--dequantise",
    ),
    "backwards": (
        small(node("Slice", "x s e a t", "y"), s=[6], e=[2], a=[2], t=[-2]), "goes backwards over a part of an axis",
    ),
    "crop": (
        small(node("Resize", "x - scales", "y", coordinate_transformation_mode="tf_crop_and_resize"), scales=[1.0, 1, 2, 2]),
        "crops",
    ),
    "channels": (small(node("Resize", "x - scales", "y"), scales=[1.0, 2, 2, 2]), "resizes channels"),
    "antialias": (
        model([node("Resize", "x - scales", "y", mode="linear", antialias=1)], {"scales": [1.0, 1, 0.5, 0.5]}, opset=18),
        "is antialiased or excludes the outside",
    ),
    "aspect": (
        model([node("Resize", "x - - sizes", "y", keep_aspect_ratio_policy="not_larger", axes=[2, 3])], {"sizes": [4, 4]}, opset=18),
        "keeps the aspect ratio",
    ),
    "corners": (
        small(node("Resize", "x - scales", "y", mode="linear", coordinate_transformation_mode="align_corners"), scales=[1.0, 1, 1.3, 1.3]),
        "aligns corners by scales that give no whole size",
    ),
    "cubic": (
        small(node("Resize", "x - scales", "y", mode="cubic", cubic_coeff_a=-0.5), scales=[1.0, 1, 2, 2]),
        "is cubic with half_pixel and a coefficient of -0.5",
    ),
    "dilated": (
        model([node("AveragePool", "x", "y", kernel_shape=[2, 2], dilations=[2, 2])], opset=19), "is dilated",
    ),
    "training": (
        small(node("BatchNormalization", "x s s s s", "y a b", training_mode=1), s=weights(3)),
        "is in training mode",
    ),
    "lrn": (small(node("LRN", "x", "y", size=2)), "has an even size"),
    "last": (small(node("ArgMax", "x", "i", select_last_index=1), node("Cast", "i", "y", to=1)), "asks for the last of equal ones"),
    "cumsum": (small(node("CumSum", "x a", "y", reverse=1), a=1), "is exclusive or reversed"),
    "type": (small(node("Cast", "x", "i", to=TensorProto.UINT16), node("Cast", "i", "y", to=1)), "casts to the type 4, which has no form"),
    "pads": (small(node("Pad", "x p", "y", mode="reflect"), p=[0, 1, 1, 1, 0, 1, 1, 1]), "pads 3 axes of a tensor of 4 by reflect"),
    "larger": (
        small(node("ConvTranspose", "x w", "y", output_shape=[50, 50]), w=weights(3, 2, 3, 3)), "asks for an output that is larger",
    ),
    "huge": (small(node("Tile", "x r", "y"), r=[1, 1, 1 << 16, 1 << 16]), r"makes a tensor of the shape \[1, 3, 524288, 524288\]"),
    "numbers": (
        small(
            node("Size", "x", "n"), node("Mul", "n much", "m"), node("Range", "a m c", "r"), node("Cast", "r", "f", to=1),
            node("ReduceSum", "f", "y"), a=0, c=1, much=1 << 30,
        ),
        "makes 206158430208 numbers",
    ),
    "peepholes": (recurrent("LSTM", "r w h - - - - p", p=weights(1, 12)), "has peepholes"),
    "lengths": (recurrent("LSTM", "r w h - l", l=np.array([1] * 8, np.int32)), "is given lengths"),
    "coupled": (recurrent("LSTM", "r w h", input_forget=1), "couples its gates"),
    "gru": (recurrent("GRU", "r w h", clip=1.0), "clips"),
    "activations": (recurrent("RNN", "r w h", activations=["Sigmoid"]), "has the activations Sigmoid"),
    "clipped": (recurrent("RNN", "r w h", clip=1.0), "clips"),
    "weight worked out": (recurrent("LSTM", "r v h", worked_out="w v"), "has weights that the graph works out"),
    "recurrence worked out": (recurrent("RNN", "r w v", worked_out="h v"), "has weights that the graph works out"),
    "biases worked out": (
        recurrent("LSTM", "r w h v", worked_out="b v", b=weights(1, 32)), "has weights that the graph works out",
    ),
    "text": (
        model([node("Constant", "", "k", value_string=b"a"), node("Equal", "k k", "e"), node("Cast", "e", "f", to=1), node("Add", "x f", "y")], opset=19),
        r"Constant \(node node_k\) holds a value_string",
    ),
    "pad": (small(node("Pad", "x p", "y", mode="odd"), p=[0, 0, 1, 1, 0, 0, 1, 1]), r"Pad \(node node_y\) pads by odd"),
    "reduced sizes": (
        small(node("Shape", "x", "s"), node("ReduceMax", "s", "m"), node("Cast", "m", "f", to=1), node("Add", "x f", "y")),
        r"ReduceMax \(node node_m\) reduces whole numbers of shapes",
    ),
    "sign of sizes": (
        small(
            node("Shape", "x", "s"), node("Sign", "s", "m"), node("Cast", "m", "f", to=1), node("ReduceSum", "f", "t", keepdims=0),
            node("Add", "x t", "y"),
        ),
        r"Sign \(node node_m\) is given whole numbers of shapes",
    ),
    "type of a constant": (
        model(
            [node("Cast", "k", "f", to=1), node("Add", "x f", "y")], [helper.make_tensor("k", TensorProto.BFLOAT16, [1], [1.0])],
        ),
        r"Cast \(node node_f\) reads 'k', whose type bfloat16 has no form",
    ),
    "no value": (
        small(
            node("Shape", "x", "s"), node("ConstantOfShape", "s", "k", value=TensorProto(dims=[0], data_type=1, raw_data=b"")),
            node("Add", "x k", "y"),
        ),
        r"ConstantOfShape \(node node_k\) is given 0 values; expected one",
    ),
    "does not run": (
        model([node("Reshape", "x s", "y")], {"s": [1, 100]}, inputs={"x": (None, 3, 8, 8)}),
        r"Reshape \(node node_y\) does not run: shape '\[1, 100\]' is invalid for input of size 192",
    ),
    "second output": (
        model([node("MaxPool", "x", "m i", kernel_shape=[2, 2]), node("Cast", "i", "y", to=1)]), "has a further output i, which is not computed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMLESS)
def test_what_has_no_form_is_refused_by_operator_and_node(name, tmp_path):
    proto, message = FORMLESS[name]
    refused(proto, tmp_path, message)


def test_until_cuts_what_has_no_form_off(tmp_path):
    proto = model([node("Conv", "x w", "c"), node("Det", "c", "y")], {"w": weights(8, 3, 1, 1)})
    file = saved(proto, tmp_path)
    network = load_onnx(file, until="c")
    assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 8, 8, 8)
    with pytest.raises(UsageError, match="has no tensor 'd' to cut off at. Known: c, y."):
        load_onnx(file, until=["d"])


SHAPES = [
    ({"x": (1, 3, None, 8)}, None, r"the shape \[1, 3, '\?', 8\]\. Give its open axes with --input-shape, such as 1,3,224,8"),
    ({"x": (-1, 3, 0, 8)}, None, r"the shape \['\?', 3, '\?', 8\]\. Give its open axes"),
    ({"x": (1, 3, 8, 8)}, (1, 3, 9, 8), r"has the shape \[1, 3, 8, 8\]; \[1, 3, 9, 8\] does not fit"),
    ({"x": (1, 3, 8, 8)}, {"z": (1,)}, "has no input 'z'; it has x"),
    ({"x": (1, 3, 1 << 20, 1 << 20)}, None, "3298534883328 elements"),
]  # fmt: skip


@pytest.mark.parametrize(("inputs", "given", "message"), SHAPES)
def test_shapes_that_are_missing_or_do_not_fit(inputs, given, message, tmp_path):
    refused(model([node("Relu", "x", "y")], inputs=inputs), tmp_path, message, input_shape=given)


def test_several_inputs_are_shaped_by_name_or_in_order(tmp_path):
    proto = model([node("Add", "a b", "y")], inputs={"a": ("n", 4), "b": (None, 4)})
    refused(proto, tmp_path, r"has the inputs a, b; 1 shape given\. Give \{name: shape\}", input_shape=(2, 4))
    refused(proto, tmp_path, r"has the inputs a, b; 3 shapes given\.", input_shape=[(2, 4)] * 3)
    for shapes in ({"a": (2, 4), "b": (2, 4)}, [(2, 4), (2, 4)]):
        network = load_onnx(saved(proto, tmp_path), input_shape=shapes)
        assert network(torch.ones(2, 4), torch.ones(2, 4)).sum() == 16
    with pytest.raises(UsageError, match=r"m\.onnx takes 2 inputs \(a, b\); 1 given"):
        network(torch.ones(2, 4))
    refused(
        model([node("Add", "a b", "y")], inputs={"a": (1, "n"), "b": (1, 4)}), tmp_path,
        r"The input 'a' of .* has the shape \[1, 'n'\]\. Give its open axes with --input-shape, such as a=1,224",
    )  # fmt: skip


def test_an_input_without_a_shape(tmp_path):
    proto = model([node("Relu", "x", "y")])
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    refused(proto, tmp_path, "is not a valid ONNX file: Field 'shape' of 'type' is required but missing")


def test_a_network_without_inputs_or_with_a_constant_output(tmp_path):
    proto = model([node("Relu", "x", "y")])
    del proto.graph.input[:]
    proto.graph.initializer.append(constant("x", weights(1, 3, 8, 8)))
    refused(proto, tmp_path, "has no inputs")
    proto = model([node("Relu", "x", "y")])
    proto.graph.initializer.append(constant("k", weights(2)))
    proto.graph.output.append(helper.make_tensor_value_info("k", 1, [2]))
    refused(proto, tmp_path, "the output 'k' is a constant")


def test_options_for_onnx_files_are_for_those_alone():
    with pytest.raises(UsageError, match="--dequantise and --until are for ONNX files; 'cifar10/resnet18' is none"):
        load_model("cifar10/resnet18", reading=Reading(dequantise=True))


def test_a_missing_package_is_said():
    with pytest.raises(
        UsageError, match=r"needs the package not_there\. Install it with: pip install 'padless\[onnx\]'"
    ):
        package("not_there")


def test_padless_itself_needs_no_onnx():
    code = "import sys, padless; sys.exit('onnx' in sys.modules or 'onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_checker_is_onnxs_own():
    onnx.checker.check_model(chain(), full_check=True)
