"""The weights in a TFLite file are the model's."""

import numpy as np
import pytest
import torch
from checks.tflite_read import tensors
from models.networks import Small, shaken
from torch import nn

from padless import trace
from padless.tflite import lower, lower_layer, nominal

pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")

X = torch.zeros(1, 3, 16, 16)


def test_weights_are_the_models_with_batch_norm_folded_in():
    model = shaken(nn.Sequential(nn.Conv2d(3, 6, (3, 5), padding=(1, 2), bias=False), nn.BatchNorm2d(6), nn.ReLU()))
    shape, stored, scale = tensors(nominal(lower(trace(model, X), model)))["0.weight"]
    conv, norm = model[0], model[1]
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    folded = (conv.weight * gain[:, None, None, None]).permute(0, 2, 3, 1).detach().numpy()
    assert shape == (6, 3, 5, 3)
    assert np.abs(stored * scale[:, None, None, None] - folded).max() <= scale.max() / 2 * 1.001
    assert np.abs(stored).reshape(6, -1).max(1).tolist() == [127] * 6
    _, bias, bias_scale = tensors(nominal(lower(trace(model, X), model)))["0.bias"]
    expected = (norm.bias - norm.running_mean * gain).detach().numpy()
    assert np.abs(bias * bias_scale - expected).max() <= bias_scale.max()


def test_columns_behind_a_flattened_map_follow_its_layout():
    model = nn.Sequential(nn.Conv2d(3, 5, 1), nn.Flatten(), nn.Linear(5 * 2 * 3, 4)).eval()
    shape, stored, scale = tensors(nominal(lower(trace(model, torch.zeros(1, 3, 2, 3)), model)))["2.weight"]
    expected = model[2].weight.detach().reshape(4, 5, 2, 3).permute(0, 2, 3, 1).reshape(4, 30).numpy()
    assert shape == (4, 30)
    assert np.abs(stored * scale - expected).max() <= scale.max()


def test_depthwise_weights():
    model = nn.Sequential(nn.Conv2d(4, 8, 3, groups=4)).eval()
    shape, stored, scale = tensors(nominal(lower(trace(model, torch.zeros(1, 4, 8, 8)), model)))["0.weight"]
    assert shape == (1, 3, 3, 8)
    assert np.abs(stored * scale - model[0].weight.detach()[:, 0].permute(1, 2, 0).numpy()).max() <= scale.max()


def test_one_layer_networks_have_the_layers_shapes():
    graph = trace(Small(), X)
    for layer in graph.layers:
        shape = tensors(lower_layer(layer))["weight"][0]
        expected = (layer.c_out, *layer.kernel, layer.c_in) if layer.kind == "conv" else (layer.c_out, layer.c_in)
        assert shape == expected
        assert lower_layer(layer) == lower_layer(layer)
