"""A run: it goes on where it was stopped, and can be added to."""

import json
import sys

import pytest
import torch
from models.tiny import Tiny, telling
from safetensors.torch import save_file

from padless import load_model
from padless.errors import UsageError
from padless.reproduction import tables
from padless.reproduction.store import Results, read_results


def test_a_run_goes_on_and_is_added_to(run, tmp_path, data):
    (tmp_path / "w").mkdir()
    save_file(telling().state_dict(), tmp_path / "w" / "tiny.safetensors")
    options = ("--methods", "padless,NPU-aware,general,Torch-Pruning local", "--weights", "w", "--out", "r")
    code, out, err = run(*options, "--budgets", "70")
    assert (code, out.strip()) == (
        0,
        "Written: r/results.json, tables.md, cells.csv, layers.csv, figures/, report.html",
    )
    found = read_results(tmp_path / "r" / "results.json")
    assert [row["method"] for row in found["rows"]] == [
        "continued", "general", "NPU-aware", "padless", "NPU-aware", "general", "Torch-Pruning local",
    ]  # fmt: skip
    assert "7 of 7: tiny, Torch-Pruning local at equal cycles 70 %" in " ".join(err.split())
    for row in found["rows"]:
        if row["part"] == "equal cycles" and row["accuracy"] is not None:
            assert row["cycles_percent"] <= 70
    aware = tables.of(found["rows"], part="equal ratio", method="NPU-aware")
    assert [row["waste"]["NPU-aware"]["avoidable_macs_percent"] for row in aware] == [0.0]
    assert [set(row["layers"]["general"]) for row in aware] == [{"first.0", "second.0", "fc"}]
    assert not (tmp_path / "r" / ".training").exists()
    assert {row["on"].split(", ")[2] for row in found["rows"] if "on" in row} <= {"32-true", "bf16-mixed"}
    assert {"torch", "torch-pruning"} <= set(found["versions"])
    assert len(found["staircase"]) == 1
    for steps in found["staircase"]:
        c_in, c_out, cost = steps["chosen"]["padless"]
        assert (c_in, cost) == (steps["c_in"], steps["costs"][c_out - 1])
    # Again: nothing is measured anew, and the tables are the same.
    tabled = (tmp_path / "r" / "tables.md").read_text()
    before = [json.dumps(row) for row in found["rows"]]
    assert run(*options, "--budgets", "70")[0] == 0
    assert [json.dumps(row) for row in read_results(tmp_path / "r" / "results.json")["rows"]] == before
    assert (tmp_path / "r" / "tables.md").read_text().splitlines()[:-1] == tabled.splitlines()[:-1]
    # One more ratio and one more unit are added to what is there; what is given twice is measured once.
    assert run(*options, "--budgets", "70", "--ratios", "30,0.3", "--units", "8,16")[0] == 0
    more = read_results(tmp_path / "r" / "results.json")
    assert len(more["rows"]) == len(before) + 3
    assert len(more["commands"]) == 2
    assert more["seconds"] > found["seconds"]
    header = next(line for line in (tmp_path / "r" / "tables.md").read_text().splitlines() if "MACs left" in line)
    assert "| general | NPU-aware 8 | NPU-aware 16 | MACs left, % |" in header
    # Another training is another folder's.
    code, _, err = run(*options, "--budgets", "70", "--epochs", "2")
    assert code == 2
    assert "was measured with epochs 1, now it is 2. Give the same options, or --out another folder." in err
    # Other weights, too.
    save_file(Tiny().state_dict(), tmp_path / "w" / "tiny.safetensors")
    code, _, err = run(*options, "--budgets", "60")
    assert (code, "holds tiny with other weights. Give --out another folder." in err) == (2, True)


def test_without_weights_a_network_is_trained_first_and_kept(run, tmp_path):
    options = ("--methods", "padless", "--ratios", "", "--budgets", "70", "--out", "r")
    code, _, err = run(*options)
    assert code == 0
    assert "No weights for tiny: training it for 2 epoch(s)." in err
    assert (tmp_path / "r" / "weights" / "tiny.safetensors").exists()
    assert read_results(tmp_path / "r" / "results.json")["trained"] == {"tiny": 2}
    code, _, err = run(*options, "--seeds", "0,1")
    assert (code, "training it" in err) == (0, False)
    (tmp_path / "r" / "weights" / "tiny.safetensors").unlink()
    code, _, err = run(*options, "--seeds", "2")
    assert (code, "holds tiny with weights that are not at hand. Give --weights." in " ".join(err.split())) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--ratios", "thirty"), "--ratios takes shares with commas between, such as 30,50; got 'thirty'."),
        (("--units", "8;16"), "--units takes whole numbers with commas between, such as 8,16; got '8;16'."),
        (("--networks", "alexnet"), "No network 'alexnet' in CIFAR form."),
        (("--weights", "nowhere"), "No folder nowhere. Give --weights a folder with NETWORK.safetensors"),
        (
            ("--target", "sony-imx500"),
            'sony-imx500 has no cycles to be equal in. Give --budgets "", or another target.',
        ),
        (("--out", "data/train/0/0.png"), "data/train/0/0.png is a file; it stays as it is. Give --out a folder."),
    ],
)
def test_wrong_options(run, options, message):
    code, _, err = run(*options)
    assert code == 2
    assert message in " ".join(err.split())


def test_a_tool_that_is_not_installed_is_left_out(run, tmp_path, monkeypatch):
    monkeypatch.setattr("padless.reproduction.run.NEEDS", {"MCT": "no_such_module"})
    code, _, err = run("--ratios", "", "--methods", "MCT,general", "--budgets", "70", "--out", "r")
    assert code == 0
    assert "MCT is not installed (the module no_such_module), so its rows are left out." in " ".join(err.split())
    assert "MCT" not in {row["method"] for row in read_results(tmp_path / "r" / "results.json")["rows"]}


def test_without_a_library_for_pictures_nothing_is_started(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, _, err = run("--out", "r")
    assert (code, (tmp_path / "r").exists()) == (2, False)
    assert "Drawing the reproduction needs the package matplotlib" in " ".join(err.split())


def test_results_that_are_none(tmp_path):
    (tmp_path / "results.json").write_text('{"rows')
    with pytest.raises(UsageError, match="holds no results that can be read"):
        Results(tmp_path, {}, ())


def test_processes_share_the_cells(run, tmp_path):
    (tmp_path / "w").mkdir()
    torch.manual_seed(0)
    save_file(load_model("cifar10/mobilenet_v2").model.state_dict(), tmp_path / "w" / "mobilenet_v2.safetensors")
    options = ("--networks", "mobilenet_v2", "--weights", "w", "--ratios", "", "--budgets", "", "--seeds", "0,1")
    for jobs in ("1", "2"):
        code, _, err = run(*options, "--jobs", jobs, "--out", f"r{jobs}")
        assert code == 0, err
    alone, shared = (
        {
            (row["method"], row["seed"]): {k: v for k, v in row.items() if k != "seconds"}
            for row in read_results(tmp_path / f"r{jobs}" / "results.json")["rows"]
        }
        for jobs in (1, 2)
    )
    assert len(alone) == 2 and alone == shared
    assert not (tmp_path / "r2" / ".training").exists()


def test_a_cell_that_fails_is_told(run, tmp_path, monkeypatch):
    monkeypatch.setattr("padless.reproduction.cells.measured", lambda *_: 1 / 0)
    code, _, err = run("--methods", "padless", "--ratios", "", "--budgets", "70", "--out", "r")
    assert code == 1 and "A cell failed: ZeroDivisionError: division by zero" in err
