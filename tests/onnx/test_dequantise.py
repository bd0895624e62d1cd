"""QDQ files: refused in words, or folded back with the Relus that quantising dropped."""

import numpy as np
import onnx
import pytest
import torch
from models.onnx_files import answers, chain, constant, difference, model, node, read, saved, weights
from onnxruntime import quantization

from padless import UsageError, export, load_onnx, plan, prune


class Images(quantization.CalibrationDataReader):
    def __init__(self, images: torch.Tensor) -> None:
        self.rows = iter([{"x": row[None].numpy()} for row in images])

    def get_next(self):
        return next(self.rows, None)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A float file and what ONNX Runtime's quantiser makes of it."""
    folder = tmp_path_factory.mktemp("qdq")
    plain, quantised = saved(chain(), folder, "float.onnx"), folder / "qdq.onnx"
    images = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    quantization.quantize_static(
        str(plain), str(quantised), Images(images), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
        activation_type=quantization.QuantType.QInt8, weight_type=quantization.QuantType.QInt8,
    )  # fmt: skip
    return plain, quantised, images


def test_a_quantised_file_is_refused_with_the_way_out(files):
    with pytest.raises(UsageError, match="is quantised already: .*Prune the float model, then quantise.*--dequantise"):
        load_onnx(files[1])


def test_a_folded_file_is_nearly_the_float_one_and_has_its_relus(files, tmp_path):
    plain, quantised, images = files
    assert sum(n.op_type == "Relu" for n in read(quantised).graph.node) == 0  # they are in the zero points
    network = load_onnx(quantised, dequantise=True)
    steps = [network.get_submodule(step.path).operator for step in network.source.steps]
    assert steps.count("Relu") == 2 and "DequantizeLinear" not in steps
    assert difference(load_onnx(plain)(images), network(images)) < 0.05
    small = prune(network, plan(network, images[:1], target="unit:4", budget="macs=50%"))
    written = tmp_path / "small.onnx"
    assert export(small, images[:1], written).parity < 1e-5
    assert {n.op_type for n in read(written).graph.node} & {"QuantizeLinear", "DequantizeLinear"} == set()


def pair(source: str, result: str, scale: str, zero: str) -> list:
    return [
        node("QuantizeLinear", f"{source} {scale} {zero}", f"{result}_q"),
        node("DequantizeLinear", f"{result}_q {scale} {zero}", result),
    ]


CONSTANTS = [
    constant("s", 0.1), constant("six", 6 / 255), constant("z", -128, np.int8), constant("middle", 0, np.int8),
    constant("w", weights(4, 3, 1, 1)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("scale", "zero", "expected"), [("s", "z", "Relu"), ("six", "z", "Clip"), ("s", "middle", None)]
)
def test_a_range_from_zero_is_a_relu_and_one_to_six_a_clip(scale, zero, expected, tmp_path):
    nodes = [node("Conv", "x w", "c"), *pair("c", "d", scale, zero), node("Sigmoid", "d", "y")]
    network = load_onnx(saved(model(nodes, CONSTANTS), tmp_path), dequantise=True)
    kinds = [network.get_submodule(step.path).operator for step in network.source.steps]
    assert kinds == ["Conv", *([expected] if expected else []), "Sigmoid"]


def test_what_is_never_negative_needs_no_relu(tmp_path):
    nodes = [
        *pair("x", "i", "s", "z"), node("Conv", "i w", "c"), node("Relu", "c", "r"), *pair("r", "d", "s", "z"),
        node("MaxPool", "d", "p", kernel_shape=[2, 2]), *pair("p", "y", "s", "z"),
    ]  # fmt: skip
    file = saved(model(nodes, CONSTANTS), tmp_path)
    network = load_onnx(file, dequantise=True)
    kinds = [network.get_submodule(step.path).operator for step in network.source.steps]
    assert kinds == ["Conv", "Relu", "MaxPool", "Identity"]  # the output keeps its name
    x = torch.rand(1, 3, 8, 8)
    assert difference(answers(file, x)[0], network(x)) < 0.1  # a step is 0.1 of 1.5


def test_weights_of_each_channel_are_what_they_dequantise_to(tmp_path):
    values = np.random.default_rng(0).integers(-128, 127, (4, 3, 1, 1)).astype(np.int8)
    scales, zeros = np.array([0.1, 0.2, 0.3, 0.4], np.float32), np.array([0, 1, 2, 3], np.int8)
    nodes = [node("DequantizeLinear", "q scales zeros", "w", axis=0), node("Conv", "x w", "y")]
    proto = model(
        nodes, [constant("q", values, np.int8), constant("scales", scales), constant("zeros", zeros, np.int8)]
    )
    network = load_onnx(saved(proto, tmp_path), dequantise=True)
    expected = (values.astype(np.float32) - zeros.reshape(-1, 1, 1, 1)) * scales.reshape(-1, 1, 1, 1)
    assert np.allclose(network.get_submodule("node_y").weight.detach().numpy(), expected)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("QuantizeLinear", "w s z", "q"), node("DequantizeLinear", "q s z", "v"), node("Conv", "x v", "y")], "quantises a constant"),
        (
            [node("QuantizeLinear", "x s z", "q"), node("MaxPool", "q", "p", kernel_shape=[2, 2]), node("DequantizeLinear", "p s z", "y")],
            "is not behind a QuantizeLinear or a constant",
        ),
        (
            [
                node("ReduceMax", "x", "m", keepdims=0), node("QuantizeLinear", "x m z", "q"),
                node("DequantizeLinear", "q m z", "y"),
            ],
            "has a scale that is no constant",
        ),
        (
            [node("ReduceMax", "x", "m", keepdims=0), node("DequantizeLinear", "w8 m", "w_"), node("Conv", "x w_", "y")],
            "has scales that are no constants",
        ),
    ],
)  # fmt: skip
def test_what_is_no_pair_is_refused(nodes, message, tmp_path):
    constants = [*CONSTANTS, constant("w8", np.ones((4, 3, 1, 1)), np.int8)]
    with pytest.raises(UsageError, match=message):
        load_onnx(saved(model(nodes, constants), tmp_path), dequantise=True)


def test_a_float_file_is_read_as_it_is(tmp_path):
    file = saved(chain(), tmp_path)
    assert len(load_onnx(file, dequantise=True).source.steps) == len(onnx.load(str(file)).graph.node)
