"""What `padless --help` shows."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import padless
from padless.cli import app
from padless.cli.app import COMMANDS, imported
from padless.hardware.target import CATALOGUE


def test_commands_are_listed_in_the_order_of_a_days_work():
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    listed = [name for name in re.findall(r"^[│|\s]*([a-z]+)  ", text, re.MULTILINE) if name in COMMANDS]
    assert listed == [
        "targets", "probe", "inspect", "shapes", "plan", "prune", "finetune", "treat", "export", "report", "sweep", "cache",
        "reproduce", "demo",
    ]  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_what_the_list_says_is_what_the_command_says(name):
    first = imported(name).help.partition("\n\n")[0]
    assert " ".join(first.split()) == COMMANDS[name][1]


def test_every_command_is_in_the_list():
    for module, _ in COMMANDS.values():
        importlib.import_module(f"padless.cli.{module}")
    files = {path.stem for path in Path(padless.cli.__file__).parent.glob("*.py")}
    assert files - {"__init__", "app", "closing", "options"} == {module for module, _ in COMMANDS.values()}
    assert list(typer.main.get_command(app).commands) == list(COMMANDS), "name a new command in padless/cli/app.py"


def test_a_mistyped_command_is_suggested():
    result = CliRunner().invoke(app, ["prun"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 2 and "Did you mean 'prune'?" in result.output


STARTED = """
import sys
sys.argv = {argv}
import padless.cli
try:
    padless.cli.main()
except SystemExit:
    pass
print([name for name in ("torch", "scipy", "onnx", "timm", "torchvision") if name in sys.modules])
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["targets"], ["targets", "ethos-u55-256"], ["targets", "check", "npu.toml"],
     ["targets", "schema"], ["prun"]],
    ids=" ".join,
)  # fmt: skip
def test_commands_without_a_network_import_no_torch(arguments, tmp_path):
    (tmp_path / "npu.toml").write_text((CATALOGUE / "gemmini-16.toml").read_text())
    program = STARTED.format(argv=["padless", *arguments])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_a_target_in_python_imports_no_torch():
    program = "import sys, padless; padless.load_target('ethos-u55-256'); print('torch' in sys.modules, len(padless.targets()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.startswith("False 5"), done.stderr
