"""A run's folder is exchanged whole, by one run at a time, whatever ends it."""

import errno
import json
import os
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest
from checks.summaries import summary

import padless
from padless import save
from padless.errors import UsageError
from padless.files import is_unfinished, unfinished
from padless.report.summary import Summary
from padless.runs import exchange
from padless.runs.exchange import claimed, mend, mended, renewed
from padless.runs.finetune import Finetuning, run_finetuning
from padless.train import Recipe

ROOT = Path(padless.__file__).parents[1]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
    "OMP_NUM_THREADS": "1",
    "PADLESS_CACHE": "",
}


@pytest.mark.parametrize(
    ("what", "more"), [("save", ()), ("save", ("journal",)), ("export", ("4",)), ("finetune", ("6",))]
)
def test_killed_at_file_events_the_old_or_the_new_run_is_whole(tmp_path, what, more):
    done = subprocess.run(
        [sys.executable, "-m", "checks.killed", what, str(tmp_path), *more],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["events"] > 15 and told["killed"] == told["tried"] == min(
        told["events"], int(more[0]) if more and more[0].isdigit() else 999
    )
    assert told["left"] == ["new", "old"] and told["whole_again"] and told["lingering"] == []
    assert told["beside"] == ["run"]


def test_a_sweep_that_is_killed_at_file_events_goes_on(tmp_path):
    """Each point has its row once, equal to that of an undisturbed sweep, and nothing lingers after the next start."""
    done = subprocess.run(
        [sys.executable, "-m", "checks.killed", "sweep", str(tmp_path), "5"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["events"] > 60 and told["killed"] == told["tried"] == 5
    assert told["left"] == ["between", "new", "old"] and told["whole_again"] and told["lingering"] == []


HOLD = "import sys; from padless.runs.exchange import claimed; from pathlib import Path\nwith claimed(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def holder(tmp_path):
    """A process that writes tmp_path/runs/a."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "runs" / "a")],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_run_is_refused_while_the_first_lives(holder, pruned, run, tmp_path):
    told = f"Another run \\(process {holder.pid}\\) writes .*runs/a. Wait for it, or give another folder"
    model, made = pruned
    with pytest.raises(UsageError, match=told):
        save(tmp_path / "runs" / "a", model, made)
    for command in (
        ("prune", "models.networks:Small", "--input-shape", "1,3,16,16", "--target", "unit:8", "--budget", "macs=60%"),
        ("demo",),
    ):
        code, _, err = run(*command, "--out", "runs/a")
        assert code == 2 and f"Another run (process {holder.pid}) writes" in " ".join(err.split())
    assert (
        run(
            *(
                (
                    "prune",
                    "models.networks:Small",
                    "--input-shape",
                    "1,3,16,16",
                    "--target",
                    "unit:8",
                    "--budget",
                    "macs=60%",
                )
            ),
            "--out",
            "runs/b",
        )[0]
        == 0
    )
    code, _, err = run("finetune", "runs/b", "--data", "digits", "--trust", "--out", "runs/a")
    assert code == 2 and "Another run" in err
    holder.kill()
    holder.wait()
    assert (tmp_path / "runs" / ".a.lock").exists()
    save(tmp_path / "runs" / "a", model, made, summary(seed=3))  # its lock died with it
    assert Summary.read(tmp_path / "runs" / "a").seed == 3
    assert sorted(os.listdir(tmp_path / "runs")) == ["a", "b"]


def test_processes_that_help_the_first_are_let_through(holder, tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    with claimed(tmp_path / "runs" / "a"):
        assert holder.poll() is None


def test_a_run_claims_its_folder_once_and_other_threads_do_not_share_it(tmp_path):
    refused = []

    def other():
        try:
            with claimed(tmp_path / "new" / "a"):
                pass
        except UsageError as error:
            refused.append(error)

    with claimed(tmp_path / "new" / "a"), claimed(tmp_path / "new" / "a"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1
    assert os.listdir(tmp_path) == []  # nor is the folder above it left, which was made for the lock


def test_a_lock_follows_no_link(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".a.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(UsageError, match=r"a cannot be locked: .*\.a\.lock cannot be opened"), claimed(tmp_path / "a"):
        pass
    assert (tmp_path / "victim").read_text() == "mine"


@pytest.mark.parametrize("journal", [False, True])
def test_a_folder_is_renewed_or_stays(tmp_path, monkeypatch, journal):
    if journal:
        monkeypatch.setattr(exchange, "_at_once", lambda new, folder: False)
    folder = tmp_path / "a"
    with renewed(folder) as new:
        (new / "x").write_text("1")
    with renewed(folder, keep=True) as new:
        (new / "y").write_text("2")
    assert sorted(os.listdir(folder)) == ["x", "y"] and (folder / "x").read_text() == "1"
    with pytest.raises(ZeroDivisionError), renewed(folder) as new:
        (new / "z").write_text(str(1 // 0))
    with renewed(folder) as new:
        (new / "z").write_text("3")
    assert os.listdir(folder) == ["z"] and os.listdir(tmp_path) == ["a"]


def test_a_linked_folder_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "latest").symlink_to("real")
    with claimed(tmp_path / "latest"), renewed(tmp_path / "latest") as new:
        (new / "x").write_text("1")
    assert (tmp_path / "latest").is_symlink() and (tmp_path / "real" / "x").read_text() == "1"


def test_a_stopped_exchange_is_ended_by_who_reads(tmp_path):
    folder = tmp_path / "a"
    scratch = unfinished(folder)
    for name in ("old", "new"):
        (scratch / name).mkdir(parents=True)
        (scratch / name / "x").write_text(name)
    assert mended(folder) == folder and (folder / "x").read_text() == "new"
    assert os.listdir(tmp_path) == ["a"]
    mended(tmp_path / "none" / "b")
    assert os.listdir(tmp_path) == ["a"]


def test_what_a_kill_left_beside_a_whole_folder_is_swept_by_who_reads(holder, tmp_path):
    folder = tmp_path / "runs" / "a"
    folder.mkdir()
    (folder / "x").write_text("whole")
    (unfinished(folder) / "old").mkdir(parents=True)
    mended(folder)  # it is being written: nothing is touched
    assert len(os.listdir(folder.parent)) == 3
    holder.kill()
    holder.wait()
    mended(folder)
    assert os.listdir(folder.parent) == ["a"] and (folder / "x").read_text() == "whole"


def test_what_is_none_of_ours_stays(tmp_path):
    mine, linked, inside = (
        tmp_path / ".a.padless-mine",
        unfinished(tmp_path / "a"),
        tmp_path / "a" / ".x.padless-0123456789abcdef",
    )
    mine.mkdir()
    (tmp_path / "elsewhere").mkdir()
    linked.symlink_to(tmp_path / "elsewhere")
    inside.mkdir(parents=True)
    (tmp_path / "a" / ".y.padless-0123456789abcdef").write_text("")
    unfinished(tmp_path / "b").mkdir()
    mend(tmp_path / "a")
    assert mine.exists() and linked.is_symlink() and (tmp_path / "elsewhere").exists()
    assert os.listdir(tmp_path / "a") == [] and any(is_unfinished(p, tmp_path / "b") for p in tmp_path.iterdir())


@pytest.mark.parametrize(("code", "told"), [(errno.EACCES, True), (errno.EINVAL, False), (errno.ENOSYS, False)])
def test_a_file_system_that_cannot_exchange_gets_a_journal_and_one_that_may_not_an_error(
    tmp_path, monkeypatch, code, told
):
    class Library:
        def renameat2(self, *_):
            return -1

    monkeypatch.setattr(exchange.ctypes, "CDLL", lambda *_, **__: Library())
    monkeypatch.setattr(exchange.ctypes, "get_errno", lambda: code)
    (tmp_path / "a").mkdir()
    with pytest.raises(PermissionError, match="tmp.*a") if told else nullcontext(), renewed(tmp_path / "a") as new:
        (new / "x").write_text("1")
    assert os.listdir(tmp_path / "a") == ([] if told else ["x"])
    assert os.listdir(tmp_path) == ["a"]


def test_names_are_not_foreseen():
    names = {unfinished(Path("/a/run")).name for _ in range(50)}
    assert len(names) == 50 and all(len(name) == len(".run.padless-") + 16 for name in names)
    assert len(unfinished(Path("/a") / ("x" * 250)).name) < 200
    assert not is_unfinished(Path(".run.padless-zz")) and not is_unfinished(unfinished(Path("a")), Path("b"))


def test_a_finetuning_of_a_folder_into_itself_is_refused(tmp_path, pruned):
    model, made = pruned
    save(tmp_path / "a", model, made, summary(model="cifar10/resnet18", data="digits"))
    job = Finetuning(folder=tmp_path / "a", out=tmp_path / "a", recipe=Recipe(), command="")
    with pytest.raises(UsageError, match="a stays as it is. Give --out another folder"):
        run_finetuning(job)
