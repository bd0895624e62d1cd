"""What `padless --help` shows."""

import re

import typer
from typer.testing import CliRunner

from padless.cli import app
from padless.cli.app import WORKDAY


def test_commands_are_listed_in_the_order_of_a_days_work():
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    listed = [name for name in re.findall(r"^[│|\s]*([a-z]+)  ", text, re.MULTILINE) if name in WORKDAY]
    assert listed == [
        "targets", "probe", "inspect", "shapes", "plan", "prune", "finetune", "export", "reproduce", "demo",
    ]  # fmt: skip


def test_every_command_has_its_place_in_the_list():
    registered = typer.main.get_command(app).commands
    assert set(registered) == set(WORKDAY), "name a new command in padless/cli/app.py: WORKDAY"
