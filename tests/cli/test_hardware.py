"""`padless targets` and `padless probe`."""

import json
import re
import sys
from pathlib import Path

from checks.stairs import made

import padless
from padless.cli.probe import probe_command
from padless.cost.oracles import open_oracle
from padless.cost.probe import SIDES, Setting, probe


def test_targets(run):
    code, out, _ = run("targets")
    assert code == 0 and all(t.id in out for t in padless.targets())
    boards = " ".join(out.partition("Boards (--system NAME)")[2].split())
    assert "Himax_WE2 ethos-u55-64 400 3.2 0.05 github.com/Seeed-Studio/ModelAssistant" in boards
    code, out, _ = run("targets", "ethos-u85-512")
    assert code == 0 and "macs_per_cycle" in out and "ethos-u-vela==5.2.0" in out and "derived" in out
    assert out.count("\ncompute.int8.") == 8 and "system.Ethos_U85_SYS_DRAM_Mid.clock_hz = 1000000000" in out
    assert run("targets", "show", "ethos-u85-512")[1] == out
    code, out, _ = run("targets", "ethos-u55-64")
    assert "Systems (--system NAME), the first by default: Ethos_U55_High_End_Embedded 500 MHz" in out
    assert "Himax_WE2 400 MHz" in " ".join(out.split()) and "tools/vela_config.ini" in out
    code, out, _ = run("targets", "nvdla-full@fp16")
    assert "compute.fp16.output_unit = 16" in out


def test_a_target_of_ones_own(run, tmp_path, monkeypatch):
    code, out, _ = run("targets", "new", "npu.toml")
    assert code == 0 and "name the source of each number, then: padless targets check npu.toml" in " ".join(out.split())
    code, out, err = run("targets", "check", "npu.toml")
    assert (code, out) == (2, "") and "fact.0.source: is empty; say where compute.int8.macs_per_cycle was read" in err
    monkeypatch.setenv("PADLESS_TARGETS", ".")
    code, out, _ = run("targets")
    assert code == 0 and "gemmini-16" in out and "Left out: npu.toml does not describe a target:" in out
    text = (tmp_path / "npu.toml").read_text().replace('source = ""', 'source = "our manual"')
    (tmp_path / "npu.toml").write_text(text.replace("output_unit = 16 ", "output_unit = 12 "))
    code, out, _ = run("targets", "check", "npu.toml")
    assert code == 0 and "npu.toml describes npu with 6 facts" in out
    assert run("inspect", "models.networks:Small", "--target", "npu.toml")[0] == 0
    code, out, _ = run("targets")
    assert "npu" in out and "Left out" not in out
    assert "compute.int8.output_unit = 12\n  documented: our manual" in run("targets", "npu")[1]
    (tmp_path / "npu.toml").write_text(text.replace('unit"\nsource', 'unit"\nvalue = 8\nsource'))
    code, out, err = run("targets", "check", "npu.toml")
    assert (code, out) == (2, "") and "compute.int8.output_unit: is 16, but its fact says 8 (our manual)" in err


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
    code, out, err = run("probe", "--oracle", command, "--max", "24", "--other", "3")
    assert (code, out) == (1, "") and "cannot be asked about 23 of 47 layers" in err and "write {groups} into it" in err


def test_the_command_of_the_documents_can_be_asked_about_depthwise_layers():
    """As `padless probe --help` and the pages write it, with a program of our own in its place."""
    told = [docs.read_text() for docs in sorted((Path(padless.__file__).parents[1] / "docs").glob("*.md"))]
    told.append(probe_command.__doc__)
    commands = {re.sub(r"\s+", " ", c) for text in told for c in re.findall(r"\./measure((?: \{\w+\})+)", text)}
    assert commands and all("{groups}" in command for command in commands)
    for command in commands:
        with open_oracle(f"echo{command}", padless.load_target("unit:1")) as oracle:
            assert len(list(oracle([Setting().shape(side, 8) for side in SIDES]))) == 3


def test_probe_of_a_compiler(run):
    code, out, _ = run(
        "probe", "--target", "ethos-u55-128", "--side", "depthwise", "--max", "40", "--memory-mode", "Sram_Only"
    )
    assert code == 0 and "depthwise unit 8" in out and "Sram_Only" in out


def test_the_evidence_is_json(tmp_path):
    from padless.cli.probe import _data

    data = json.loads(json.dumps(_data(probe(made, Setting(widths=range(1, 65))), Setting(widths=range(1, 65)))))
    assert data["staircases"][0]["unit"] == 16
    assert len(data["staircases"][0]["costs"]) == 64
