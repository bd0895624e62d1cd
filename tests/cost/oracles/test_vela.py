"""Arm's compiler: what we print is what its own command line prints."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from checks.catalogue import BOARDS
from checks.vela_command import command_line
from models.networks import Residual, SqueezeExcite, shaken, small
from torch import nn
from torch.nn import functional as F

import padless
from padless import inspect, load_target, trace
from padless.cost import CachedOracle
from padless.cost.oracles.vela import Vela
from padless.errors import OracleError, UsageError
from padless.hardware.target import BOARDS as BOARDS_INI
from padless.inputs import load_model
from padless.tflite import lower, nominal

pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")

X = torch.zeros(1, 3, 16, 16)


def compiled(vela: Vela, model: nn.Module, x: torch.Tensor = X):
    """The whole network's answer."""
    lowered = lower(trace(model, x), model)
    return vela.compile(nominal(lowered), "the network", lowered.operators)


class Everything(nn.Module):
    """One of each operator that has a TFLite form."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.Hardswish())
        self.grouped = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=4), nn.SiLU())
        self.excite, self.norm = SqueezeExcite(16, 8), nn.BatchNorm2d(32)
        self.gate, self.residual = nn.Hardsigmoid(), Residual(32, 8)
        self.pools = nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2, 1, 1), nn.MaxPool2d(3, 2, ceil_mode=True))
        self.hidden, self.head = nn.Linear(32 * 2 * 2, 24), nn.Linear(24, 4)

    def forward(self, x):
        x = self.stem(x)
        x = torch.cat([self.excite(self.depthwise(x)), self.grouped(x)], 1)
        x = self.residual(F.relu(self.norm(x)))
        x = F.adaptive_avg_pool2d(self.pools(x * self.gate(x)), 2)
        return self.head(F.dropout(self.hidden(x.flatten(1)).relu(), training=self.training))


@pytest.mark.parametrize("id", ["ethos-u55-128", "ethos-u55-256", "ethos-u85-512"])
@pytest.mark.parametrize("network", ["everything", "cifar10/resnet18"])
def test_cycles_and_memory_are_those_of_velas_command_line(id, network, tmp_path):
    model = shaken(Everything() if network == "everything" else load_model(network).model)
    graph = trace(model, torch.zeros(1, 3, 32, 32))
    target = load_target(id)
    with Vela(target) as vela:
        ours = compiled(vela, model, torch.zeros(1, 3, 32, 32))
    theirs = command_line(nominal(lower(graph, model)), target, tmp_path)
    assert ours.total == int(theirs["cycles_total"])
    assert ours.npu == int(theirs["cycles_npu"])
    assert ours.peak_sram_bytes == round(1024 * float(theirs["sram_memory_used"]))
    assert (theirs["system_config"], theirs["memory_mode"]) == (target.vela.system_config, target.vela.memory_mode)
    assert ours.whole and ours.cpu_operators == 0
    assert sum(ours.operators.values()) == ours.total
    assert {layer.name for layer in graph.layers} <= set(ours.operators)


BOARD = """\
; SRAM at half the clock, a slow flash, and an arena of 40 KiB
[System_Config.Slow]
core_clock=100e6
axi0_port=Sram
axi1_port=OffChipFlash
Sram_clock_scale=0.5
Sram_burst_length=16
Sram_read_latency=20
Sram_write_latency=20
OffChipFlash_clock_scale=0.01
OffChipFlash_burst_length=64
OffChipFlash_read_latency=90

[System_Config.Slower]
inherit=System_Config.Slow
OffChipFlash_clock_scale=0.005

[Memory_Mode.Split]
const_mem_area=Axi1
arena_mem_area=Axi0
cache_mem_area=Axi0
arena_cache_size=40960
"""


@pytest.mark.parametrize("system", ["Slow", "Slower"])
def test_an_ini_of_ones_own_changes_the_cycles_as_velas_command_line_does(system, tmp_path):
    model, x = shaken(Everything()), torch.zeros(1, 3, 32, 32)
    tflite = nominal(lower(trace(model, x), model))
    (tmp_path / "board.ini").write_text(BOARD)
    target = load_target("ethos-u55-128", system=system, memory_mode="Split", vela_config=tmp_path / "board.ini")
    with Vela(target) as vela, Vela(load_target("ethos-u55-128")) as plain:
        ours, usual = compiled(vela, model, x), compiled(plain, model, x)
        assert vela.key != plain.key
    asked = ("--config", tmp_path / "board.ini", "--system-config", system, "--memory-mode", "Split")
    theirs = command_line(tflite, target, tmp_path, *asked)
    assert (theirs["system_config"], theirs["memory_mode"]) == (system, "Split")
    assert (ours.total, ours.npu) == (int(theirs["cycles_total"]), int(theirs["cycles_npu"]))
    assert ours.peak_sram_bytes == round(1024 * float(theirs["sram_memory_used"]))
    assert ours.total > 1.4 * usual.total
    assert str(ours.source).endswith(f"ethos-u55-128, {system} (ini {target.vela_ini.digest}), Split")


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_asked_about_as_velas_command_line_is_with_its_section(name, tmp_path):
    """The command line gets Arm's file and ours, which together are what we hand over."""
    model, x = shaken(Everything()), torch.zeros(1, 3, 32, 32)
    target = load_target(BOARDS[name][0], system=name)
    with Vela(target) as vela:
        ours = compiled(vela, model, x)
    asked = ("--config", "Arm/vela.ini", "--config", BOARDS_INI, "--system-config", name)
    tflite = nominal(lower(trace(model, x), model))
    theirs = command_line(tflite, target, tmp_path, *asked, "--memory-mode", target.vela.memory_mode)
    assert (ours.total, ours.npu) == (int(theirs["cycles_total"]), int(theirs["cycles_npu"]))


def test_answers_of_two_files_with_the_same_names_are_kept_apart():
    def asked(ini: str) -> Vela:
        return Vela(load_target("ethos-u55-128", system="Slow", vela_config=ini), workers=0)

    with asked(BOARD) as one, asked(BOARD.replace("0.01", "0.02")) as other, asked(BOARD) as again:
        assert one.key == again.key != other.key


def test_options_that_vela_does_not_take(tmp_path):
    odd = load_target(
        "ethos-u55-128", system="Slow", vela_config=BOARD.replace("const_mem_area=Axi1", "const_mem_area=Axi7")
    )
    with (
        Vela(odd) as vela,
        pytest.raises(UsageError, match="do not go together: Vela does not take one of their options: 'Axi7'"),
    ):
        compiled(vela, small())
    wrong = load_target(
        "ethos-u55-128", system="Slow", vela_config=BOARD.replace("cache_mem_area=Axi0", "cache_mem_area=Axi1")
    )
    with Vela(wrong) as vela, pytest.raises(UsageError, match="do not go together: .*cache_mem_area"):
        compiled(vela, small())


def test_resnet18_agrees_with_the_other_way_to_the_compiler():
    """PyTorch through ExecuTorch 1.5.1 gave 3.050 M NPU cycles for this network on an Ethos-U55-256."""
    model = load_model("cifar10/resnet18").model
    with Vela(load_target("ethos-u55-256")) as vela:
        assert compiled(vela, model, torch.zeros(1, 3, 32, 32)).npu == pytest.approx(3.050e6, rel=0.01)


def test_the_staircase():
    """Nine outputs cost more than eight; 32 inputs less than 24, since the compiler changes its loop order."""
    with Vela(load_target("ethos-u55-256", memory_mode="Sram_Only")) as vela:
        assert str(vela.source).endswith("ethos-u55-256, Ethos_U55_High_End_Embedded, Sram_Only")

        def cost(c_in, c_out):
            net = nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1))
            return CachedOracle(vela)(trace(net, torch.zeros(1, c_in, 16, 16)).layers)[0].npu

        assert cost(64, 9) > 1.3 * cost(64, 8)
        assert cost(32, 64) < 0.9 * cost(24, 64)


def test_equal_layers_are_asked_once_and_then_never_again():
    graph = trace(nn.Sequential(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)), torch.zeros(1, 8, 8, 8))
    with Vela(load_target("ethos-u55-256"), workers=1) as vela:
        asked = []
        first, second = CachedOracle(
            lambda shapes: (asked.append(shape) or next(iter(vela([shape]))) for shape in shapes)
        )(graph.layers)
        assert first == second and asked == [graph.layers[0].shape]
        CachedOracle(vela)(graph.layers)
    with Vela(load_target("ethos-u55-256"), workers=0) as nobody:  # would wait for ever
        assert CachedOracle(nobody)(graph.layers) == [first, second]


def test_a_network_is_compiled_once():
    model = small()
    with Vela(load_target("ethos-u55-256")) as vela:
        first = compiled(vela, model)
    with Vela(load_target("ethos-u55-256"), workers=0) as nobody:
        assert compiled(nobody, model) == first
        assert nobody.key != Vela(load_target("ethos-u55-256", memory_mode="Sram_Only")).key


def test_an_operator_without_a_form_is_named_and_the_layers_are_summed():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1), Erf()).eval()
    cost = inspect(model, X, target="ethos-u55-256")
    with Vela(load_target("ethos-u55-256")) as vela:
        alone = CachedOracle(vela)(trace(model, X).layers)
    assert not cost.cycles.whole
    assert "aten.erf has no TFLite form (module 2)" in cost.cycles.note
    assert cost.cycles.oracle.endswith("Shared_Sram, a sum over layers")
    assert cost.cycles.total == sum(c.total for c in alone) == sum(cost.cycles.operators.values())


class Erf(nn.Module):
    def forward(self, x):
        return torch.erf(x)


def test_what_falls_back_to_the_cpu_is_named(monkeypatch):
    from padless.tflite import file

    monkeypatch.setattr(file, "OPTIONS", {**file.OPTIONS, "FLOOR": None})
    builder = file.TFLiteBuilder()
    x, y, z = (builder.tensor(file.Tensor(name=n, shape=(1, 8, 8, 8), scale=(0.05,))) for n in ("in", "relu", "floor"))
    builder.operator("RELU", [x], [y])
    builder.operator("FLOOR", [y], [z])
    with Vela(load_target("ethos-u55-256")) as vela:
        cycles = vela.compile(builder.build([x], [z], "main"), "it", ["my relu", "my floor"])
    assert cycles.cpu_operators == 1
    assert cycles.note == "Vela leaves 1 operators to the CPU, uncounted: Floor (my floor)."


def test_a_crash_names_the_network_and_the_next_question_is_answered():
    with Vela(load_target("ethos-u55-256")) as vela:
        with pytest.raises(OracleError, match=r"Vela (crashed on|could not compile) the broken network"):
            vela.compile(b"\x10\0\0\0TFL3" + bytes(range(256)) * 40, "the broken network")
        assert compiled(vela, small()).total > 0


def test_a_question_that_takes_too_long_is_stopped():
    with (
        Vela(load_target("ethos-u55-256"), timeout=0.001) as vela,
        pytest.raises(
            OracleError, match=r"Layer stem: Vela took more than 0.001 s for conv 3x3 3→16 on a 16x16 map; it was"
        ),
    ):
        CachedOracle(vela)(trace(small(), X).layers[:1])


def test_only_int8_and_no_argument():
    with pytest.raises(UsageError, match="INT8 networks and nothing else; precision int16w8 was given"):
        Vela(load_target("ethos-u55-256@int16w8"))
    with pytest.raises(UsageError, match="an argument 'fast' was given"):
        Vela(load_target("ethos-u55-256"), "fast")


@pytest.mark.parametrize(
    ("given", "message"),
    [({"memory_mode": "Shared_SRAM"}, "Vela knows no memory mode 'Shared_SRAM' for ethos-u55-256. Did you mean Shared_Sram"),
     ({"system": "Ethos_U55"}, "Vela knows no system configuration 'Ethos_U55' for ethos-u55-256"),
     ({"system": "Himax_WE2"}, "Vela knows no system configuration 'Himax_WE2' for ethos-u55-256. It is around ethos-u55-64")],
)  # fmt: skip
def test_unknown_settings(given, message):
    with pytest.raises(UsageError, match=message):
        Vela(load_target("ethos-u55-256", **given))


def test_only_ethos_u():
    with pytest.raises(UsageError, match="Vela compiles for Arm Ethos-U; nvdla-full is none"):
        Vela(load_target("nvdla-full"))


def test_the_worker_needs_neither_torch_nor_padless():
    worker = Path(padless.__file__).parent / "cost" / "workers" / "ask_vela.py"
    code = f"import runpy, sys; runpy.run_path({os.fspath(worker)!r}); print('torch' in sys.modules or 'padless' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/")
    assert done.stdout.strip() == "False", done.stderr
