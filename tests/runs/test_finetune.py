"""What a run's folder must say so that its costs can be asked again."""

import numpy as np
import pytest
import torch
from checks.summaries import summary
from checks.vela_command import INI
from models.networks import Two, small

from padless import Summary, inspect, load_target, plan
from padless.runs.again import costs


def test_the_same_system_is_asked_again_though_its_file_is_gone(tmp_path):
    pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")
    (tmp_path / "board.ini").write_text(INI)
    target = load_target("ethos-u55-64", system="Board", vela_config=tmp_path / "board.ini")
    (tmp_path / "board.ini").unlink()
    model = small()
    first = inspect(model, torch.zeros(1, 3, 16, 16), target=target).totals()
    made = summary(target=target.id, variant=target.variant)
    in_units = plan(model, torch.zeros(1, 3, 16, 16), target="unit:8", budget="macs=60%")
    dense, pruned = costs(made, target, in_units, model, model)
    assert dense.totals() == pruned.totals() == first
    assert first["clock_hz"] == 100_000_000 and "Board (ini " in first["oracle"]


def test_the_outputs_that_may_be_cut_are_remembered():
    model, example = Two().eval(), torch.zeros(1, 3, 8, 8)
    made = plan(model, example, target="unit:8", budget="macs=70%", outputs=["1"])
    dense, _ = costs(summary(inputs=("1,3,8,8",)), load_target("unit:8"), made, model, model)
    assert dense.totals() == inspect(model, example, target="unit:8", outputs=["1"]).totals() == made.before
    assert dense.totals() != inspect(model, example, target="unit:8").totals()


def test_a_run_without_images_remembers_those_of_its_fine_tuning(run, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 3, 16, 16), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", x_train=pixels, y_train=np.arange(24) % 4)
    ask = ("models.networks:Small", "--input-shape", "1,3,16,16", "--target", "unit:8", "--budget", "macs=60%")
    assert run("prune", *ask, "--out", "run")[0] == 0
    for command in (("finetune", "run", "--trust"), ("export", "run", "--trust")):
        code, _, err = run(*command)
        assert code == 2 and "run was made without images" in err and "Give --data" in err
    ask = ("--data", "images.npz", "--preprocess", "mean=127.5,std=127.5,scale=1")
    code, _, err = run("finetune", "run", "--trust", "--epochs", "1", "--distill", "0", "--out", "tuned", *ask)
    assert code == 0, err
    tuned = Summary.read(tmp_path / "tuned")
    assert (tuned.data, tuned.preprocess) == ("images.npz", "mean=127.5,std=127.5,scale=1")
    again = (
        "finetune",
        "run",
        "--trust",
        "--epochs",
        "1",
        "--distill",
        "0",
        "--out",
        "tuned",
        "--resume",
        "--data",
        "images.npz",
    )
    assert "tuned is finished already" in run(*again, *ask[2:])[2]
    assert "tuned is finished already" not in run(*again, "--preprocess", "mean=127.5,std=127.5,scale=1.0")[2]
    for ask_again in ((), ask):
        code, _, err = run("export", "tuned" if not ask_again else "run", "--trust", "--calibration", "8", *ask_again)
        assert code == 0, err
        folder = tmp_path / ("tuned" if not ask_again else "run")
        assert b"127.5" in (folder / "model.tflite").read_bytes()


def test_only_the_networks_own_dense_one_answers_for_labels(run, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(24, 3, 16, 16)))
    ask = ("models.networks:Small", "--input-shape", "1,3,16,16", "--target", "unit:8", "--budget", "macs=60%")
    code, _, err = run("prune", *ask, "--data", "x.npy", "--recover", "none", "--out", "run")
    assert code == 0, err
    file = tmp_path / "run" / "summary.json"
    file.write_text(file.read_text().replace(Summary.read(tmp_path / "run").weights_digest, "0" * 16))
    code, _, err = run("finetune", "run", "--trust", "--epochs", "1", "--distill", "0")
    told = "The dense network whose answers stand for labels does not have the weights that run was cut from. Give --weights."
    assert code == 2 and told in " ".join(err.split())
    file.write_text(
        file.read_text().replace('"regularize": 0', '"regularize": 1')
    )  # the dense one answered before that
    code, _, err = run("finetune", "run", "--trust", "--epochs", "1", "--distill", "0")
    assert code == 0, err
