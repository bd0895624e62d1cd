"""`padless inspect`, `prune` and `export`: the shapes of the output."""

import json
import re

import numpy as np
import torch
from checks.vela_command import INI
from models.networks import small
from safetensors.torch import save_file

import padless
from padless import Summary, load

TOTALS = {
    "macs", "padded_macs", "wasted_macs_percent", "weight_bytes", "padded_weight_bytes", "wasted_weight_percent",
    "activation_bytes", "padded_activation_bytes", "cycles", "npu_cycles", "oracle",
}  # fmt: skip


def test_inspect_with_another_oracle_and_a_roofline(run, tmp_path):
    code, out, _ = run(
        "inspect",
        "models.networks:Small",
        "--target",
        "gemmini-16",
        "--oracle",
        "scalesim 16x16",
        "--roofline",
        "r.html",
    )
    assert code == 0 and "SCALE-Sim 3.0.0, weight-stationary 16x16 array" in out and "a sum over layers" in out
    assert "<svg" in (tmp_path / "r.html").read_text()
    code, out, _ = run("inspect", "models.networks:Small", "--target", "unit:16", "--oracle", "onnxruntime")
    assert code == 0 and "Nanoseconds: ONNX Runtime" in out


def test_inspect(run, tmp_path):
    code, out, _ = run("inspect", "models.networks:Small", "--target", "ethos-u55-256", "--json", "cost.json")
    assert code == 0 and "block.body.0" in out and "Arm Vela 5.2.0, ethos-u55-256" in out
    data = json.loads((tmp_path / "cost.json").read_text())
    assert set(data["totals"]) >= TOTALS
    assert [row["name"] for row in data["layers"]] == ["stem", "block.body.0", "block.body.3", "down", "head"]
    assert sum(row["macs"] for row in data["layers"]) == data["totals"]["macs"]
    assert data["layers"][0]["padded_c_in"] == 8 and data["layers"][0]["cycles"] > 0
    assert data["layers"][-1]["output_channels_stay"] == "output of the network"
    assert data["reach"]["pinned"] == [
        {"group": "head", "width": 4, "reason": "output of the network", "layers": ["head"]}
    ]
    assert data["reach"]["channels_percent"] == round(100 * 72 / 76, 2) and 90 < data["reach"]["macs_percent"] < 100
    code, out, _ = run("inspect", "models.networks:stays", "--target", "unit:16", "--input-shape", "1,3,8,8")
    assert "Can be cut: 0.0 % of the channels" in out and "No cycles: no source" in out
    assert "aten._softmax works along the channels" in out and "output of the network" in out
    code, out, _ = run(
        "inspect", "models.networks:Small", "--target", "unit:16", "--input-shape", "1,3,32,32", "--json", "cost.json"
    )
    assert json.loads((tmp_path / "cost.json").read_text())["totals"]["cycles"] is None


def test_a_vela_configuration_and_a_latency(run, tmp_path):
    (tmp_path / "board.ini").write_text(INI)
    asked = ["models.networks:Small", "--target", "ethos-u55-64", "--vela-config", "board.ini"]
    code, out, err = run("inspect", *asked, "--json", "cost.json", "--roofline", "r.html")
    assert code == 0, err
    totals = json.loads((tmp_path / "cost.json").read_text())["totals"]
    assert re.fullmatch(r"Arm Vela 5.2.0, ethos-u55-64, Board \(ini [0-9a-f]{8}\), Shared_Sram", totals["oracle"])
    assert totals["clock_hz"] == 100_000_000 and totals["milliseconds"] == totals["cycles"] / 1e5
    assert "Milliseconds are this estimate at 100 MHz, not measured" in " ".join(out.split())
    assert "flash 0.16 B/cycle" in (tmp_path / "r.html").read_text()
    ms = 0.8 * totals["milliseconds"]
    code, out, err = run("prune", *asked, "--budget", f"latency={ms:.6f}ms", "--out", "run")
    assert code == 0, err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["variant"] == {"vela_config": INI} and summary["after"]["milliseconds"] <= ms
    assert summary["budgets"][0]["budget"].startswith("latency=") and summary["budgets"][0]["met"]
    assert re.search(rf"\(at most {ms:.6g} ms \([\d,]+ cycles\)\), achieved [\d.]+ ms", " ".join(out.split()))
    page = (tmp_path / "run" / "report.html").read_text()
    assert "milliseconds" in page and "estimate at 100 MHz" in page and " ms (" in page
    code, out, err = run("plan", *asked, "--pareto", "2", "--quantity", "latency", "--json", "p.json")
    assert code == 0 and "latency, ms" in out, err
    assert json.loads((tmp_path / "p.json").read_text())[-1]["cost"] < 2 * totals["milliseconds"]


def test_prune_and_export(run, tmp_path):
    torch.manual_seed(3)
    save_file(small().state_dict(), tmp_path / "w.safetensors")
    code, out, err = run(
        "prune",
        "models.networks:Small",
        "--target",
        "ethos-u55-256",
        "--budget",
        "cycles=80%",
        "--weights",
        "w.safetensors",
        "--out",
        "run",
    )
    assert code == 0, err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert set(summary["before"]) >= TOTALS and set(summary["after"]) >= TOTALS
    assert summary["after"]["cycles"] <= 0.8 * summary["before"]["cycles"]
    assert summary["equivalence_max_error"] < 1e-10
    assert summary["widths"]["head"] == {"c_in": [32, 32], "c_out": [4, 4]}
    assert summary["command"].startswith("padless prune models.networks:Small --target ethos-u55-256")
    assert {"python", "padless", "torch", "ethos-u-vela"} <= set(summary["versions"])
    assert "accuracy" not in summary["after"]
    assert re.search(r"Asked cycles=80% \(at most [0-9,]+\), achieved [0-9,]+", out)
    assert re.search(r"Solver: optimal, gap 0 % in [0-9.]+ s", out)
    assert summary["solver"]["bound"] >= summary["solver"]["objective"] and summary["solver"]["gap"] < 1e-6
    (told,) = summary["budgets"]
    assert told["compiler_total"] == summary["after"]["cycles"] <= told["asked"] and told["table_total"] and told["met"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"{summary['after']['cycles']:,}" in page and "✓ Met: cycles=80%" in page
    assert "http:" not in page and "https:" not in page and page.count("<script") == 1
    widths = {n: m.out_channels for n, m in load("run", small()).named_modules() if isinstance(m, torch.nn.Conv2d)}
    assert widths == {n: w["c_out"][1] for n, w in summary["widths"].items() if n != "head"}
    for kind in ("onnx", "pt2"):
        code, out, err = run("export", "run", "--trust", "--format", kind)
        assert code == 0 and (tmp_path / "run" / f"model.{kind}").exists(), err
        assert re.search(r"largest difference from the network \d\.\de[-+]\d\d of its largest output", out)


CONDITIONED = ("--input-shape", "1,3,8,8", "--input-shape", "class=1:int64", "--input-shape", "mask=1,1,8,8:bool")


def test_networks_of_several_inputs_from_inspect_to_export(run, tmp_path):
    import onnx

    name = "models.networks:Conditioned"
    code, out, err = run("inspect", name, "--target", "unit:8", *CONDITIONED)
    assert code == 0 and "stem" in out, err
    code, out, err = run("plan", name, "--target", "unit:8", "--quantity", "macs", "--pareto", "3", *CONDITIONED)
    assert code == 0 and out.count(" % ") >= 3, err
    code, out, err = run("prune", name, "--target", "unit:8", "--budget", "macs=60%", "--out", "run", *CONDITIONED)
    assert code == 0, err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["inputs"] == list(CONDITIONED[1::2])
    assert summary["after"]["macs"] <= 0.6 * summary["before"]["macs"]
    for kind in ("onnx", "pt2"):
        code, out, err = run("export", "run", "--trust", "--format", kind)
        assert code == 0, err
    given = onnx.load(tmp_path / "run" / "model.onnx").graph.input
    kinds = [(i.type.tensor_type.elem_type, [d.dim_value for d in i.type.tensor_type.shape.dim]) for i in given]
    assert kinds == [(1, [1, 3, 8, 8]), (7, [1]), (9, [1, 1, 8, 8])]
    for command in (
        ("prune", name, "--target", "unit:8", "--budget", "macs=60%", "--data", "digits", *CONDITIONED),
        ("plan", name, "--target", "unit:8", "--data", "digits", *CONDITIONED),
        ("finetune", "run", "--trust", "--data", "digits", "--out", "trained"),
    ):
        code, _, err = run(*command)
        assert code == 2, err
        told = f"one unnamed input [N, ...]; {name} takes 1,3,8,8 and class=1:int64 and mask=1,1,8,8:bool."
        assert told in " ".join(err.split())
    code, _, err = run("prune", name, "--target", "unit:8", "--budget", "macs=60%", "--input-shape", "1,3:x")
    assert code == 2 and "torch has no type 'x'" in err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_prune_with_data_reports_accuracies(run, tmp_path):
    args = (
        "prune",
        "models.networks:Small",
        "--target",
        "unit:8",
        "--budget",
        "macs=50%",
        "--data",
        "digits",
        "--seed",
        "5",
    )
    code, _, err = run(*args)
    assert code == 2 and "labels up to 9, the network 4 outputs" in err and list(tmp_path.iterdir()) == []
    args = ("prune", "padless.demo:DigitsResNet", *args[2:])
    code, _, err = run(*args, "--epochs", "1", "--allocate", "uniform", "--importance", "l2", "--align", "none",
                       "--recover", "mix", "--calibration", "64", "--steps", "2")  # fmt: skip
    assert code == 0, err
    folder = next((tmp_path / "runs").iterdir())
    assert folder.name == "padless.demo-DigitsResNet-unit-8-macs=50percent-uniform-none-l2-seed5"
    summary = json.loads((folder / "summary.json").read_text())
    assert 0 <= summary["before"]["accuracy"] <= 100
    assert {"accuracy", "accuracy_before_recovery", "accuracy_after_recovery"} <= set(summary["after"])
    recovery = summary["recovery"]
    assert recovery["method"] in ("mix", "mix+bn") and (recovery["images"], summary["steps"]) == (64, 2)
    assert recovery["after"] == summary["after"]["accuracy_after_recovery"]
    assert summary["after"]["avoidable_macs_percent"] > 0
    plan = padless.Plan.read(folder / "plan.json")
    assert (plan.allocate, plan.importance, plan.align, plan.seed) == ("uniform", "l2", "none", 5)


def test_arrays_in_a_file_are_data(run, tmp_path):
    """Spectrograms with labels, as keyword spotting has them."""
    x, y = np.random.default_rng(0).normal(size=(40, 3, 16, 16)).astype(np.float32), np.arange(40) % 4
    np.savez(tmp_path / "spectra.npz", x_train=x, y_train=y, x_test=x[:8], y_test=y[:8])
    args = ("prune", "models.networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--out", "run")
    code, _, err = run(*args, "--data", "spectra.npz", "--epochs", "1")
    assert code == 0, err
    assert "accuracy" in json.loads((tmp_path / "run" / "summary.json").read_text())["after"]
    np.save(tmp_path / "narrow.npy", x[:, :1])
    code, _, err = run(*args, "--data", "narrow.npy")
    assert (
        code == 2
        and "Sample 0 of train cannot be read: it is float32 [1, 16, 16]; the network takes [3, 16, 16]" in err
    )


def test_several_budgets_are_met_together(run, tmp_path):
    code, out, err = run(
        "prune", "models.networks:Small", "--target", "unit:4", "--budget", "macs=70%", "--budget", "weight_bytes=50%",
        "--freeze", "stem", "--floor", "0.3", "--out", "run",
    )  # fmt: skip
    assert code == 0, err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    told = summary["budgets"]
    assert summary["widths"]["stem"]["c_out"] == [16, 16] and (summary["freeze"], summary["floor"]) == (["stem"], 0.3)
    assert [one["budget"] for one in told] == ["macs=70%", "weight_bytes=50%"] and all(one["met"] for one in told)
    assert out.count("Asked ") == 2
    code, _, err = run(
        "prune", "models.networks:Small", "--target", "unit:4", "--budget", "macs=70%", "--importance", "fisher"
    )
    assert code == 2 and "The importance fisher watches calibration images. Give --data." in err


def test_without_a_folder_no_other_run_is_replaced(run, tmp_path):
    ask = ("prune", "models.networks:Small", "--target", "unit:8", "--budget", "macs=60%")
    name = "models.networks-Small-unit-8-macs=60percent-optimal-l1-seed0"
    for more in ((), ("--floor", "0.1"), ("--freeze", "stem"), ("--floor", "0.1"), ()):
        code, _, err = run(*ask, *more)
        assert code == 0, err
    folders = {folder.name: Summary.read(folder) for folder in (tmp_path / "runs").iterdir()}
    assert {name: (found.floor, list(found.freeze)) for name, found in folders.items()} == {
        name: (0.0, []), f"{name}-2": (0.1, []), f"{name}-3": (0.0, ["stem"])
    }  # fmt: skip
    (tmp_path / "runs" / name / "summary.json").write_text("{}")
    assert run(*ask)[0] == 0
    assert (tmp_path / "runs" / f"{name}-4").is_dir() and (
        tmp_path / "runs" / name / "summary.json"
    ).read_text() == "{}"


def test_cycles_that_are_a_sum_and_totals_that_rise_are_told(run, tmp_path):
    code, out, err = run(
        "prune", "models.networks:Unlowered", "--target", "ethos-u55-256", "--budget", "macs=60%", "--out", "run"
    )
    assert code == 0, err
    summary, page = json.loads((tmp_path / "run" / "summary.json").read_text()), tmp_path / "run" / "report.html"
    told = (
        "Cycles are a sum over layers. The network could not be compiled as a whole: aten.erf has no TFLite form. Its layers "
        "were, alone, with random weights; what lies between them is not counted. Between the layers stand add (2), erf (1), "
        "avg_pool2d (1), mean (1)."
    )
    assert summary["notes"] == [told] and told in page.read_text() and told in " ".join(out.split())
    assert "Higher after" not in out
    code, out, err = run(
        "prune", "models.networks:Small", "--target", "unit:8", "--budget", "macs=60%", "--out", "run",
        "--oracle", "expr 10000000 / {cout} / {cin} / {stride}",
    )  # fmt: skip
    assert code == 0, err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    before, after = summary["before"]["cycles"], summary["after"]["cycles"]
    told = f"Higher after the cut than before: cycles, {after:,} instead of {before:,} (+"
    assert after > before and told in " ".join(out.split()) and told in page.read_text()
    assert [note.startswith(told) for note in summary["notes"]].count(True) == 1
    assert "A budget on cycles would forbid that." in page.read_text()
    assert "prices layers alone; what lies between them is not counted" in summary["notes"][0]
