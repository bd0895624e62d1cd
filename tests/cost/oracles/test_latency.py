"""Latency on this processor."""

import dataclasses

import pytest
from models.layers import layer

from padless.cost.oracles import open_oracle
from padless.errors import OracleError
from padless.hardware import load_target

GEMMINI = load_target("gemmini-16")


def test_latency_of_this_processor():
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    oracle = open_oracle("onnxruntime", GEMMINI)
    shapes = [layer(8, 8).shape, layer(256, 256, hw=16).shape, layer(16, 16, kind="depthwise", groups=16).shape]
    small, large, depthwise = oracle(shapes)
    assert 0 < small.total < large.total  # by a factor of a thousand in MACs
    assert depthwise.total > 0
    assert small.source.unit == "ns" and "one thread, median of 21" in str(small.source)
    with pytest.raises(OracleError, match="ONNX has no quantised form of"):
        list(oracle([dataclasses.replace(shapes[0], transposed=True)]))
    with pytest.raises(OracleError, match="Only layers of two dimensions are timed, not conv 3x3x3"):
        list(oracle([dataclasses.replace(shapes[0], kernel=(3, 3, 3))]))


def test_a_layer_that_onnx_runtime_refuses():
    pytest.importorskip("onnxruntime")
    impossible = dataclasses.replace(layer(8, 8).shape, groups=3)
    with pytest.raises(OracleError, match="ONNX Runtime cannot run conv 3x3 8→8 on a 16x16 map"):
        list(open_oracle("onnxruntime", GEMMINI)([impossible]))
