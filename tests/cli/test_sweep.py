"""`padless sweep`."""

import os
from pathlib import Path

import pytest

from padless.cli.sweep import _bytes

GRID = 'model = "models.networks:Small"\nwork = "plan"\ntarget = "unit:4"\nbudget = ["macs=50%", "macs=1%"]\n'


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    """Workers find the tests' networks."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, Path(__file__).parents[1:3])))


def test_a_sweep_from_a_file(run, tmp_path):
    (tmp_path / "g.toml").write_text(GRID)
    code, out, err = run("sweep", "g.toml", "--trust", "--out", "o", "--jobs", "1", "--csv")
    assert code == 0, err
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "budget status cost, % of dense importance kept, %"
    assert lines[2] == "macs=1% infeasible"
    assert lines[3:] == ["2 points: 1 done, 1 infeasible.", "Written: o/points/, results.parquet, sweep.html"]
    assert {path.name for path in Path("o").iterdir()} >= {"points", "results.parquet", "results.csv", "sweep.html"}
    assert run("sweep", "--status", "o")[1] == "2 points: 1 done, 1 infeasible.\n"


def test_what_a_sweep_needs(run, tmp_path):
    code, _, err = run("sweep", "--out", "o")
    assert (
        code == 2 and "A sweep takes GRID.toml and --out DIR; `padless sweep --status DIR` says how far one is." in err
    )
    (tmp_path / "g.toml").write_text(GRID + "sed = 1")
    code, _, err = run("sweep", "g.toml", "--trust", "--out", "o")
    assert code == 2 and "line 5: there is no option 'sed'. Did you mean seed" in err


@pytest.mark.parametrize(("text", "count"), [("2GiB", 2 << 30), ("1.5kB", 1500), ("7", 7), (None, 0)])
def test_memory_is_told_in_units(text, count):
    assert _bytes(text) == count


def test_memory_that_is_none(run):
    code, _, err = run("sweep", "g.toml", "--out", "o", "--memory", "much")
    assert code == 2 and "--memory is a number of bytes, such as 2GiB; got 'much'." in err


def test_points_that_fail_are_an_exit_code(run, tmp_path):
    (tmp_path / "g.toml").write_text(GRID.replace("networks:Small", "slow:failing"))
    code, out, _ = run("sweep", "g.toml", "--trust", "--out", "o", "--jobs", "1")
    assert code == 1 and "2 points: 2 failed." in out
    assert "ValueError: no such weights" in run("sweep", "--status", "o")[1]


def test_a_grid_of_someone_else_runs_nothing_of_its_own(run, tmp_path):
    lines = 'importance = "own:scores"\noracle = "csv costs.csv"\ndata = "own:data"\nfinetune.augment = "own:augment"\n'
    (tmp_path / "g.toml").write_text(GRID.replace("unit:4", "own.toml") + lines)
    code, _, err = run("sweep", "g.toml", "--out", "o")
    assert code == 2
    assert err.splitlines() == [
        "Error: g.toml names what does not come with padless, and a grid may be anyone's work:",
        "  line 1: model 'models.networks:Small': a module would be imported and its function run",
        "  line 3: target 'own.toml': a file would be read as the target",
        "  line 6: oracle 'csv costs.csv': a program would be run, or a table read, to price layers",
        "  line 7: data 'own:data': a module would be imported and its function run",
        "  line 5: importance 'own:scores': a module would be imported and its function run",
        "  line 8: finetune.augment 'own:augment': a module would be imported and its function run",
        "  Give --trust if you trust who made it.",
    ]
    (tmp_path / "g.toml").write_text(
        'model = "padless.demo:DigitsResNet"\ntarget = "unit:8"\nwork = "plan"\nbudget = "macs=50%"'
    )
    assert run("sweep", "g.toml", "--out", "o", "--jobs", "1")[0] == 0
