"""A folder of one's own needs no --trust: its seal says so, and nothing else is believed."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from checks.summaries import summary

from padless import Recipe, save
from padless.report.summary import FILE as SUMMARY
from padless.report.summary import Summary
from padless.runs import seal as sealing
from padless.runs.finetune import Finetuning, run_finetuning
from padless.runs.seal import FILE, LENGTH, sealed
from padless.runs.trust import Repeated, believed, vouched

MINE = """
import pathlib
import numpy as np
from torch import nn

pathlib.Path("ran").touch()

def make():
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())

make.input_shape = (1, 3, 16, 16)
"""
ORACLE = "sh -c 'touch asked; echo 7' {h} {w} {cin} {cout} {k} {stride} {groups}"
TUNE = ("--epochs", "1", "--distill", "0", "--batch", "16")


@pytest.fixture
def own(run, tmp_path):
    """The current folder with a module of the user's, and a run of it that asked a command of the user's."""
    (tmp_path / "mine_sealed.py").write_text(MINE)
    images = np.random.default_rng(0).integers(0, 256, (32, 3, 16, 16), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", x_train=images, y_train=np.arange(32) % 8, x_test=images[:8], y_test=np.arange(8))
    code, _, err = run(
        "prune", "mine_sealed:make", "--input-shape", "1,3,16,16", "--target", "unit:8", "--budget", "macs=60%",
        "--oracle", ORACLE, "--data", "d.npz", "--recover", "none", "--out", "run",
    )  # fmt: skip
    assert code == 0, err
    for file in ("ran", "asked"):
        (tmp_path / file).unlink(missing_ok=True)
    return tmp_path


def secret() -> Path:
    return Path(os.environ["XDG_STATE_HOME"]) / "padless" / "secret"


def forge(folder: Path, **changes: object) -> None:
    file = folder / SUMMARY
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def refused(run, *words: str) -> str:
    code, _, err = run(*words)
    assert code == 2 and "what does not come with padless" in err, err
    assert not Path("asked").exists()
    return " ".join(err.split())


def test_a_folder_of_ones_own_needs_no_flag_nor_does_what_is_made_from_it(run, own, monkeypatch):
    assert len((own / "run" / FILE).read_text()) == LENGTH
    assert secret().stat().st_mode & 0o777 == 0o600 and len(secret().read_bytes()) == 32
    assert secret().parent.stat().st_mode & 0o777 == 0o700 and os.listdir(secret().parent) == ["secret"]
    monkeypatch.setenv("PADLESS_CACHE", "")
    code, _, err = run("finetune", "run", *TUNE, "--out", "tuned")
    assert code == 0 and (own / "asked").exists(), err
    shutil.move(own / "tuned", own / "moved")
    for folder in ("run", "moved"):
        code, _, err = run("export", folder, "--format", "onnx")
        assert code == 0, err
    assert sealed(own / "run", Summary.read(own / "run"))  # which export has written anew


@pytest.mark.parametrize(
    "changes", [{"model": "other:make"}, {"oracle": "touch asked {cin} {cout}"}, {"memory_oracle": "csv t.csv"}, {"data": "a:b"}]
)  # fmt: skip
def test_a_seal_beside_other_names_says_nothing(run, own, changes):
    shutil.copytree(own / "run", own / "copied")
    forge(own / "copied", **changes)
    ((name, value),) = changes.items()
    assert f"{name.replace('_', '-')} {value!r}" in refused(run, "finetune", "copied", *TUNE, "--out", "t")
    assert run("finetune", "run", *TUNE, "--out", "t")[0] == 0


def test_a_seal_says_nothing_in_another_current_folder(run, own, monkeypatch):
    """There the names may mean a stranger's files, which came with the folder."""
    elsewhere = own / "download"
    elsewhere.mkdir()
    shutil.copytree(own / "run", elsewhere / "run")
    (elsewhere / "mine_sealed.py").write_text(MINE.replace("ran", "asked"))
    monkeypatch.chdir(elsewhere)
    assert "model 'mine_sealed:make': a module" in refused(run, "export", "run", "--format", "onnx")
    monkeypatch.chdir(own)
    assert run("export", "run", "--format", "onnx")[0] == 0


def test_another_users_seal_says_nothing(run, own, tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("another")))
    refused(run, "export", "run", "--format", "onnx")
    assert not secret().exists()  # reading makes none
    sealing._new_secret()
    assert secret().exists()
    refused(run, "export", "run", "--format", "onnx")


@pytest.mark.parametrize("how", ["world", "group", "short", "link", "folder", "pipe", "other", "none"])
def test_a_secret_that_is_not_the_users_alone_is_none(run, own, monkeypatch, how):
    place = secret()
    content = place.read_bytes()
    if how in ("world", "group"):
        place.chmod(0o604 if how == "world" else 0o640)
    elif how == "other":
        real = os.geteuid()
        monkeypatch.setattr(sealing.os, "geteuid", lambda: real + 1)
    else:
        place.unlink()
        if how == "short":
            place.write_bytes(content[:-1])
            place.chmod(0o600)
        elif how == "link":
            (place.parent / "x").write_bytes(content)
            (place.parent / "x").chmod(0o600)
            place.symlink_to("x")
        elif how == "folder":
            place.mkdir()
        elif how == "pipe":
            os.mkfifo(place, 0o600)
    refused(run, "export", "run", "--format", "onnx")
    if how not in ("none", "other"):
        assert sealing._new_secret() is None  # what is there stays
    if how in ("world", "group"):
        place.chmod(0o600)
        assert run("export", "run", "--format", "onnx")[0] == 0


def test_where_no_secret_can_be_kept_there_is_no_seal(pruned, tmp_path, monkeypatch):
    model, plan = pruned
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    save(tmp_path / "a", model, plan, summary(model="models.networks:Small"), own=True)
    assert FILE not in os.listdir(tmp_path / "a")
    monkeypatch.delattr(sealing.os, "geteuid")  # a system that knows no owners
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    save(tmp_path / "a", model, plan, summary(model="models.networks:Small"), own=True)
    assert FILE not in os.listdir(tmp_path / "a") and not (tmp_path / "state").exists()


def test_no_seal_where_others_may_write(pruned, tmp_path, monkeypatch):
    model, plan = pruned
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.chdir(shared)
    told = summary(model="models.networks:Small")
    save("a", model, plan, told, own=True)
    assert sealed(Path("a"), told)
    shared.chmod(0o777)
    assert not sealed(Path("a"), told)
    save("b", model, plan, told, own=True)
    assert FILE not in os.listdir("b")
    shared.chmod(0o755)
    shutil.rmtree(shared)
    assert not sealed(shared / "a", told)  # nor in a current folder that is gone


def test_only_what_the_user_gave_is_sealed(pruned, tmp_path):
    model, plan = pruned
    stranger, ships = summary(model="evil:make"), summary(model="cifar10/resnet18", data="digits")
    save(tmp_path / "a", model, plan, stranger)  # read from somewhere: nobody says whose names they are
    save(tmp_path / "b", model, plan, ships, own=True)
    save(tmp_path / "c", model, plan, factory="models.networks:Small")
    assert [FILE in os.listdir(tmp_path / name) for name in "abc"] == [False, False, True]


@pytest.mark.parametrize("mark", [b"", b"0" * LENGTH, b"\xff" * LENGTH, b"0" * 10_000])
def test_what_is_no_seal(run, own, mark):
    (own / "run" / FILE).write_bytes(mark)
    refused(run, "export", "run", "--format", "onnx")
    (own / "run" / FILE).unlink()
    os.mkfifo(own / "run" / FILE)
    refused(run, "export", "run", "--format", "onnx")


def test_a_stranger_gets_no_seal_by_a_fine_tuning(run, own):
    """Data of the user's own take the place of a function that a stranger named: it stays unsealed in what comes of it."""
    (own / "run" / FILE).unlink()
    forge(own / "run", data="evil:images", oracle=None)
    words = ("--data", "d.npz", "--model", "mine_sealed:make")
    code, _, err = run("finetune", "run", *TUNE, *words, "--out", "tuned")
    assert code == 0 and FILE not in os.listdir(own / "tuned"), err
    assert "data 'evil:images'" in refused(run, "finetune", "tuned", *TUNE, "--out", "again")
    forge(own / "run", data="d.npz")
    code, _, err = run("finetune", "run", *TUNE, *words, "--out", "tuned")
    assert code == 0 and FILE in os.listdir(own / "tuned"), err
    job = Finetuning(folder=own / "tuned", out=own / "again", recipe=Recipe(epochs=1, batch=16), command="")
    assert run_finetuning(job)


def test_who_vouches_for_a_name(tmp_path):
    before = summary(model="mine:make", oracle="csv t.csv", data=None)
    after = summary(model="mine:make", oracle="csv t.csv", data="mine:images")
    for given, whole in (
        (Repeated(trust=True), True),
        (Repeated(model="mine:make", oracle="csv t.csv", data="mine:images"), True),
        (Repeated(model="mine:make", oracle="csv t.csv"), False),
        (Repeated(), False),
    ):
        assert vouched(tmp_path, before, given, after) is whole
    (tmp_path / FILE).write_text(str(sealing.seal(before)))
    assert vouched(tmp_path, before, Repeated(), after)
    assert believed(tmp_path, before, Repeated(), prices=True, images=True).id == "unit:8"
