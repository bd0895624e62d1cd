"""Names are printed as text, output may fail, code may end the program: a command ends with one message and its code."""

import io
import os
import subprocess
import sys

import pytest
import torch
from rich.table import Table

import padless
from padless.errors import PadlessError
from padless.progress import Terminal

HERE = os.path.dirname(os.path.dirname(padless.__file__))
MINE = """
import sys
from torch import nn

class Net(nn.Sequential):
    input_shape = (1, 3, 16, 16)

    def __init__(self):
        super().__init__(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3))

def lazily():
    import beside
    return Net()

def stops():
    sys.exit(0)

def leaves():
    exit()

class Stops(Net):
    def forward(self, x):
        raise SystemExit

def score(graph, model, images):
    import beside
    import numpy as np
    return np.ones(graph.channels)

def stopping_score(graph, model, images):
    sys.exit("enough")
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A folder with a module of the user's, and files that are called as packages that padless needs."""
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "beside.py").write_text("")
    (tmp_path / "module_ends.py").write_text("import sys\nsys.exit(0)\n")
    for package in ("onnx", "rich", "shlex"):
        (tmp_path / f"{package}.py").write_text("raise RuntimeError('the local file stands in for a package')\n")
    monkeypatch.chdir(tmp_path)

    def call(*words, shell=False, **environment):
        command = (
            " ".join([sys.executable, "-m", "padless", *words]) if shell else [sys.executable, "-m", "padless", *words]
        )
        return subprocess.run(
            command, shell=shell, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": HERE, "OMP_NUM_THREADS": "1", **environment},
        )  # fmt: skip

    return call


PRUNE = ("prune", "mine:Net", "--target", "unit:8", "--budget", "macs=50%", "--out", "run")
INSPECT = ("inspect", "mine:Net", "--target", "unit:8")


def test_modules_beside_the_user_are_found_and_stand_in_for_no_package(mine, tmp_path):
    done = mine("prune", "mine:lazily", *PRUNE[2:], "--importance", "mine:score", "--input-shape", "1,3,16,16")
    assert done.returncode == 0, done.stderr
    done = mine("export", "run", "--format", "onnx", "--model", "mine:lazily")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("inspect", "mine:stops", *INSPECT[2:]), "mine.py, line 16, in stops: the program was ended (sys.exit, code 0)"),
     (("inspect", "mine:leaves", *INSPECT[2:]), "mine.py, line 19, in leaves: the program was ended (sys.exit, code None)"),
     (("inspect", "mine:Stops", *INSPECT[2:]), "mine.py, line 23, in forward: the program was ended"),
     (("inspect", "module_ends:x", *INSPECT[2:]), "module_ends.py, line 2, in <module>: the program was ended"),
     ((*PRUNE, "--importance", "mine:stopping_score"), "line 31, in stopping_score: the program was ended (sys.exit, code 'enough')")],
    ids=["factory", "exit", "forward", "module", "importance"],
)  # fmt: skip
def test_code_that_ends_the_program_is_named(mine, tmp_path, arguments, message):
    done = mine(*arguments)
    assert done.returncode == 1 and message in done.stderr and "must return, or raise an error" in done.stderr
    assert not (tmp_path / "run").exists() and len(done.stderr.splitlines()) < 3


def test_the_same_in_this_process(run, tmp_path, monkeypatch):
    (tmp_path / "ends_here.py").write_text("def make():\n    raise SystemExit(0)\n")
    code, _, err = run("inspect", "ends_here:make", "--target", "unit:8")
    assert code == 1 and "ends_here.py, line 2, in make: the program was ended" in " ".join(err.split())
    assert str(tmp_path) not in sys.path and "" not in sys.path[1:]


@pytest.mark.parametrize(
    ("how", "code"), [(">/dev/full", 1), (">&-", 0), ("2>&-", 0), ("2>/dev/full", 0), ("| true", 0)]
)
def test_work_is_done_though_nothing_can_be_printed(mine, tmp_path, how, code):
    done = mine(*PRUNE[:5], "macs=50%", *PRUNE[6:], how + "; exit ${PIPESTATUS:-$?}", shell=True)
    assert sorted(p.name for p in (tmp_path / "run").iterdir())[0] == "model.safetensors"
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    if how != "| true":
        assert done.returncode == code, done.stderr
    if code:
        assert "Error: the output could not be written: No space left on device" in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_terminals_that_cannot_show_all_signs(mine, encoding):
    for words in (INSPECT, ("targets",), ("inspect", "mine:Nót", *INSPECT[2:])):
        done = mine(*words, PYTHONIOENCODING=encoding)
        assert "Traceback" not in done.stderr and done.returncode == (2 if "mine:Nót" in words else 0), done.stderr


def test_names_are_printed_as_text(run, tmp_path):
    for name in ("[/x]", ":ok:", "[bold]"):
        code, out, err = run("inspect", "models.networks:Small", "--target", "unit:8", "--json", f"{name}.json")
        assert code == 0 and f"Written: {name}.json" in out and (tmp_path / f"{name}.json").exists(), err
        code, out, err = run("inspect", "models.networks:Small", "--target", name)
        assert code == 2 and f"No target is called '{name}'" in " ".join(err.split())


def test_a_terminal_prints_what_it_is_given():
    stream = io.StringIO()
    terminal = Terminal(file=stream, width=60)
    table = Table("[/a] :ok:", title="[/title]")
    table.add_row("\x1b[31mred\x07\x9b")
    terminal.print("[/x] :ok: [bold]\x1b]0;title\x07", table)
    shown = stream.getvalue()
    assert "[/x] :ok: [bold]" in shown and "[/a] :ok:" in shown and "[/title]" in shown
    assert not {"\x1b", "\x07", "\x9b"} & set(shown)


class Failing(io.StringIO):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error


def test_what_cannot_be_written_is_remembered_and_nothing_fails():
    full, closed, shut = (
        OSError(28, "No space left on device"),
        BrokenPipeError(),
        ValueError("I/O operation on closed file"),
    )
    for error, lost in ((full, full), (closed, None), (shut, None)):
        terminal = Terminal(file=Failing(error))
        terminal.print("one")
        terminal.print("two")
        assert terminal.lost is lost and terminal.quiet


def test_a_stop_while_packages_load_ends_in_one_line(tmp_path):
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")
    done = subprocess.run(
        [sys.executable, "-m", "padless", "targets"], capture_output=True, text=True, cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), HERE])},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")


def test_a_stop_while_a_command_works_ends_in_one_line(run, tmp_path):
    (tmp_path / "stopped.py").write_text("def make():\n    raise KeyboardInterrupt\n")
    code, _, err = run("inspect", "stopped:make", "--target", "unit:8")
    assert (code, err) == (130, "Stopped.\n")


def test_api_users_see_their_own_exit():
    """In Python a forward that ends the program does so: nobody is left to print a message."""

    class Ends(torch.nn.Module):
        def forward(self, x):
            sys.exit(3)

    with pytest.raises((SystemExit, PadlessError)):
        padless.inspect(Ends(), torch.zeros(1, 3, 4, 4), target="unit:8")
