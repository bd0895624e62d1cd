"""A run's folder from elsewhere: what it names is not run or read on its word."""

import json
import shutil
import socket
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from checks.summaries import summary
from models.networks import small

from padless import Choices, load_target, plan, prune, save
from padless.errors import UsageError
from padless.report.summary import FILE
from padless.runs.job import Job
from padless.runs.prune import run as prune_model
from padless.runs.trust import TRUSTED, Repeated, believed, check_names

MODEL = "padless.demo:DigitsResNet"
SMALL = ("--epochs", "1", "--distill", "0", "--batch", "350", "--out", "tuned")
MARK = "import pathlib\npathlib.Path('ran').touch()\n"


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """A run on digits."""
    out = tmp_path_factory.mktemp("whole") / "run"
    choices = Choices(importance="l1")
    job = Job(model=MODEL, target=load_target("unit:16"), budgets=("macs=50%",), data="digits", recover="none", out=out,
              choices=choices, command="padless prune")  # fmt: skip
    prune_model(job)
    return out


@pytest.fixture
def forged(run, whole_run, tmp_path):
    """That run, whose summary a stranger changed: a function of the changes."""
    shutil.copytree(whole_run, tmp_path / "run")
    file = tmp_path / "run" / FILE
    whole = json.loads(file.read_text())
    (tmp_path / "evil.py").write_text(f"{MARK}from padless.demo import DigitsResNet as make\n")
    (tmp_path / "t.csv").write_text("h,w,cin,cout,k,cycles\n")
    return lambda **changes: file.write_text(json.dumps({**whole, **changes}))


COMMAND = "sh -c 'touch ran; echo 1' {h} {w} {cin} {cout} {k} {stride} {groups}"


@pytest.mark.parametrize("command", ["finetune", "export"])
@pytest.mark.parametrize(
    ("changes", "repeat"),
    [
        ({"model": "evil:make"}, "model 'evil:make': a module would be imported and its function run"),
        ({"data": "evil:make"}, "data 'evil:make': a module would be imported and its function run"),
        ({"data": "someone/images"}, "data 'someone/images': it would be fetched from the network"),
        ({"target": "evil.toml"}, "target 'evil.toml': a file would be read as the target"),
        ({"target": "evil.toml@fp16"}, "target 'evil.toml@fp16': a file would be read as the target"),
    ],
)
def test_nothing_that_a_folder_names_is_run(run, forged, tmp_path, command, changes, repeat):
    forged(**changes)
    code, _, err = run(command, "run", *(SMALL if command == "finetune" else ()))
    said = " ".join(err.split())
    ((option, value),) = changes.items()
    assert code == 2 and repeat in said and f"(--{option} {value})" in said and "or give --trust" in said
    assert not (tmp_path / "ran").exists() and not (tmp_path / "tuned").exists()
    assert not (tmp_path / "tuned.training").exists()


@pytest.mark.parametrize("option", ["oracle", "memory-oracle"])
@pytest.mark.parametrize("named", [f"command {COMMAND}", COMMAND, "csv t.csv", "someones-entry-point 3"])
def test_no_command_table_or_entry_point_is_asked(run, forged, tmp_path, option, named):
    forged(**{option.replace("-", "_"): named})
    code, _, err = run("finetune", "run", *SMALL)
    said = " ".join(err.split())
    assert code == 2 and f"{option} " in said and "a program would be run, or a table read, to price layers" in said
    assert not (tmp_path / "ran").exists() and not (tmp_path / "tuned").exists()


def test_what_is_repeated_or_trusted_is_used(run, forged, tmp_path, monkeypatch):
    monkeypatch.setenv("PADLESS_CACHE", "")  # so that the command is asked each time
    forged(model="evil:make", oracle=COMMAND)
    code, _, err = run("finetune", "run", *SMALL, "--model", "evil:make")
    assert code == 2 and "evil:make" not in err and not (tmp_path / "ran").exists()
    code, _, err = run("finetune", "run", *SMALL, "--model", "evil:make", "--oracle", COMMAND)
    assert code == 0 and (tmp_path / "ran").exists(), err
    (tmp_path / "ran").unlink()
    code, _, err = run("finetune", "tuned", *SMALL[:-1], "again", "--trust")
    assert code == 0 and (tmp_path / "ran").exists(), err
    code, _, err = run("export", "again", "--format", "onnx", "--model", "evil:make")
    assert code == 0, err  # exporting prices no layers


def test_the_users_own_data_take_the_place_of_the_folders(run, forged, tmp_path):
    forged(data="evil:make")
    np.save(tmp_path / "x.npy", np.zeros((24, 1, 32, 32)))
    code, _, err = run("finetune", "run", *SMALL, "--data", "x.npy")
    assert code == 0 and not (tmp_path / "ran").exists(), err


def test_an_onnx_file_is_read_with_other_files_only_if_it_is_repeated(tmp_path):
    for outside in (False, True):
        torch.onnx.export(small(), torch.zeros(1, 3, 16, 16), tmp_path / "s.onnx", dynamo=False)
        onnx.save(
            onnx.load(tmp_path / "s.onnx"), tmp_path / "n.onnx", save_as_external_data=outside, size_threshold=0
        )  # fmt: skip
        told = summary(model=str(tmp_path / "n.onnx"))
        if not outside:
            assert believed(tmp_path, told, Repeated(), prices=True, images=True).id == "unit:8"
            continue
        with pytest.raises(UsageError, match="its weights would be read from other files beside it"):
            believed(tmp_path, told, Repeated(), prices=True, images=True)
        believed(tmp_path, told, Repeated(model=str(tmp_path / "n.onnx")), prices=True, images=True)
        believed(tmp_path, told, TRUSTED, prices=True, images=True)


@pytest.mark.parametrize(
    ("repeated", "message"),
    [
        (Repeated(model="other:make", trust=True), "was made with model 'mine:make'; --model says 'other:make'. Repeat it"),
        (Repeated(oracle="csv u.csv", trust=True), "was made with oracle 'csv t.csv'; --oracle says 'csv u.csv'"),
        (Repeated(memory_oracle="vela", trust=True), "memory-oracle 'of the target'; --memory-oracle says 'vela'"),
        (Repeated(target="unit:16", trust=True), "was made for the target 'unit:8'; --target unit:16 is unit:16"),
    ],
)  # fmt: skip
def test_what_is_repeated_in_other_words_is_refused(tmp_path, repeated, message):
    with pytest.raises(UsageError, match=message):
        believed(tmp_path, summary(model="mine:make", oracle="csv t.csv"), repeated, prices=True, images=True)


def test_a_target_of_ones_own_is_repeated_by_its_file(tmp_path, run):
    run("targets", "new", "npu.toml")
    text = (tmp_path / "npu.toml").read_text()
    told = summary(model="cifar10/resnet18", target="npu")
    with pytest.raises(UsageError, match="No target is called 'npu'"):
        believed(tmp_path, told, Repeated(), prices=True, images=True)
    assert 'id = "npu"' in text


def test_a_plan_names_no_file_as_its_target(tmp_path):
    model = small()
    made = plan(model, torch.zeros(1, 3, 16, 16), target="unit:8", budget="macs=50%")
    with pytest.raises(UsageError, match="The plan names the target file 'evil.toml', which is not read on its word"):
        save(tmp_path / "r", prune(model, made), replace(made, target="evil.toml"), factory="models.networks:Small")


@pytest.mark.parametrize(
    ("variant", "message"),
    [({"vela_config": "/etc/passwd"}, "vela_config names a file, and not its text"),
     ({"self": "x"}, "'self' is no system, memory_mode or vela_config")],
)  # fmt: skip
def test_a_variant_names_no_file(run, forged, variant, message):
    forged(variant=variant)
    code, _, err = run("finetune", "run", *SMALL)
    assert code == 2 and message in " ".join(err.split())


def test_no_command_looks_for_a_network(run, whole_run, tmp_path, monkeypatch):
    shutil.copytree(whole_run, tmp_path / "run")
    asked = []

    def refuse(*arguments):
        asked.append(arguments)
        raise OSError("no network here")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for words in (("finetune", "run", *SMALL), ("export", "tuned", "--format", "onnx"), ("report", "tuned")):
        code, _, err = run(*words)
        assert code == 0, err
    with pytest.raises(OSError, match="no network here"):
        socket.create_connection(("localhost", 9))
    assert len(asked) == 1


def test_names_of_any_file_are_checked_alike(tmp_path):
    """What a file of several runs names, such as a grid, is doubted as a folder's word is."""
    check_names(tmp_path, {"model": "timm/resnet18", "target": "unit:8", "oracle": "scalesim 16x16", "data": "digits"})
    check_names(tmp_path, {"model": MODEL, "target": "ethos-u55-64@int8", "oracle": "", "data": str(tmp_path)})
    with pytest.raises(UsageError) as caught:
        check_names(tmp_path, {"model": "a:b", "oracle": "x" * 2000, "memory-oracle": "csv t.csv"})
    said = str(caught.value)
    assert "model 'a:b'" in said and "memory-oracle 'csv t.csv'" in said and len(said) < 2000 and "…" in said
