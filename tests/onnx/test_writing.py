"""What the written file keeps, and when nothing is written."""

import numpy as np
import onnx
import pytest
import torch
from models.onnx_files import answers, chain, constant, difference, model, node, read, saved, weights
from onnx import numpy_helper

from padless import PadlessError, export, load_onnx, plan, prune
from padless.onnx import data_file, example_inputs, file_digest, write_back

X = torch.zeros(1, 3, 8, 8)


def halved(network):
    return prune(network, plan(network, *example_inputs(network), target="unit:4", budget="macs=50%"))


def test_what_is_said_about_the_graph_stays(tmp_path):
    proto = chain(inputs={"x": ("batch", 3, 8, 8)})
    proto.producer_name, proto.doc_string, proto.graph.doc_string = "someone", "a model", "its graph"
    proto.graph.initializer[0].doc_string, proto.graph.node[0].doc_string = "a weight", "a layer"
    proto.metadata_props.add(key="classes", value="five")
    proto.graph.input[0].doc_string = "images"
    written = tmp_path / "small.onnx"
    export(halved(load_onnx(saved(proto, tmp_path))), X, written)
    after = read(written)
    assert (after.producer_name, after.doc_string, after.graph.doc_string) == ("someone", "a model", "its graph")
    assert after.metadata_props[0].value == "five" and after.graph.node[0].doc_string == "a layer"
    assert next(t for t in after.graph.initializer if t.name == "w1").doc_string == "a weight"
    assert after.graph.input[0].doc_string == "images"
    assert after.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert [n.name for n in after.graph.node] == [n.name for n in proto.graph.node]
    assert after.ir_version == proto.ir_version and after.opset_import[0].version == 17


def test_an_untouched_network_is_written_as_it_was(tmp_path):
    file = saved(chain(), tmp_path)
    write_back(load_onnx(file), tmp_path / "same.onnx")
    assert (tmp_path / "same.onnx").read_bytes() == file.read_bytes()


def test_shapes_in_between_are_inferred_anew_where_there_were_some(tmp_path):
    proto = onnx.shape_inference.infer_shapes(chain())
    assert len(proto.graph.value_info) > 0
    written = tmp_path / "small.onnx"
    small = halved(load_onnx(saved(proto, tmp_path)))
    write_back(small, written)
    after = read(written)
    sizes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in after.graph.value_info}
    assert sizes["c1"][1] == len(small.get_submodule("node_c1").weight) < 16


def test_half_precision_stays(tmp_path):
    proto = chain(input_type=onnx.TensorProto.FLOAT16, output_type=onnx.TensorProto.FLOAT16)
    for tensor in proto.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    file = saved(proto, tmp_path)
    network = load_onnx(file)
    assert network.get_submodule("node_c1").weight.dtype is torch.float32
    written = tmp_path / "small.onnx"
    result = export(halved(network), X, written)
    assert result.parity < 1e-2
    assert {t.data_type for t in read(written).graph.initializer} == {onnx.TensorProto.FLOAT16, onnx.TensorProto.INT64}
    x = torch.randn(1, 3, 8, 8)
    assert difference(answers(file, x.half())[0], network(x.half())) < 1e-2


def test_weights_outside_the_file_are_written_outside(tmp_path):
    file = tmp_path / "m.onnx"
    onnx.save_model(
        chain(),
        str(file),
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location="w.bin",
        size_threshold=64,
    )
    network = load_onnx(file)
    x = torch.randn(1, 3, 8, 8)
    assert difference(answers(file, x)[0], network(x)) < 1e-5
    written = tmp_path / "out" / "small.onnx"
    result = export(halved(network), X, written)
    assert result.others == (data_file(written),) and data_file(written).stat().st_size > 1000
    assert written.stat().st_size < data_file(written).stat().st_size
    assert difference(load_onnx(written)(x), answers(written, x)[0]) < 1e-5


def test_weights_too_large_for_one_file_are_written_outside(tmp_path, monkeypatch):
    """As where a quantised file is folded back to four times its size."""
    network = load_onnx(saved(chain(), tmp_path))
    monkeypatch.setattr("padless.onnx.writing.LARGEST_INSIDE", 1000)
    written = tmp_path / "large.onnx"
    assert export(network, X, written).others == (data_file(written),)
    x = torch.randn(1, 3, 8, 8)
    assert difference(load_onnx(written)(x), network(x)) == 0


def test_constants_among_the_inputs_of_an_old_file_change_their_shape(tmp_path):
    proto = chain(ir=3, opset=9)
    for tensor in proto.graph.initializer:
        shape, kind = list(tensor.dims), tensor.data_type
        proto.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, kind, shape))
    written = tmp_path / "small.onnx"
    write_back(halved(load_onnx(saved(proto, tmp_path))), written)
    after = read(written)
    declared = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in after.graph.input}
    assert declared["w1"] == next(list(t.dims) for t in after.graph.initializer if t.name == "w1") != [16, 3, 3, 3]


def test_equal_constants_of_unrelated_layers_part(tmp_path):
    """Exporters keep equal vectors once; cut layers want them of different widths."""
    nodes = [
        node("Conv", "x w1 zeros", "c1", pads=[1, 1, 1, 1]), node("Relu", "c1", "r1"),
        node("Identity", "zeros", "also"), node("Conv", "r1 w2 also", "c2"), node("Relu", "c2", "r2"),
        node("Conv", "r2 w3", "y"),
    ]  # fmt: skip
    first = weights(16, 3, 3, 3)
    first[4:] *= 1e-3  # four filters count in the first layer, twelve in the second
    second = weights(16, 16, 3, 3, seed=1)
    second[12:] *= 1e-3
    constants = {"w1": first, "w2": second, "w3": weights(4, 16, 1, 1), "zeros": np.zeros(16)}
    network = load_onnx(saved(model(nodes, constants), tmp_path))
    small = prune(network, plan(network, X, target="unit:4", budget="macs=30%", importance="l1"))
    widths = [len(small.get_submodule(f"node_{name}").weight) for name in ("c1", "c2")]
    assert widths[0] != widths[1]
    write_back(small, tmp_path / "small.onnx")


def test_numbers_that_the_graph_works_out_become_its_own(tmp_path):
    """Half of a layer's channels, as `chunk` is written by the older exporter."""
    nodes = [
        node("Conv", "x w1", "c", pads=[1, 1, 1, 1]), node("Shape", "c", "s"), node("Gather", "s one", "n", axis=0),
        node("Add", "n one", "m"), node("Div", "m two", "h"), node("Unsqueeze", "h zero", "k"),
        node("Mul", "k two_", "e"), node("Slice", "c zero k axis", "a"), node("Slice", "c k e axis", "b"),
        node("Relu", "a", "ra"), node("Sigmoid", "b", "sb"), node("Mul", "ra sb", "g"), node("Conv", "g w2", "y"),
    ]  # fmt: skip
    constants = {
        "w1": weights(32, 3, 3, 3), "w2": weights(4, 16, 1, 1), "one": 1, "two": 2, "two_": [2], "zero": [0], "axis": [1],
    }  # fmt: skip
    network = load_onnx(saved(model(nodes, constants), tmp_path))
    small = halved(network)
    width = len(small.get_submodule("node_c").weight)
    assert small.get_submodule("node_a").ends == [width // 2] and width < 32
    write_back(small, tmp_path / "small.onnx")
    after = read(tmp_path / "small.onnx")
    assert "Shape" not in [n.op_type for n in after.graph.node]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda n: n.get_submodule("node_y").weight.data.mul_(float("nan")),
            "An output of the model is not finite, neither on",
        ),
        (
            lambda n: setattr(n.get_submodule("node_y"), "forward", lambda x: x[:, :3]),
            r"Output 0 of small\.onnx has the shape \(1, 5\), the model's \(1, 3\); not written",
        ),
        (
            lambda n: n.get_submodule("node_c1")._parameters.update(weight=torch.nn.Parameter(torch.ones(16, 3, 3))),
            "The cut m.onnx does not pass ONNX's checker, so it is not written",
        ),
    ],
)
def test_what_is_not_the_network_is_not_written(damage, message, tmp_path):
    network = load_onnx(saved(chain(), tmp_path))
    damage(network)
    with pytest.raises(PadlessError, match=message):
        write_back(network, tmp_path / "small.onnx")
    assert not (tmp_path / "small.onnx").exists()


def test_what_lies_within_float32s_own_rounding_is_the_network(tmp_path, monkeypatch):
    """As where all outputs are nearly zero: a detector's scores on what is no image."""
    network = load_onnx(saved(chain(), tmp_path))
    monkeypatch.setattr("padless.graph.agreement.TOLERANCE", 0.0)
    write_back(network, tmp_path / "same.onnx")
    monkeypatch.setattr("padless.graph.agreement._rounding", lambda *_: 0.0)
    with pytest.raises(PadlessError, match=r"same\.onnx differs from the model by .*; not written"):
        write_back(network, tmp_path / "same.onnx")


def test_a_file_that_onnx_runtime_does_not_run_is_not_written(tmp_path):
    network = load_onnx(saved(chain(), tmp_path))
    wrong = torch.zeros(1, 3, 9, 8)
    with pytest.raises(
        PadlessError, match=r"ONNX Runtime cannot run small\.onnx, so it could not be checked and is not written: .*"
    ):
        write_back(network, tmp_path / "small.onnx", [wrong])
    assert not (tmp_path / "small.onnx").exists()


def test_a_plan_knows_its_file_and_replays_on_it(tmp_path):
    file = saved(chain(), tmp_path)
    network = load_onnx(file)
    made = plan(network, X, target="unit:4", budget="macs=50%")
    assert made.file_digest == file_digest(network) and len(made.file_digest) == 16
    assert type(made).from_json(made.to_json()).file_digest == made.file_digest
    again = prune(load_onnx(file), made)
    assert difference(prune(network, made)(torch.ones_like(X)), again(torch.ones_like(X))) == 0
    changed = chain()
    changed.graph.initializer[0].CopyFrom(constant("w1", weights(16, 3, 3, 3, seed=9)))
    assert file_digest(load_onnx(saved(changed, tmp_path, "other.onnx"))) != made.file_digest
    assert file_digest(torch.nn.Linear(1, 1)) == ""
