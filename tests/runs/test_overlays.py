"""Overlays for Model Explorer."""

import json

import pytest
import torch

from padless.report.report import Report
from padless.runs.folder import OURS
from padless.runs.overlays import OVERLAYS, write_overlays

ASK = ("prune", "models.networks:Small", "--target", "unit:8", "--out", "run", "--budget")


def test_every_layer_has_its_number_under_the_programs_node(run, tmp_path):
    assert run(*ASK, "cycles=60%", "--oracle", "expr {cin} * {cout} / {stride}")[0] == 0
    code, out, err = run("export", "run", "--format", "pt2", "--node-data")
    assert code == 0, err
    assert out.count("Written: run/model.") == 3 and set(OVERLAYS) <= OURS
    layers = {layer.name: layer for layer in Report.read("run").layers}
    nodes = {node.name: node for node in torch.export.load("run/model.pt2").graph.nodes}
    for file, number in (
        ("model.time.json", lambda layer: layer.pruned.time),
        ("model.kept.json", lambda layer: 100 * layer.pruned.c_out / layer.dense.c_out),
        ("model.padding.json", lambda layer: 0.0),
    ):
        data = json.loads((tmp_path / "run" / file).read_text())
        assert list(data) == ["graph"] and data["graph"]["name"].startswith("padless: ")
        results = data["graph"]["results"]
        found = {
            list(nodes[name].meta["nn_module_stack"].values())[-1][0]: value["value"] for name, value in results.items()
        }
        assert found == {name: pytest.approx(number(layer), abs=1e-4) for name, layer in layers.items()}


def test_what_no_oracle_says_has_no_file(run, tmp_path):
    assert run(*ASK, "macs=60%")[0] == 0
    assert run("export", "run", "--format", "pt2", "--node-data")[0] == 0
    assert {path.name for path in (tmp_path / "run").glob("model.*.json")} == {"model.padding.json", "model.kept.json"}


def test_what_cannot_be_overlaid(run, tmp_path):
    assert run(*ASK, "macs=60%")[0] == 0
    code, _, err = run("export", "run", "--format", "onnx", "--node-data")
    assert code == 2 and "Overlays are laid over the PyTorch program. Add --format pt2." in err
    (tmp_path / "run" / "report.json").unlink()
    code, _, err = run("export", "run", "--format", "pt2", "--node-data")
    assert code == 2 and "has no readable report.json" in err and not (tmp_path / "run" / "model.pt2").exists()


def test_a_folder_without_a_program(run, tmp_path):
    assert run(*ASK, "macs=60%")[0] == 0
    from padless.errors import UsageError

    with pytest.raises(UsageError, match=r"run has no model.pt2 to lay numbers over. Add --format pt2."):
        write_overlays(tmp_path / "run")
