"""A sweep on this machine: every point once, whatever its end, and the same as single runs."""

import csv
import json
import os
import sqlite3
from pathlib import Path

import pytest
from pyarrow import parquet

from padless import UsageError, sweep
from padless.report.summary import Summary
from padless.sweep import drive
from padless.sweep.claims import claimed
from padless.sweep.drive import status_of
from padless.sweep.store import Folder, StoreError

NOISE = ("seconds", "host", "attempts")
SMALL = {"model": "models.networks:Small", "work": "plan", "target": "unit:4"}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    )


def quiet(rows):
    return [{name: value for name, value in row.items() if name not in NOISE} for row in rows]


def test_points_are_done_once_and_read_afterwards(monkeypatch):
    points = [{**SMALL, "budget": f"macs={share}%", "seed": seed} for share in (50, 1, 30) for seed in (0, 1)]
    rows = sweep(points, out="o", jobs=1, csv=True)
    assert [row["status"] for row in rows] == ["done", "done", "infeasible", "infeasible", "done", "done"]
    assert "asks for at most" in rows[2]["error"]
    assert rows[0]["after"]["macs"] <= 0.5 * rows[0]["before"]["macs"] and rows[0]["gap"] == 0 and rows[0]["met"]
    table = parquet.read_table("o/results.parquet").to_pylist()
    assert {row["id"] for row in table} == {row["id"] for row in rows}
    assert {row["before_macs"] for row in table if row["status"] == "done"} == {rows[0]["before"]["macs"]}
    with open("o/results.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 6
    assert status_of("o") == ({"done": 4, "infeasible": 2}, {})

    def never(*_, **__):
        raise AssertionError("nothing is to be done")

    monkeypatch.setattr(drive, "LocalRunner", never)
    monkeypatch.setattr(drive, "examine", never)
    assert sweep(points, out="o") == rows
    assert sweep(points[:1] * 3, out="o") == rows[:1] * 3


def test_a_run_is_what_the_commands_alone_write(run, tmp_path):
    point = {
        "model": "padless.demo:DigitsResNet", "data": "digits", "target": "unit:8", "calibration": 64, "seed": 1,
        "finetune": {"epochs": 1},
    }  # fmt: skip
    rows = sweep([{**point, "budget": f"macs={share}%"} for share in (50, 30)], out="o", jobs=1)
    for row, share in zip(rows, (50, 30), strict=True):
        assert row["status"] == "done", row
        code, _, err = run(
            "prune", point["model"], "--data", "digits", "--target", "unit:8", "--calibration", "64", "--seed", "1", "--budget",
            f"macs={share}%", "--out", f"alone{share}",
        )  # fmt: skip
        assert code == 0, err
        assert run("finetune", f"alone{share}", "--epochs", "1", "--seed", "1")[0] == 0
        alone = Summary.read(tmp_path / f"alone{share}-finetuned")
        assert (dict(alone.before), dict(alone.after)) == (row["before"], row["after"])
        assert {name: list(w.c_out) for name, w in alone.widths.items()} == row["widths"]
        weights = [
            Path(f"{folder}/model.safetensors").read_bytes()
            for folder in (f"alone{share}-finetuned", f"o/{row['folder']}")
        ]
        assert weights[0] == weights[1]


def test_a_worker_that_dies_is_replaced():
    points = [{**SMALL, "model": "models.slow:once_deadly", "budget": "macs=50%", "seed": seed} for seed in (0, 1)]
    rows = sweep(points, out="o", jobs=1)
    assert sorted(row["attempts"] for row in rows) == [1, 2]
    assert quiet(rows) == quiet(sweep(points, out="calm", jobs=1))


def test_a_fine_tuning_that_is_killed_goes_on_from_its_checkpoint():
    point = {
        "model": "padless.demo:DigitsResNet", "data": "digits", "target": "unit:8", "calibration": 64, "budget": "macs=30%",
        "finetune": {"epochs": 2, "augment": "models.slow:tiring"},
    }  # fmt: skip
    (row,), (calm,) = (sweep([point], out=out, jobs=1) for out in ("o", "calm"))
    assert (row["status"], row["attempts"], calm["attempts"]) == ("done", 2, 1)
    assert quiet([row]) == quiet([calm])
    assert (
        Path("o", row["folder"], "model.safetensors").read_bytes()
        == Path("calm", calm["folder"], "model.safetensors").read_bytes()
    )


def test_what_fails_is_tried_three_times_and_told():
    deadly, failing, good = (
        {**SMALL, "model": model, "budget": "macs=50%"}
        for model in ("models.slow:deadly", "models.slow:failing", "models.networks:Small")
    )
    points = [deadly, failing, good]
    rows = sweep(points, out="o", jobs=1)
    assert [(row["status"], row["attempts"]) for row in rows] == [("failed", 3), ("failed", 3), ("done", 1)]
    assert rows[0]["error"].startswith("The process that worked on it ended")
    assert "no such weights" in rows[1]["error"]
    counts, failed = status_of("o")
    assert counts == {"done": 1, "failed": 2} and set(failed) == {rows[0]["id"], rows[1]["id"]}
    assert sweep(points, out="o", jobs=1) == rows
    Path("spared").touch()
    assert [row["status"] for row in sweep(points, out="o", jobs=1, retry_failed=True)] == ["done", "failed", "done"]


def test_mistakes_are_told_before_anything_starts():
    Path("g.toml").write_text(
        """model = "models.networks:Small"
work = "plan"
[[grid]]
target = ["unit:4", "unit:x"]
budget = ["macs=50%", "mac=1"]
[[grid]]
model = "models.networks:Smal"
target = "unit:4"
budget = "macs=50%"
finetune.epochs = 3
data = "./none"
[[grid]]
target = "unit:4"
budget = "macs=50%"
epochs = 1
weights = "none.safetensors"
"""
    )
    with pytest.raises(UsageError) as caught:
        sweep("g.toml", out="o", trust=True)
    said = str(caught.value).splitlines()
    assert said[0] == "g.toml has 6 mistakes; nothing was started:"
    for line, beginning in zip(said[1:], (
        "  line 5: budget: Unknown budget 'mac'", "  line 4: target: ", "  line 11: data: Fine-tuning needs images",
        "  line 7: model: ", "  line 2: work: Fine-tuning needs images", "  line 1: model: ",
    ), strict=True):  # fmt: skip
        assert line.startswith(beginning)
    assert "none.safetensors" in said[-1] and not Path("o").exists()


def test_images_that_are_nowhere():
    with pytest.raises(
        UsageError, match=r"The list of points has a mistake.*\n  data: No images at '\./none'\. Give digits"
    ):
        sweep([{**SMALL, "budget": "macs=50%", "data": "./none"}], out="o")


def test_what_is_no_point():
    with pytest.raises(UsageError, match="There is no point to do"):
        sweep([], out="o")
    with pytest.raises(UsageError, match="Point 1: target is missing; budget is missing"):
        sweep([{**SMALL, "budget": "macs=50%"}, {"model": "m"}], out="o")
    Path("file").touch()
    with pytest.raises(UsageError, match="file is a file; it stays as it is. Give --out a folder."):
        sweep([{**SMALL, "budget": "macs=50%"}], out="file")
    with pytest.raises(UsageError, match=r"none holds no points of a sweep"):
        status_of("none")


def test_rows_that_cannot_be_written_are_told_at_the_end(monkeypatch, capsys):
    original = Folder.write

    def full(self, name, content):
        if name.startswith("points/") and b'"seed": 1' in content:
            raise StoreError("o/points cannot be written: No space left on device.")
        original(self, name, content)

    monkeypatch.setattr(Folder, "write", full)
    points = [{**SMALL, "budget": "macs=50%", "seed": seed} for seed in (0, 1)]
    with pytest.raises(
        StoreError, match=r"1 row\(s\) could not be written: o/points cannot be written: No space left on device"
    ):
        sweep(points, out="o", jobs=1)
    assert len(list(Path("o/points").iterdir())) == 1
    monkeypatch.setattr(Folder, "write", original)
    assert len(sweep(points, out="o", jobs=1)) == 2


def test_a_row_that_is_none():
    sweep([{**SMALL, "budget": "macs=50%"}], out="o", jobs=1)
    file = next(Path("o/points").iterdir())
    file.write_text("{}")
    with pytest.raises(StoreError, match=f"{file.name} is no row of a sweep"):
        status_of("o")


def test_the_worse_half_stops():
    point = {
        "model": "padless.demo:DigitsResNet", "data": "digits", "target": "unit:8", "calibration": 64, "budget": "macs=30%",
    }  # fmt: skip
    points = [{**point, "finetune": {"epochs": 2, "batch": 32, "distill": 0, "lr": rate}} for rate in (1e-6, 0.05)]
    rows = sweep(points, out="o", jobs=1, halve=True)
    assert [row["status"] for row in rows] == ["stopped", "done"]
    reason = rows[0]["stopped"]
    assert reason["epoch"] == 1 and (reason["place"], reason["of"]) == (2, 2)
    assert reason["held_out_accuracy"] < reason["last_to_go_on"]
    finetuned = Summary.read(Path("o") / rows[1]["folder"]).finetuning
    assert finetuned.held_out == 140
    assert "Stopped after epoch 1: place 2 of 2" in Path("o/sweep.html").read_text()
    # Points that train on all images are others.
    assert {row["id"] for row in rows}.isdisjoint(drive.ids([drive.point_of(each) for each in points]))
    # One that failed is tried again, though its rivals have their rows.
    file = Path("o/points") / f"{rows[1]['id']}.json"
    file.write_text(json.dumps({**rows[1], "status": "failed", "error": "died"}))
    again = sweep(points, out="o", jobs=1, halve=True, retry_failed=True)
    assert [row["status"] for row in again] == ["stopped", "done"] and again[1]["after"] == rows[1]["after"]


def test_a_folder_that_is_another_one(monkeypatch):
    """A worker on another machine may have a folder of the same name."""
    original = drive._Drive._mark

    def moved(self):
        mark = original(self)
        Path("o/.sweep").write_text("another")
        return mark

    monkeypatch.setattr(drive._Drive, "_mark", moved)
    rows = sweep([{**SMALL, "budget": "macs=50%"}], out="o", jobs=1)
    assert rows[0]["status"] == "failed"
    assert (
        "is not the folder that the sweep was started in. Give --out a folder that all nodes share" in rows[0]["error"]
    )


def test_what_a_worker_does_not_see(monkeypatch):
    monkeypatch.setattr(drive, "files_of", lambda point: ["/nowhere/weights.safetensors"])
    rows = sweep([{**SMALL, "budget": "macs=50%"}], out="o", jobs=1)
    assert "does not see /nowhere/weights.safetensors. Put weights, data, tables and targets where" in rows[0]["error"]


def test_a_claim_holds_against_other_processes_until_it_ends(tmp_path):
    import subprocess
    import sys

    program = f"from pathlib import Path; from padless.sweep.claims import claimed\nwith claimed(Path({str(tmp_path)!r}), 'a' * 16) as m: print(m)"

    def other():
        return subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.strip()

    with claimed(tmp_path, "a" * 16) as mine, claimed(tmp_path, "b" * 16) as too:
        assert mine and too and other() == "False"
    assert other() == "True"


def test_ids_follow_the_files(tmp_path):
    Path("t.toml").write_text("x")
    point = drive.point_of({**SMALL, "target": "t.toml", "budget": "macs=50%"})
    first = drive.ids([point])
    Path("t.toml").write_text("y")
    assert drive.ids([point]) != first
    Path("t.toml").write_text("x")
    assert drive.ids([point]) == first
    (tmp_path / "d").mkdir()
    Path("d/a.png").write_text("1")
    with_data = drive.point_of({**SMALL, "budget": "macs=50%", "data": "d"})
    first = drive.ids([with_data])
    Path("d/a.png").rename("d/b.png")
    assert drive.ids([with_data]) != first


def test_layers_are_priced_once_for_all_points(monkeypatch):
    points = [{**SMALL, "target": "ethos-u55-256", "budget": f"cycles={share}%"} for share in (90, 80)]
    rows = sweep(points, out="o", jobs=2)
    assert [row["status"] for row in rows] == ["done", "done"], rows
    database = sqlite3.connect(Path(os.environ["PADLESS_CACHE"]) / "costs.sqlite")
    assert database.execute("SELECT count(*) FROM answers").fetchone()[0] > 10
    assert json.loads(Path("o/points").joinpath(f"{rows[0]['id']}.json").read_text())["after"]["oracle"].startswith(
        "Arm Vela"
    )
