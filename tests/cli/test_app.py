"""The command line as scripts use it: versions, exit codes, messages, nothing half-written."""

from pathlib import Path

import pytest

import padless


def test_version_option(run):
    assert run("--version")[:2] == (0, "padless 0.1.0\n")


def test_a_folder_that_cannot_be_written(run, tmp_path):
    code, _, err = run("inspect", "models.networks:Small", "--target", "unit:8", "--json", "/proc/nowhere/cost.json")
    assert code == 1 and "Error: " in err and "/proc/nowhere" in err
    (tmp_path / "file").write_text("")
    code, _, err = run(
        "prune", "models.networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--out", "file/run"
    )
    assert code == 2 and "file/run cannot be written" in err and "is no folder that you may write to" in err


BAD = [
    (["inspect", "models.networks:Small", "--target", "ethos-u55-25"], 2, "No target is called 'ethos-u55-25'"),
    (["inspect", "cifar10/vgg16", "--target", "unit:8"], 2, "cifar10 has no model 'vgg16'. Did you mean vgg16_bn"),
    (["inspect", "models.networks:Small", "--target", "unit:8", "--weights", "w.safetensors"], 2, "No weights at w.safetensors"),
    (["inspect", "models.networks:Small", "--target", "bad.toml"], 2, "bad.toml is not TOML"),
    (["inspect", "models.networks:Small", "--target", "odd.toml"], 2, "vender: no such field"),
    (["inspect", "models.networks:Small", "--target", "unit:8", "--input-shape", "1,3,a"], 2, "Cannot read the input shape '1,3,a'"),
    (["inspect", "models.networks:Small", "--target", "unit:8", "--input-shape", "1,4,16,16"], 1, "module stem"),
    (["inspect", "models.networks:Reads", "--target", "unit:8"], 1, "module inner.1"),
    (["inspect", "models.networks:Small", "--target", "ethos-u55-256", "--memory-mode", "Sram"], 2, "Vela knows no memory mode 'Sram'"),
    (["inspect", "models.networks:Small", "--target", "ethos-u55-256", "--system", "Himax"], 2, "Vela knows no system configuration 'Himax'"),
    (["inspect", "models.networks:Small", "--target", "ethos-u55-256", "--vela-config", "none.ini"], 2, "Cannot read the Vela configuration none.ini"),
    (["inspect", "models.networks:Small", "--target", "ethos-u55-256", "--vela-config", "bad.toml"], 2, "bad.toml is no Vela configuration"),
    (["inspect", "models.networks:Small", "--target", "ethos-u55-256", "--vela-config", "my.ini", "--system", "Minne"], 2, "my.ini has no system configuration 'Minne'. Did you mean Mine? It has Mine, Yours."),
    (["probe", "--target", "ethos-u55-256", "--vela-config", "my.ini"], 2, "It has Mine, Yours; choose with --system"),
    (["plan", "models.networks:Small", "--target", "unit:16", "--vela-config", "my.ini"], 2, "unit:16 is not compiled for by Vela"),
    (["prune", "models.networks:Small", "--target", "ethos-u55-256", "--budget", "latency=5"], 2, "A latency has a unit"),
    (["prune", "models.networks:Small", "--target", "ethos-u55-256", "--budget", "cycles=5ms"], 2, "A time is a budget of latency: latency=5ms"),
    (["prune", "models.networks:Small", "--target", "gemmini-16", "--budget", "latency=5ms"], 2, "A latency needs a clock, and the system of gemmini-16 states none"),
    (["prune", "models.networks:Small", "--target", "unit:8", "--budget", "macs=1%"], 2, "the narrowest network"),
    (["prune", "models.networks:Small", "--target", "unit:8", "--budget", "mac=50%"], 2, "Unknown budget 'mac'"),
    (["prune", "models.networks:Small", "--target", "unit:8", "--budget", "cycles=50%"], 2, "no oracle for cycles"),
    (["prune", "models.networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--epochs", "1"], 2, "Fine-tuning needs images"),
    (["prune", "models.networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--regularize", "1"], 2, "leave --regularize out"),
    (["prune", "models.networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--int8"], 2, "INT8 needs images"),
    (["prune", "models.networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--recover", "norm"], 2, "recover cannot be 'norm'"),
    (["prune", "models.networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--steps", "2", "--repair", "up"], 2, "come in one step"),
    (["prune", "models.networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--data", "empty"], 2, "empty holds neither"),
    (["prune", "models.networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--out", "empty/full"], 2, "empty/full holds letter, beside what a run writes"),
    (["prune", "models.networks:Nothing", "--target", "unit:8", "--budget", "macs=50%"], 2, "nothing to prune"),
    (["prune", "models.networks:Nothing", "--target", "unit:8", "--budget", "macs=50%", "--data", "digits"], 2, "nothing to prune"),
    (["prune", "models.networks:Small", "--target", "unit:8", "--budget", "macs=50%", "--allocate", "best"], 2, "allocate cannot be 'best'"),
    (["prune", "models.networks:tokens", "--target", "unit:2", "--budget", "macs=50%", "--data", "digits", "--input-shape", "2,5"], 2, "Images are for networks that take [N, C, H, W] or [N, H, W, C]; this one takes [N, 5]. Give arrays"),
    (["export", "empty"], 2, "empty has no readable summary.json"),
    (["export", "empty", "--format", "onx"], 2, "Unknown format 'onx'. Did you mean onnx"),
    (["prune", "models.networks:Small"], 2, "Missing option"),
    (["prnue"], 2, "No such command"),
    (["targets", "new", "npu.json"], 2, "A target file ends in .toml; npu.json does not"),
    (["targets", "new", "odd.toml"], 2, "odd.toml exists already"),
    (["targets", "check", "none.toml"], 2, "Cannot read the target file none.toml"),
    (["targets", "ethos-u85"], 2, "No target is called 'ethos-u85'"),
    (["probe"], 2, "Nobody to ask: give --oracle, or a --target"),
    (["probe", "--target", "ethos-u55-256", "--side", "left"], 2, "--side cannot be 'left'. Known: all, output"),
    (["probe", "--oracle", "vela"], 2, "Vela compiles for Arm Ethos-U; unit:1 is none"),
    (["inspect", "models.networks:Small", "--target", "gemmini-16", "--oracle", "velar"], 2, "No oracle is called 'velar'"),
    (["inspect", "models.networks:Small", "--target", "unit:16", "--memory-mode", "x"], 2, "unit:16 has no oracle that a system"),
    (["inspect", "models.networks:Small", "--target", "unit:16", "--roofline", "r.html"], 2, "No roofline for unit:16"),
]  # fmt: skip


@pytest.mark.parametrize(("args", "code", "message"), BAD, ids=[f"{a[0]}-{m[:30]}" for a, _, m in BAD])
def test_bad_input_gets_one_message_and_writes_nothing(run, tmp_path, args, code, message):
    (tmp_path / "bad.toml").write_text("id = \n")
    (tmp_path / "odd.toml").write_text(
        (Path(padless.__file__).parent / "hardware/catalogue/gemmini-16.toml")
        .read_text()
        .replace("vendor", "vender", 1)
    )
    (tmp_path / "my.ini").write_text("[System_Config.Mine]\n[System_Config.Yours]\n[Memory_Mode.Shared_Sram]\n")
    (tmp_path / "empty" / "full").mkdir(parents=True)
    (tmp_path / "empty" / "full" / "letter").write_text("dear")
    before = sorted(p for p in tmp_path.rglob("*"))
    got, _, err = run(*args)
    assert got == code
    assert message in err.replace("\n", " ")
    assert "Traceback" not in err
    assert sorted(p for p in tmp_path.rglob("*")) == before
