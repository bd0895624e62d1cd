"""The command line as scripts use it: shapes of the output, exit codes, messages, nothing half-written."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from networks import small
from safetensors.torch import save_file

import padless
from padless import load
from padless.inputs import load_images

TOTALS = {
    "macs", "padded_macs", "wasted_macs_percent", "weight_bytes", "padded_weight_bytes", "wasted_weight_percent",
    "activation_bytes", "padded_activation_bytes", "cycles", "npu_cycles", "oracle",
}  # fmt: skip


def test_version():
    assert padless.__version__ == "0.1.0"


def test_public_names():
    assert padless.__all__ == [
        "Answer", "Budget", "ChannelGroup", "Checkpoints", "Cost", "Cycles", "Graph", "History", "Images", "Int8", "Layer",
        "LayerShape", "NetworkCost", "PadlessError", "Plan", "Recipe", "Recovery", "Source", "Target", "as_images", "evaluate",
        "export", "finetune", "inspect", "load", "load_images", "load_model", "load_target", "load_weights", "make_fabric",
        "open_oracle", "plan", "prune", "recover", "reestimate_batchnorm", "rule", "save", "targets", "trace",
    ]  # fmt: skip
    assert all(getattr(padless, name).__doc__ for name in padless.__all__)


def test_version_option(run):
    assert run("--version")[:2] == (0, "padless 0.1.0\n")


def test_a_folder_that_cannot_be_written(run, tmp_path):
    code, _, err = run("inspect", "networks:Small", "--target", "unit:8", "--json", "/proc/nowhere/cost.json")
    assert code == 1 and "Error: " in err and "/proc/nowhere" in err
    (tmp_path / "file").write_text("")
    code, _, err = run("prune", "networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--out", "file/run")
    assert code == 2 and "file/run cannot be written" in err and "is no folder that you may write to" in err


def test_targets(run):
    code, out, _ = run("targets")
    assert code == 0 and all(t.id in out for t in padless.targets())
    code, out, _ = run("targets", "ethos-u85-512")
    assert code == 0 and "macs_per_cycle" in out and "ethos-u-vela==5.2.0" in out and "derived" in out
    assert out.count("\ncompute.int8.") == 7 and "system.Ethos_U85_SYS_DRAM_Mid.clock_hz = 1000000000" in out
    assert run("targets", "show", "ethos-u85-512")[1] == out
    code, out, _ = run("targets", "nvdla-full@fp16")
    assert "compute.fp16.output_unit = 16" in out


def test_a_target_of_ones_own(run, tmp_path, monkeypatch):
    code, out, _ = run("targets", "new", "npu.toml")
    assert code == 0 and "padless targets check npu.toml" in out
    code, out, _ = run("targets", "check", "npu.toml")
    assert code == 0 and "npu.toml describes npu with 6 facts" in out
    assert run("inspect", "networks:Small", "--target", "npu.toml")[0] == 0
    monkeypatch.setenv("PADLESS_TARGETS", ".")
    assert "npu" in run("targets")[1]
    text = (tmp_path / "npu.toml").read_text()
    (tmp_path / "npu.toml").write_text(text.replace("output_unit = 16 ", "output_unit = 12 "))
    code, out, err = run("targets", "check", "npu.toml")
    assert (code, out) == (2, "")
    assert (
        "npu.toml does not describe a target:\n  line 23: compute.int8.output_unit: is 12, but its fact says 16" in err
    )


def test_the_schema(run):
    code, out, _ = run("targets", "schema")
    assert code == 0 and json.loads(out)["properties"]["compute"]


def test_probe(run, tmp_path):
    rows = [f"16,16,64,{w},3,{1000 * -(-w // 6)}" for w in range(1, 61)]
    (tmp_path / "board.csv").write_text("h,w,cin,cout,k,cycles\n" + "\n".join(rows))
    code, out, _ = run("probe", "--oracle", "csv board.csv", "--png", "s.png", "--json", "s.json")
    assert code == 0, out
    assert "output unit 6: its edges are 15% of the steps and carry 100% of the rise" in out
    assert re.search(r"1–6 +1,000", out) and "input channels" not in out
    assert (tmp_path / "s.png").read_bytes()[:4] == b"\x89PNG"
    assert json.loads((tmp_path / "s.json").read_text())["staircases"][0]["unit"] == 6
    command = f"{sys.executable} -c 'print(-(-{{cin}}//4)*{{cout}})'"
    code, out, _ = run("probe", "--oracle", command, "--side", "input", "--max", "24", "--other", "3")
    assert code == 0 and "input unit 4" in out


def test_probe_of_a_compiler(run):
    code, out, _ = run(
        "probe", "--target", "ethos-u55-128", "--side", "depthwise", "--max", "40", "--memory-mode", "Sram_Only"
    )
    assert code == 0 and "depthwise unit 8" in out and "Sram_Only" in out


def test_inspect_with_another_oracle_and_a_roofline(run, tmp_path):
    code, out, _ = run(
        "inspect", "networks:Small", "--target", "gemmini-16", "--oracle", "scalesim 16x16", "--roofline", "r.html"
    )
    assert code == 0 and "SCALE-Sim 3.0.0, weight-stationary 16x16 array" in out and "a sum over layers" in out
    assert "<svg" in (tmp_path / "r.html").read_text()
    code, out, _ = run("inspect", "networks:Small", "--target", "unit:16", "--oracle", "onnxruntime")
    assert code == 0 and "Nanoseconds, in place of cycles: ONNX Runtime" in out


def test_inspect(run, tmp_path):
    code, out, _ = run("inspect", "networks:Small", "--target", "ethos-u55-256", "--json", "cost.json")
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
    code, out, _ = run("inspect", "networks:stays", "--target", "unit:16", "--input-shape", "1,3,8,8")
    assert "Can be cut: 0.0 % of the channels" in out and "No cycles: no source" in out
    assert "aten._softmax works along the channels" in out and "output of the network" in out
    code, out, _ = run(
        "inspect", "networks:Small", "--target", "unit:16", "--input-shape", "1,3,32,32", "--json", "cost.json"
    )
    assert json.loads((tmp_path / "cost.json").read_text())["totals"]["cycles"] is None


def test_prune_and_export(run, tmp_path):
    torch.manual_seed(3)
    save_file(small().state_dict(), tmp_path / "w.safetensors")
    code, out, err = run(
        "prune",
        "networks:Small",
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
    assert summary["command"].startswith("padless prune networks:Small --target ethos-u55-256")
    assert {"python", "padless", "torch", "ethos-u-vela"} <= set(summary["versions"])
    assert "accuracy" not in summary["after"]
    assert re.search(r"Asked cycles=80% \(at most [0-9,]+\), achieved [0-9,]+", out)
    assert re.search(r"Solver: optimal, gap 0 % in [0-9.]+ s", out)
    assert summary["solver"]["bound"] >= summary["solver"]["objective"] and summary["solver"]["gap"] < 1e-6
    (told,) = summary["budgets"]
    assert told["compiler_total"] == summary["after"]["cycles"] <= told["asked"] and told["table_total"] and told["met"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count("<svg") == 2 and f"{summary['after']['cycles']:,}" in page and "block.body.0: 16→24, now" in page
    assert "http" not in page.replace("http://www.w3.org", "") and "<script" not in page
    widths = {n: m.out_channels for n, m in load("run", small()).named_modules() if isinstance(m, torch.nn.Conv2d)}
    assert widths == {n: w["c_out"][1] for n, w in summary["widths"].items() if n != "head"}
    for kind in ("onnx", "pt2"):
        code, out, err = run("export", "run", "--format", kind)
        assert code == 0 and (tmp_path / "run" / f"model.{kind}").exists(), err
        assert re.search(r"largest difference from the network \d\.\de[-+]\d\d of its largest output", out)


def test_prune_with_data_reports_accuracies(run, tmp_path):
    args = ("prune", "networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--data", "digits", "--seed", "5")
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
    assert recovery["accuracy_after"] == summary["after"]["accuracy_after_recovery"]
    assert summary["after"]["avoidable_macs_percent"] > 0
    plan = padless.Plan.read(folder / "plan.json")
    assert (plan.allocate, plan.importance, plan.align, plan.seed) == ("uniform", "l2", "none", 5)


def test_demo(run, tmp_path):
    code, out, err = run("demo", "--out", "here")
    assert code == 0, err
    summary = json.loads((tmp_path / "here" / "summary.json").read_text())
    assert summary["after"]["cycles"] <= 0.5 * summary["before"]["cycles"]
    assert summary["after"]["avoidable_macs_percent"] == 0
    assert summary["before"]["accuracy"] > 95 and summary["after"]["accuracy"] > 95
    for line in ("MACs", "cycles", "accuracy %", "wasted MACs %"):
        assert line in out


BAD = [
    (["inspect", "networks:Small", "--target", "ethos-u55-25"], 2, "No target is called 'ethos-u55-25'"),
    (["inspect", "cifar10/vgg16", "--target", "unit:8"], 2, "cifar10 has no model 'vgg16'. Did you mean vgg16_bn"),
    (["inspect", "networks:Small", "--target", "unit:8", "--weights", "w.safetensors"], 2, "No weights at w.safetensors"),
    (["inspect", "networks:Small", "--target", "bad.toml"], 2, "bad.toml is not TOML"),
    (["inspect", "networks:Small", "--target", "odd.toml"], 2, "vender: no such field"),
    (["inspect", "networks:Small", "--target", "unit:8", "--input-shape", "1,3,a"], 2, "Cannot read the input shape '1,3,a'"),
    (["inspect", "networks:Small", "--target", "unit:8", "--input-shape", "1,4,16,16"], 1, "module stem"),
    (["inspect", "networks:Reads", "--target", "unit:8"], 1, "module inner.1"),
    (["inspect", "networks:Small", "--target", "ethos-u55-256", "--memory-mode", "Sram"], 2, "Vela knows no memory mode 'Sram'"),
    (["prune", "networks:Small", "--target", "unit:8", "--budget", "macs=1%"], 2, "the narrowest network"),
    (["prune", "networks:Small", "--target", "unit:8", "--budget", "mac=50%"], 2, "Unknown budget 'mac'"),
    (["prune", "networks:Small", "--target", "unit:8", "--budget", "cycles=50%"], 2, "no oracle for cycles"),
    (["prune", "networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--epochs", "1"], 2, "Fine-tuning needs images"),
    (["prune", "networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--regularize", "1"], 2, "leave --regularize out"),
    (["prune", "networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--int8"], 2, "INT8 needs images"),
    (["prune", "networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--recover", "norm"], 2, "recover cannot be 'norm'"),
    (["prune", "networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--steps", "2", "--repair", "up"], 2, "come in one step"),
    (["prune", "networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--data", "empty"], 2, "empty holds neither"),
    (["prune", "networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--out", "empty/full"], 2, "empty/full holds letter, beside what a run writes"),
    (["prune", "networks:Nothing", "--target", "unit:8", "--budget", "macs=50%"], 2, "nothing to prune"),
    (["prune", "networks:Nothing", "--target", "unit:8", "--budget", "macs=50%", "--data", "digits"], 2, "nothing to prune"),
    (["prune", "networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--allocate", "best"], 2, "allocate cannot be 'best'"),
    (["prune", "networks:tokens", "--target", "unit:2", "--budget", "macs=50%", "--data", "digits", "--input-shape", "2,5"], 2, "Images need an input shape of N,C,H,W"),
    (["export", "empty"], 2, "empty has no readable summary.json"),
    (["export", "empty", "--format", "tflite"], 2, "Unknown format 'tflite'. Known: onnx, pt2"),
    (["prune", "networks:Small"], 2, "Missing option"),
    (["prnue"], 2, "No such command"),
    (["targets", "new", "npu.json"], 2, "A target file ends in .toml; npu.json does not"),
    (["targets", "new", "odd.toml"], 2, "odd.toml exists already"),
    (["targets", "check", "none.toml"], 2, "Cannot read the target file none.toml"),
    (["targets", "ethos-u85"], 2, "No target is called 'ethos-u85'"),
    (["probe"], 2, "Nobody to ask: give --oracle, or a --target"),
    (["probe", "--target", "ethos-u55-256", "--side", "left"], 2, "--side cannot be 'left'. Known: all, output"),
    (["probe", "--oracle", "vela"], 2, "Vela compiles for Arm Ethos-U; unit:1 is none"),
    (["inspect", "networks:Small", "--target", "gemmini-16", "--oracle", "velar"], 2, "No oracle is called 'velar'"),
    (["inspect", "networks:Small", "--target", "unit:16", "--memory-mode", "x"], 2, "unit:16 has no oracle that a system"),
    (["inspect", "networks:Small", "--target", "unit:16", "--roofline", "r.html"], 2, "No roofline for unit:16"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "code", "message"), BAD, ids=[f"{a[0]}-{m[:30]}" for a, _, m in BAD])
def test_bad_input_gets_one_message_and_writes_nothing(run, tmp_path, args, code, message):
    (tmp_path / "bad.toml").write_text("id = \n")
    (tmp_path / "odd.toml").write_text(
        (Path(padless.__file__).parent / "hardware/catalogue/gemmini-16.toml")
        .read_text()
        .replace("vendor", "vender", 1)
    )
    (tmp_path / "empty" / "full").mkdir(parents=True)
    (tmp_path / "empty" / "full" / "letter").write_text("dear")
    before = sorted(p for p in tmp_path.rglob("*"))
    got, _, err = run(*args)
    assert got == code
    assert message in err.replace("\n", " ")
    assert "Traceback" not in err
    assert sorted(p for p in tmp_path.rglob("*")) == before


def test_readmes_python_block_runs(tmp_path, monkeypatch):
    """The README's example, on digits instead of the reader's own images."""
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    block = re.search(r"```python\n(.*?)```", readme, re.S)
    assert block and len(block[1].strip().splitlines()) <= 15
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(block[1], "README.md", "exec"), names)
    assert (tmp_path / "runs" / "small" / "plan.json").exists()
    assert 0 <= padless.evaluate(names["small"], load_images("digits", shape=(1, 32, 32))) <= 100


def test_a_family_of_budgets_is_drawn(run, tmp_path):
    code, out, err = run(
        "plan", "networks:Small", "--target", "unit:4", "--quantity", "macs", "--pareto", "5", "--png", "p.png", "--json",
        "p.json",
    )  # fmt: skip
    assert code == 0, err
    points = json.loads((tmp_path / "p.json").read_text())
    assert len(points) == 5 and points[-1]["importance_kept"] == pytest.approx(1)
    assert out.count(" % ") >= 5 and (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    code, _, err = run("plan", "networks:Small", "--target", "unit:4", "--quantity", "mac")
    assert code == 2 and "Unknown quantity 'mac'. Did you mean macs" in err


def test_several_budgets_are_met_together(run, tmp_path):
    code, out, err = run(
        "prune", "networks:Small", "--target", "unit:4", "--budget", "macs=70%", "--budget", "weight_bytes=50%",
        "--freeze", "stem", "--floor", "0.3", "--out", "run",
    )  # fmt: skip
    assert code == 0, err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    told = summary["budgets"]
    assert summary["widths"]["stem"]["c_out"] == [16, 16] and (summary["freeze"], summary["floor"]) == (["stem"], 0.3)
    assert [one["budget"] for one in told] == ["macs=70%", "weight_bytes=50%"] and all(one["met"] for one in told)
    assert out.count("Asked ") == 2
    code, _, err = run(
        "prune", "networks:Small", "--target", "unit:4", "--budget", "macs=70%", "--importance", "fisher"
    )
    assert code == 2 and "The importance fisher watches calibration images. Give --data." in err
