"""Grids of treated weights in QDQ files."""

import numpy as np
import pytest
import torch
from checks.recovering import images
from models.networks import Small, shaken

from padless import export, trace
from padless.deploy import onnx as deployed
from padless.deploy.grids import keep_grids
from padless.treat.layers import round_weights

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

X = torch.zeros(1, 3, 16, 16)
TREATED = {"down": "grid:17", "block.body.0": "grid:9"}


@pytest.fixture
def model():
    torch.manual_seed(0)
    net = shaken(Small())
    round_weights(net, TREATED, trace(net, X).layers)
    return net


def written(net, folder):
    """What a file holds of each initializer, and how faithful it is."""
    done = export(net, X, folder / "model.int8.onnx", images=[images(64)])
    graph = onnx.load(str(done.file)).graph
    return {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}, done.fidelity


def test_filters_are_stored_by_the_step_of_their_grid(model, tmp_path, monkeypatch):
    now, quality = written(model, tmp_path)
    for layer, half in (("down", 8), ("block.body.0", 4)):
        codes, scale = now[f"{layer}.weight_quantized"], now[f"{layer}.weight_scale"]
        assert set(np.unique(codes)) <= set(range(-half, half + 1)) and np.abs(codes).max() == half
        biases = now[f"{layer}.bias_quantized"] * now[f"{layer}.bias_quantized_scale"]
        assert biases.shape == scale.shape and np.isfinite(biases).all()
    monkeypatch.setattr(deployed, "keep_grids", lambda *_: 0)
    before, worse = written(model, tmp_path)
    assert np.abs(before["down.weight_quantized"]).max() == 127
    assert quality.decibels >= worse.decibels - 0.5  # biases are stored in coarser steps

    def off(stored, layer):
        """How far stored filters lie from the treated ones, batch norm folded in, in steps of the largest weight's 127th."""
        filters = model.get_parameter(f"{layer}.weight").detach().flatten(1)
        scale = stored[f"{layer}.weight_scale"][:, None]
        codes = stored[f"{layer}.weight_quantized"].reshape(len(filters), -1)
        largest = np.abs(filters.numpy()).argmax(1)
        gain = (codes * scale)[np.arange(len(codes)), largest] / filters.numpy()[np.arange(len(codes)), largest]
        return np.abs(codes * scale / gain[:, None] - filters.numpy()).max() / np.abs(filters.numpy()).max()

    assert off(now, "down") < 1e-6 < 1e-4 < off(before, "down")
    for layer in TREATED:  # biases mean what they meant, to a step
        steps = now[f"{layer}.bias_quantized_scale"]
        mean, was = (each[f"{layer}.bias_quantized"] * each[f"{layer}.bias_quantized_scale"] for each in (now, before))
        assert (np.abs(mean - was) <= steps).all()
    for name in ("stem", "block.body.3", "head"):  # untreated layers are as ONNX Runtime wrote them
        for part in ("weight_quantized", "weight_scale"):
            assert np.array_equal(now[f"{name}.{part}"], before[f"{name}.{part}"])


def test_what_was_not_treated_stays_as_it_was_written(tmp_path, monkeypatch):
    torch.manual_seed(0)
    net, found = shaken(Small()), []
    monkeypatch.setattr(deployed, "keep_grids", lambda *files: found.append(keep_grids(*files)))
    written(net, tmp_path)
    assert found == [0]
