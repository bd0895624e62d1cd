"""The command that fine-tunes a folder into another."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

from padless import Summary
from padless.cli import main
from padless.report.page import page
from padless.report.report import Report


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run whose dense network is the factory's own (random, seed 0)."""
    out = tmp_path_factory.mktemp("runs") / "small"
    command(["prune", "padless.demo:DigitsResNet", "--data", "digits", "--target", "unit:16", "--budget", "macs=50%",
             "--importance", "l1", "--recover", "none", "--out", str(out)])  # fmt: skip
    return out


def command(arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["padless", *arguments])
        try:
            main()
        except SystemExit as ended:
            return ended.code or 0
        return 0


QUICK = ["--epochs", "2", "--batch", "350", "--lr", "0.1", "--distill", "0"]


def test_a_folder_is_finetuned_into_another(folder, tmp_path, capsys):
    out = tmp_path / "out"
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert command(["finetune", str(folder), *QUICK, "--out", str(out)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Fine-tuned 2 epoch(s)" in said and "log.csv" in said and "Met: " in said
    assert {p.name for p in out.iterdir()} == {
        "plan.json", "model.safetensors", "summary.json", "report.json", "report.html", "log.csv",
    }  # fmt: skip
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert not out.with_name("out.training").exists()
    summary = json.loads((out / "summary.json").read_text())
    did = summary["finetuning"]
    assert summary["after"]["accuracy"] == did["after"] > did["before"]
    assert did["recipe"]["epochs"] == len(did["losses"]) == 2 and did["folder"] == str(folder)
    assert summary["budgets"][0]["met"]
    first, tuned = Report.read(folder), Report.read(out)
    assert (tuned.groups, tuned.curves, tuned.memory) == (first.groups, first.curves, first.memory)
    assert [score.percent for score in tuned.stages if score.stage == "final"] == [did["after"]]
    assert (out / "report.html").read_text() == page(Summary.read(out), tuned)
    assert command(["finetune", str(folder), *QUICK, "--out", str(out), "--resume"]) == 0
    assert "is finished already" in " ".join(capsys.readouterr().err.split())


def test_what_a_finetuning_refuses(folder, tmp_path, capsys):
    def refused(*arguments, folder=folder):
        assert command(["finetune", str(folder), *map(str, arguments)]) == 2
        return " ".join(capsys.readouterr().err.split())

    assert "Give --out another folder" in refused("--out", folder)
    (folder / "report.json").rename(tmp_path / "report.json")
    assert "small has no readable report.json: an older padless made it" in refused("--out", tmp_path / "out")
    (tmp_path / "report.json").rename(folder / "report.json")
    (tmp_path / "out.training").mkdir()
    assert "Go on with --resume, or remove it" in refused("--out", tmp_path / "out")
    other = tmp_path / "other"
    other.mkdir()
    for file in folder.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    summary = json.loads((folder / "summary.json").read_text())

    def changed(**facts):
        (other / "summary.json").write_text(json.dumps({**summary, **facts}))
        return refused(folder=other)

    told = "The dense network that is to teach does not have the weights that .* Give --weights, or --distill 0"
    assert re.search(told, changed(weights_digest="0" * 16))
    old = {k: v for k, v in summary.items() if k != "oracle"}
    (other / "summary.json").write_text(json.dumps(old))
    assert "does not say its oracle: an older padless made it" in refused(folder=other)
    weights = other / "model.safetensors"
    weights.rename(other / "elsewhere")
    assert "model.safetensors cannot be read" in changed()
    (other / "elsewhere").rename(weights)
    assert "was made without images. Give --data" in changed(data=None)
    (other / "summary.json").unlink()
    assert "was saved from Python" in refused(folder=other)
    assert "has no readable summary.json" in refused(folder=tmp_path / "nothing")
    assert not list(tmp_path.glob("*finetuned*"))


def test_killed_at_random_moments_it_goes_on_to_the_same_result(folder, tmp_path):
    arguments = ["-m", "padless", "finetune", str(folder), *QUICK, "--epochs", "3", "--checkpoint-every", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(out, *more):
        return subprocess.Popen(
            [sys.executable, *arguments, "--out", str(out), *more], env=environment, stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip

    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    process = start(undisturbed)
    assert process.wait() == 0
    rng, kills, at = random.Random(0), 0, 0
    while kills < 2:
        process = start(killed, "--resume")
        state = tmp_path / "killed.training" / "checkpoint.json"
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:  # it is training, and got on
            if state.exists() and json.loads(state.read_text())["step"] > at:
                break
            time.sleep(0.005)
        if process.poll() is not None:
            break
        time.sleep(0.3 * rng.random())
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        if state.exists():
            at = json.loads(state.read_text())["step"]
        assert not killed.exists() or (killed / "summary.json").exists()
    assert kills > 1
    assert start(killed, "--resume").wait() == 0
    assert (killed / "model.safetensors").read_bytes() == (undisturbed / "model.safetensors").read_bytes()
    assert (killed / "log.csv").read_text() == (undisturbed / "log.csv").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["killed", "undisturbed"]


def test_regularised_before_the_cut_and_tested_in_int8(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert command(["prune", "padless.demo:DigitsResNet", "--data", "digits", "--target", "unit:16", "--budget", "macs=50%",
                    "--importance", "l1", "--recover", "bn", "--calibration", "64", "--regularize", "1", "--int8",
                    "--out", str(out)]) == 0  # fmt: skip
    said = " ".join(capsys.readouterr().out.split())
    assert "in INT8, simulated %" in said
    summary = json.loads((out / "summary.json").read_text())
    assert summary["regularize"] == 1
    for side in ("before", "after"):
        assert 0 < summary[side]["accuracy_int8"] <= 100
    untrained = json.loads((folder / "summary.json").read_text())
    assert summary["weights_digest"] != untrained["weights_digest"]
