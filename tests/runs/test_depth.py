"""A run without a branch, from the command line to the flashed file and on."""

import numpy as np
import pytest
import torch
from checks.recovering import images
from models.networks import Small, shaken
from safetensors.torch import load_file, save_file

from padless import Plan, Summary
from padless.report.report import Report

pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")

ASK = ("models.networks:Small", "--input-shape", "1,3,16,16", "--target", "ethos-u55-256", "--data", "x.npy")
DATA = ("--weights", "w.safetensors", "--calibration", "64")


def test_a_run_without_a_branch(run, tmp_path):
    torch.manual_seed(0)
    np.save(tmp_path / "x.npy", images(96).numpy())
    save_file(shaken(Small()).state_dict(), tmp_path / "w.safetensors")
    code, printed, err = run(
        "prune", *ASK, *DATA, "--budget", "weight_bytes=30%", "--depth", "--int8", "--export", "tflite", "--out", "run"
    )
    assert code == 0, err
    folder = tmp_path / "run"
    plan, summary = Plan.read(folder / "plan.json"), Summary.read(folder)
    assert plan.keep["block.body.0"] == [] and summary.depth and summary.budgets[0].met
    assert printed.count("removed") == 2 and (folder / "model.tflite").stat().st_size > 0
    widths = summary.widths
    assert widths["block.body.0"].c_out[1] == widths["block.body.3"].c_in[1] == 0 < widths["down"].c_out[1]
    rows = {row.name: row for row in Report.read(folder).layers}
    assert rows["block.body.0"].pruned.macs == rows["block.body.0"].pruned.time == 0
    page = (folder / "report.html").read_text()
    assert '<b class="nowrap">⇒ removed</b>' in page and "Nothing of it is left: constants stand for" in page
    assert not any(name.startswith("block.body.0") for name in load_file(folder / "model.safetensors"))
    # Others go on from it.
    code, _, err = run("treat", "run", "grid:9", "--trust", "--calibration", "64")
    assert code == 0, err
    assert set(Summary.read(tmp_path / "run-treated").treating.layers) <= {"down"}
    code, _, err = run("finetune", "run", "--trust", "--epochs", "1", "--features", "0.5", "--out", "tuned")
    assert code == 0, err
    assert Plan.read(tmp_path / "tuned" / "plan.json").keep["block.body.0"] == []
    for format in ("onnx", "onnx-int8", "pt2"):
        code, _, err = run("export", "run", "--trust", "--format", format, "--calibration", "16")
        assert code == 0, err
