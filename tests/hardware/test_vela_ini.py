"""Vela configurations of one's own: read as Vela reads them, and every mistake told."""

import contextlib
import io
from pathlib import Path

import pytest

from padless import load_target
from padless.errors import UsageError
from padless.hardware.vela_ini import VelaIni

INI = """\
[System_Config.Base]
core_clock=250e6
axi0_port=Sram
axi1_port=OffChipFlash
Sram_clock_scale=0.5
OffChipFlash_clock_scale=0.03125

[System_Config.Mine]
inherit=System_Config.Base
; twice the ports, a faster flash
Sram_ports_used=2
offchipflash_clock_scale=0.125

[System_Config.Dram]
core_clock=1e9
axi1_port=Dram

[Memory_Mode.Shared_Sram]
const_mem_area=Axi1
arena_mem_area=Axi0
cache_mem_area=Axi0

[Memory_Mode.Little]
inherit=Memory_Mode.Shared_Sram
arena_cache_size=65536
"""


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "board.ini"
    path.write_text(INI)
    return path


def test_a_system_is_worked_out_from_its_section(file):
    u55 = load_target("ethos-u55-256", system="Mine", vela_config=file)
    assert u55.system.model_dump(exclude_none=True) == {
        "clock_hz": 250_000_000, "sram_bytes_per_cycle": 8.0, "flash_bytes_per_cycle": 1.0,
    }  # fmt: skip
    assert (u55.vela.system_config, u55.vela.memory_mode) == ("Mine", "Shared_Sram")
    u65 = load_target("ethos-u65-256", system="Dram", memory_mode="Little", vela_config=str(file))
    assert u65.system.model_dump(exclude_none=True) == {
        "clock_hz": 1_000_000_000, "sram_bytes_per_cycle": 16.0, "dram_bytes_per_cycle": 16.0,
    }  # fmt: skip
    assert list(u65.clocks)[:2] == ["Dram", "Ethos_U65_Client_Server"]


@pytest.mark.parametrize("name", ["Base", "Mine", "Dram"])
def test_vela_reads_the_same(name, file):
    features = pytest.importorskip("ethosu.vela.architecture_features", reason="the extra vela is not installed")
    with contextlib.redirect_stdout(io.StringIO()):
        vela = features.ArchitectureFeatures(
            vela_config_files=[file], system_config=name, memory_mode="Shared_Sram", accelerator_config="ethos-u55-64",
            max_blockdep=3, verbose_config=False, arena_cache_size=None,
        )  # fmt: skip
    system = load_target("ethos-u55-64", system=name, vela_config=file).system
    assert vela.core_clock == system.clock_hz
    for memory, rate in (("Sram", system.sram_bytes_per_cycle), ("OffChipFlash", system.flash_bytes_per_cycle),
                         ("Dram", system.dram_bytes_per_cycle)):  # fmt: skip
        if rate is not None:
            assert vela.memory_bandwidths_per_cycle[features.MemArea[memory]] == rate


def test_what_was_asked_for_can_be_asked_again(file):
    target = load_target("ethos-u55-256", system="Mine", memory_mode="Little", vela_config=file)
    assert target.variant == {"system": "Mine", "memory_mode": "Little", "vela_config": INI}
    file.unlink()
    assert load_target(target.id, **target.variant) == target
    assert target != load_target(target.id, system="Mine", memory_mode="Little", vela_config=INI + "; another\n")


def test_another_section_of_the_same_file(file):
    target = load_target("ethos-u55-256", system="Mine", vela_config=file)
    other = target.at(system="Base", memory_mode="Little")
    assert (other.vela.system_config, other.vela.memory_mode) == ("Base", "Little")
    assert other.system.sram_bytes_per_cycle == 4.0 and other.vela_ini == target.vela_ini
    assert target.at(memory_mode="Little").vela.system_config == "Mine"
    with pytest.raises(UsageError, match="has no system configuration 'Ethos_U55_Deep_Embedded'"):
        target.at(system="Ethos_U55_Deep_Embedded")


def test_the_only_sections_need_no_name(tmp_path):
    file = tmp_path / "one.ini"
    file.write_text("[System_Config.Board]\naxi1_port=OnChipFlash\n[Memory_Mode.Fast]\nconst_mem_area=Axi1\n")
    target = load_target("ethos-u55-256", vela_config=file)
    assert (target.vela.system_config, target.vela.memory_mode) == ("Board", "Fast")
    assert target.system.clock_hz is None  # Vela's own default is 1 Hz
    assert target.system.flash_bytes_per_cycle == 8.0
    assert target.variant == {"vela_config": file.read_text()}


BAD = [
    ("", {}, r"is no Vela configuration: it has no section \[System_Config.NAME\] or \[Memory_Mode.NAME\]"),
    ("core_clock=1\n", {}, "is no Vela configuration: File contains no section headers"),
    (INI + "[System_Config.Mine]\n", {}, "is no Vela configuration: .*section 'System_Config.Mine' already exists"),
    (INI, {"system": "Mien"}, "has no system configuration 'Mien'. Did you mean Mine.* It has Base, Mine, Dram"),
    (INI, {}, "has no system configuration 'Ethos_U55_High_End_Embedded'. It has Base, Mine, Dram; choose with --system"),
    (INI, {"system": "Mine", "memory_mode": "Litle"}, "has no memory mode 'Litle'. Did you mean Little"),
    ("[System_Config.A]\n", {}, r"has no memory mode 'Shared_Sram'. It has no section \[Memory_Mode.NAME\] at all"),
    (INI.replace("System_Config.Base\n;", "System_Config.Bass\n;"), {"system": "Mine"},
     r"\[System_Config.Mine\] inherits from 'System_Config.Bass', which it does not have. Did you mean System_Config.Base"),
    (INI.replace("core_clock=250e6", "inherit=System_Config.Mine"), {"system": "Mine"},
     r"\[System_Config.Mine\] inherits in a circle: System_Config.Mine from System_Config.Base from System_Config.Mine"),
    (INI.replace("250e6", "fast"), {"system": "Mine"}, "core_clock of .System_Config.Mine. is 'fast'; expected a number"),
    (INI.replace("=250e6", "=0.4"), {"system": "Mine"}, "core_clock of .* is '0.4'; expected a number from 1 up"),
    (INI.replace("0.125", "0"), {"system": "Mine"}, "OffChipFlash_clock_scale of .* is '0'; expected a number above 0"),
    (INI.replace("=Dram", "=Disk"), {"system": "Dram"}, "axi1_port of .* is 'Disk'; expected Sram, Dram, OnChipFlash, OffC"),
    (INI.replace("1e9", "%(speed)s"), {"system": "Dram"}, "is no Vela configuration: Bad value substitution"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "asked", "message"), BAD, ids=[message[:40] for _, _, message in BAD])
def test_bad_configurations(text, asked, message, tmp_path):
    file = tmp_path / "board.ini"
    file.write_text(text)
    with pytest.raises(UsageError, match=message) as error:
        load_target("ethos-u55-256", vela_config=file, **asked)
    assert str(error.value).count(str(file)) >= 1


def test_files_that_are_none(tmp_path):
    with pytest.raises(UsageError, match="Cannot read the Vela configuration .*none.ini: No such file"):
        load_target("ethos-u55-256", vela_config=tmp_path / "none.ini")
    (tmp_path / "picture.ini").write_bytes(b"\x89PNG\xff")
    with pytest.raises(UsageError, match="picture.ini is no Vela configuration: it is not text"):
        load_target("ethos-u55-256", vela_config=tmp_path / "picture.ini")


def test_only_for_targets_of_vela(file):
    for target in ("unit:16", "google-tpu-v1"):
        with pytest.raises(
            UsageError, match=f"{target} is not compiled for by Vela, whose configuration .*board.ini is"
        ):
            load_target(target, vela_config=file)


def test_a_system_that_no_file_describes_has_no_numbers():
    target = load_target("ethos-u55-256", system="Ethos_U65_Embedded")  # Vela knows it, the target's file does not
    assert target.system.model_dump(exclude_none=True) == {} and "Ethos_U65_Embedded" not in target.clocks


def test_the_text_names_a_configuration():
    first, second = VelaIni.read(INI), VelaIni.read(INI + "; a word\n")
    assert first == VelaIni.read(INI) and first != second and first.digest != second.digest
