"""Networks written by both of PyTorch's exporters: read, recorded, cut, and written back."""

import onnx
import pytest
import torch
from models.exported import Attention, Gated, Reader
from models.networks import shaken
from models.onnx_files import answers, difference, exported, model, node, read, saved, weights
from models.yolo import Yolo
from models.yolo11 import Yolo11
from torch import nn

from padless import export, load_onnx, plan, prune, trace
from padless.onnx import example_inputs, write_back

NETWORKS = {
    "gated": (Gated, (1, 3, 16, 16)), "attention": (Attention, (1, 3, 16, 16)), "yolo": (Yolo, (1, 3, 64, 64)),
    "yolo11": (lambda: Yolo11(8), (1, 3, 64, 64)),
    "lstm": (lambda: Reader(nn.LSTM), (1, 3, 8, 16)), "gru": (lambda: Reader(nn.GRU), (1, 3, 8, 16)),
    "rnn": (lambda: Reader(nn.RNN), (1, 3, 8, 16)),
}  # fmt: skip
EXPORTERS = {"dynamo": (True, None), "script 11": (False, 11), "script 17": (False, 17)}


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_an_exported_network_is_cut_and_written_back(name, exporter, tmp_path):
    make, shape = NETWORKS[name]
    dynamo, opset = EXPORTERS[exporter]
    x = torch.randn(shape)
    try:
        file = exported(shaken(make()), x, tmp_path / "m.onnx", dynamo=dynamo, opset=opset)
    except Exception as error:  # of PyTorch's own, for what an exporter does not know
        pytest.skip(f"not exported: {type(error).__name__}")
    network = load_onnx(file)
    for a, b in zip(outputs(network, x), answers(file, x), strict=True):
        assert difference(b, a) < 1e-5
    graph = trace(network, *example_inputs(network))
    assert any(group.pinned is None for group in graph.groups)
    small = prune(network, plan(network, x, target="unit:8", budget="macs=70%"))
    written = tmp_path / "small.onnx"
    result = export(small, x, written)
    assert result.parity < 1e-5
    before, after = read(file), read(written)
    onnx.checker.check_model(str(written), full_check=True)
    assert before.opset_import[0].version == after.opset_import[0].version
    assert [v.SerializeToString() for v in before.graph.input] == [v.SerializeToString() for v in after.graph.input]
    assert [v.SerializeToString() for v in before.graph.output] == [v.SerializeToString() for v in after.graph.output]
    assert {node.name for node in after.graph.node} <= {node.name for node in before.graph.node}
    assert written.stat().st_size < file.stat().st_size
    again = load_onnx(written)  # and it is read again, and is the cut network
    for a, b in zip(outputs(again, x), outputs(small, x), strict=True):
        assert difference(b, a) < 1e-5


def outputs(network: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        y = network(x)
    return list(y) if isinstance(y, tuple) else [y]


@pytest.mark.parametrize("name", ["gated", "attention", "yolo"])
@pytest.mark.parametrize("dynamo", [True, False])
def test_a_batch_is_its_images(name, dynamo, tmp_path):
    """Also where the file has a batch of one written into its shapes."""
    make, shape = NETWORKS[name]
    network = load_onnx(exported(shaken(make()), torch.randn(shape), tmp_path / "m.onnx", dynamo=dynamo))
    x = torch.randn(4, *shape[1:])
    singles = [outputs(network, row[None]) for row in x]
    for i, together in enumerate(outputs(network, x)):
        assert difference(torch.cat([one[i] for one in singles]), together) < 1e-5


def test_open_axes_stay_open(tmp_path):
    x = torch.randn(1, 3, 16, 16)
    options = {"input_names": ["x"], "output_names": ["y"], "dynamic_axes": {"x": {0: "n", 2: "h"}, "y": {0: "n"}}}
    file = exported(shaken(Gated()), x, tmp_path / "m.onnx", dynamo=False, opset=18, **options)
    network = load_onnx(file, input_shape=(1, 3, 16, 16))
    small = prune(network, plan(network, x, target="unit:8", budget="macs=70%"))
    written = tmp_path / "small.onnx"
    write_back(small, written)
    assert read(written).graph.input[0].type.tensor_type.shape.dim[2].dim_param == "h"
    other = torch.randn(2, 3, 32, 16)
    assert difference(answers(written, other)[0], outputs(small, other)[0]) < 1e-5


def test_layers_are_named_by_their_nodes(tmp_path):
    file = exported(Gated(), torch.randn(1, 3, 16, 16), tmp_path / "m.onnx", dynamo=False)
    network = load_onnx(file)
    nodes = {node.name for node in read(file).graph.node if node.op_type == "Conv"}
    assert {layer.name for layer in trace(network, *example_inputs(network)).layers} == nodes


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_a_gru_that_resets_before_its_product_is_cut_as_others_are(direction, tmp_path):
    """PyTorch writes the other kind alone."""
    ways = 2 if direction == "bidirectional" else 1
    nodes = [
        node("Conv", "x w1", "c", pads=[1, 1, 1, 1]), node("Transpose", "c", "t", perm=[3, 0, 1, 2]),
        node("Reshape", "t long", "r"), node("GRU", "r w h b", "s last", direction=direction, hidden_size=5),
        node("Transpose", "s", "u", perm=[2, 0, 1, 3]), node("Flatten", "u", "v"), node("Gemm", "v w2", "y"),
    ]  # fmt: skip
    constants = {
        "w1": weights(16, 3, 3, 3), "long": [8, 1, 128], "w": weights(ways, 15, 128), "h": weights(ways, 15, 5),
        "b": weights(ways, 30), "w2": weights(40 * ways, 4),
    }  # fmt: skip
    file = saved(model(nodes, constants, outputs=("y", "last")), tmp_path)
    network, x = load_onnx(file), torch.randn(1, 3, 8, 8)
    for a, b in zip(outputs(network, x), answers(file, x), strict=True):
        assert difference(b, a) < 1e-5
    small = prune(network, plan(network, x, target="unit:4", budget="macs=50%"))
    width, gru = len(small.get_submodule("node_c").weight), small.get_submodule("node_s")
    assert width < 16 and gru.weight_ih_l0.shape == (15, 8 * width) and gru.weight_hh_l0.shape == (15, 5)
    written = tmp_path / "small.onnx"
    assert export(small, x, written).parity < 1e-5
    shapes = {tensor.name: list(tensor.dims) for tensor in read(written).graph.initializer}
    assert shapes["w"] == [ways, 15, 8 * width] and shapes["h"] == [ways, 15, 5]
    for a, b in zip(outputs(small, x), answers(written, x), strict=True):
        assert difference(b, a) < 1e-5
