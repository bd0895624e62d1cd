"""LiteRT in worker processes."""

import sys

import numpy as np
import pytest
import torch
from models.networks import small

from padless.deploy.litert import LiteRT, NotFiniteError
from padless.deploy.tflite import TFLiteNetwork
from padless.errors import PadlessError, UsageError
from padless.tflite import float32, lower
from padless.tflite.file import Tensor, TFLiteBuilder

pytest.importorskip("ai_edge_litert", reason="the extra tflite is not installed")
X = torch.zeros(1, 3, 16, 16)


@pytest.fixture(scope="module")
def runtime():
    with LiteRT(workers=2) as opened:
        yield opened


def test_outputs_come_in_order_from_several_workers(runtime):
    network = TFLiteNetwork(small(), X, runtime)
    x = np.random.default_rng(0).normal(size=(50, 1, 16, 16, 3)).astype(np.float32)
    (whole,) = runtime.outputs(network.reference, [x], "Running")
    (alone,) = runtime.outputs(network.reference, [x[33:34]], "Running")
    assert whole.shape == (50, 1, 4) and np.array_equal(whole[33], alone[0])


def test_what_was_seen_of_a_tensor(runtime):
    network = TFLiteNetwork(small(), X, runtime)
    x = np.random.default_rng(0).normal(size=(40, 1, 16, 16, 3)).astype(np.float32)
    (index,) = (port.tensor for port in network.lowered.inputs)
    seen, _ = runtime.observe(network.reference, [index], [x])
    assert seen[index].low == x.min() and seen[index].high == x.max() and seen[index].counts.sum() == x.size
    expected = np.histogram(x, len(seen[index].counts), (x.min(), x.max()))[0]
    assert np.abs(np.cumsum(seen[index].counts) - np.cumsum(expected)).max() <= 3  # numbers that lie on a border


def test_zeros_are_not_counted_and_borders_of_maxima_not_seen(runtime):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2, 1)).eval()
    network = TFLiteNetwork(model, torch.zeros(1, 3, 8, 8), runtime)
    tensors = network.lowered.builder.tensors
    index = {t.name: i for i, t in enumerate(tensors)}
    x = np.random.default_rng(0).normal(size=(8, 1, 8, 8, 3)).astype(np.float32)
    seen, _ = runtime.observe(network.reference, [index["0"], index["2 pad"]], [x])
    assert seen[index["0"]].low == 0.0 and 0 < seen[index["0"]].counts.sum() < 8 * 8 * 8 * 4
    assert seen[index["2 pad"]].low == 0.0


def test_a_tensor_that_is_not_finite(runtime):
    network = TFLiteNetwork(small(), X, runtime)
    x = np.full((2, 1, 16, 16, 3), np.inf, np.float32)
    (index,) = (port.tensor for port in network.lowered.inputs)
    with pytest.raises(NotFiniteError, match=f"tensor {index} is not finite"):
        runtime.observe(network.reference, [index], [x])


def test_a_file_that_litert_refuses_and_one_that_ends_it(runtime):
    broken = runtime.file("broken.tflite", b"no network")
    with pytest.raises(PadlessError, match="LiteRT could not run broken.tflite: ValueError"):
        runtime.outputs(broken, [np.zeros((1, 1, 4), np.float32)], "Running")
    builder = TFLiteBuilder(
        [Tensor(name=name, shape=(1, 4, 4, 2), scale=(scale,)) for name, scale in (("in", 1e30), ("out", 1e-30))]
    )
    builder.operator("ADD", [0, 0], [1], FusedActivationFunction="NONE")
    absurd = runtime.file("absurd.tflite", builder.build([0], [1], "main"))
    with pytest.raises(PadlessError, match=r"LiteRT (crashed on|could not run) absurd.tflite"):
        runtime.outputs(absurd, [np.zeros((1, 1, 4, 4, 2), np.float32)], "Running")
    network = TFLiteNetwork(small(), X, runtime)  # and the next file runs
    assert runtime.outputs(network.reference, [np.zeros((1, 1, 16, 16, 3), np.float32)], "Running")[0].shape == (
        1,
        1,
        4,
    )


def test_noise_is_zero_between_a_file_and_itself(runtime):
    network = TFLiteNetwork(small(), X, runtime)
    x = np.random.default_rng(0).normal(size=(4, 1, 16, 16, 3)).astype(np.float32)
    layers = [op.outputs[0] for op in network.lowered.builder.operators]
    assert set(runtime.noise(network.reference, network.reference, layers, [x]).values()) == {float("inf")}


def test_float_files_have_a_signature(runtime):
    from ai_edge_litert.interpreter import Interpreter

    model = small()
    from padless import trace

    interpreter = Interpreter(model_content=float32(lower(trace(model, X), model)))
    (names,) = interpreter.get_signature_list().values()
    assert names == {"inputs": ["input0"], "outputs": ["output_0"]}


def test_without_litert(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(UsageError, match=r"Running TFLite files needs the package ai-edge-litert.*padless\[tflite\]"):
        LiteRT()
