"""The catalogue, against numbers worked by hand from its sources."""

import contextlib
import io
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from checks import catalogue
from checks.catalogue import GOLDEN, IDS, OTHERS, RATES, UNITS
from models.layers import layer

from padless.cost import padding
from padless.graph.structure import Layer
from padless.hardware import Target, load_target, targets
from padless.hardware.target import BOARDS, CATALOGUE
from padless.hardware.vela_ini import VelaIni

WIDE, POINTWISE = layer(33, 40), layer(33, 40, kernel=1)
DEPTHWISE = layer(20, 20, kind="depthwise", groups=20)


def leaves(tree: object, path: str = "") -> Iterator[tuple[str, object]]:
    """The dotted path and value of everything that is one value: an array, a rule and a list count as one."""
    if isinstance(tree, dict) and not path.endswith(".array"):
        for key, value in tree.items():
            yield from leaves(value, f"{path}.{key}" if path else key)
    elif path.endswith(".rule") and isinstance(tree, list):
        yield from ((f"{path}.{index}", rule) for index, rule in enumerate(tree))
    else:
        yield path, tree


def test_the_catalogue_is_complete_and_sorted():
    assert [target.id for target in targets()] == IDS
    assert {path.stem for path in CATALOGUE.glob("*.toml")} == set(IDS)
    assert len(IDS) >= 45
    assert set(IDS) == {id for id in RATES if "@" not in id}
    assert set(UNITS) == set(GOLDEN)


@pytest.mark.parametrize("id", GOLDEN)
def test_units_and_padded_macs(id: str):
    target = load_target(id)
    wide, pointwise, (depthwise, _) = (target.units(each) for each in (WIDE, POINTWISE, DEPTHWISE))
    assert (wide, pointwise, depthwise) == UNITS[id]
    assert tuple(padding(each, target).padded_macs for each in (WIDE, POINTWISE, DEPTHWISE)) == GOLDEN[id]


@pytest.mark.parametrize("id", RATES)
def test_rate_block_and_clock(id: str):
    target = load_target(id)
    assert (target.active.macs_per_cycle, target.block, target.system.clock_hz) == RATES[id]


@pytest.mark.parametrize("id", IDS)
def test_other_numbers(id: str):
    elsewhere = (
        r"compute\.\w+\.(\w+_unit|macs_per_cycle)|memory\.channel_block(_bytes)?"
        rf"|system\.(.+\.clock_hz|(Ethos_U|{'|'.join(catalogue.BOARDS)}).+)"
    )
    found = {
        fact.field: fact.value
        for fact in load_target(id).facts
        if type(fact.value) in (int, float) and not re.fullmatch(elsewhere, fact.field)
    }
    assert found == OTHERS.get(id, {})


@pytest.mark.parametrize(
    ("family", "of", "inputs"),
    [
        ("ethos-u[56]5", layer(16, 64), 8),  # part-kernel
        ("ethos-u[56]5", layer(17, 64), 32),  # depth-first
        ("ethos-u[56]5", layer(16, 64, kernel=1, hw=13), 32),
        ("ethos-u[56]5", layer(64, 64, kernel=1, hw=20), 8),  # the output stage binds
        ("ethos-u[56]5", layer(65, 64, kernel=1, hw=20), 32),
        ("ethos-u85", layer(8, 64), 8),
        ("ethos-u85", layer(9, 64), 16),
        ("ethos-u85", layer(16, 64, kernel=1), 16),
        ("ethos-u85", layer(17, 64, kernel=1), 64),
        ("ti-tinpu", layer(1, 64), 1),  # FCONV
        ("ti-tinpu", layer(2, 64), 4),
    ],
)
def test_units_that_depend_on_the_layer(family: str, of: Layer, inputs: int):
    found = [load_target(id) for id in IDS if re.match(family, id)]
    assert found
    assert {target.units(of).input for target in found} == {inputs}


def test_only_these_do_anything_but_waste_what_does_not_fit():
    others = {id: load_target(id).active.misfit for id in IDS if load_target(id).active.misfit != "waste"}
    assert others == {"intel-npu-3720": "pad", "intel-npu-4000": "pad", "sony-imx500": "pad", "ti-tinpu": "reject"}


@pytest.mark.parametrize("target", targets(), ids=IDS)
def test_one_fact_a_value(target: Target):
    """Every number, array and rule has one fact of its own, and so has what else a source had to say."""
    stated = target.model_dump(
        mode="json", by_alias=True, exclude_unset=True, include={"compute", "memory", "weights", "systems", "limits"}
    )
    values = dict(leaves(stated))
    needed = {
        path
        for path, value in values.items()
        if not isinstance(value, bool | str)
        or path in ("memory.layout", "limits.depthwise")
        or (path.endswith(".misfit") and value != "waste")
    }
    fields = [fact.field for fact in target.facts]
    assert len(fields) == len(set(fields))
    assert set(fields) == needed
    assert all(fact.value == values[fact.field] for fact in target.facts)


@pytest.mark.parametrize("target", targets(), ids=IDS)
def test_every_fact_can_be_looked_up(target: Target):
    for fact in target.facts:
        assert re.fullmatch(r"https://[\w.-]+\.\w+/\S+|pypi:[\w-]+==[\d.]+", fact.source), fact.field
        assert len(fact.locator) > 5, fact.field
        assert fact.confidence != "given", fact.field


@pytest.mark.parametrize("path", sorted(CATALOGUE.glob("*.toml")), ids=lambda path: path.stem)
def test_the_files_are_fit_to_read(path: Path):
    text = path.read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 200
    assert "/work/" not in text and "npus.md" not in text
    assert tomllib.loads(text)["id"] == path.stem


@pytest.mark.parametrize("target", targets(), ids=IDS)
def test_what_is_not_stated_is_listed_as_unknown(target: Target):
    def listed(path: str) -> bool:
        return any(path == u or path.startswith(f"{u}.") for u in target.unknown)

    for precision, compute in target.compute.items():
        for field in ("macs_per_cycle", "input_unit", "output_unit", "depthwise_unit"):
            assert getattr(compute, field) or listed(f"compute.{precision}.{field}"), f"{precision}.{field}"
    memory = target.memory
    assert memory.channel_block or memory.channel_block_bytes or listed("memory.channel_block")
    assert target.systems or listed("system")


def test_every_board_is_a_system_of_one_target_and_says_where_its_numbers_are_from():
    boards = VelaIni.read(BOARDS).names("System_Config")
    assert set(boards) == set(catalogue.BOARDS)
    assert sorted(name for target in targets() for name in target.systems if name in boards) == sorted(boards)
    assert VelaIni.read(BOARDS).names("Memory_Mode") == []  # Arm's serve
    sources = {f.source for t in targets() for f in t.facts if f.field.split(".")[1] in boards}
    text = BOARDS.read_text(encoding="utf-8")
    assert len(sources) == 7 and all(f"; {source}\n" in text for source in sources)


@pytest.mark.parametrize("name", catalogue.BOARDS)
def test_clock_and_bandwidths_of_boards(name: str):
    id, clock, sram, outer = catalogue.BOARDS[name]
    system = load_target(id, system=name).system
    assert system.clock_hz == clock
    assert clock * system.sram_bytes_per_cycle == pytest.approx(sram)
    assert clock * (system.flash_bytes_per_cycle or system.dram_bytes_per_cycle) == pytest.approx(outer)


@pytest.mark.parametrize("id", [id for id in IDS if re.match("ethos-u", id)])
def test_ethos_u_agrees_with_vela(id: str):
    features = pytest.importorskip("ethosu.vela.architecture_features", reason="the extra vela is not installed")
    target = load_target(id)
    assert target.vela is not None

    files = [Path(features.CONFIG_FILES_PATH, "Arm", "vela.ini"), BOARDS]

    def architecture(system: str, mode: str):
        with contextlib.redirect_stdout(io.StringIO()):  # it warns that it uses its defaults
            return features.ArchitectureFeatures(
                vela_config_files=None if system == "internal-default" else files,
                system_config=system,
                memory_mode=mode,
                accelerator_config=target.vela.accelerator,
                max_blockdep=3,
                verbose_config=False,
                arena_cache_size=None,
            )

    vela = architecture("internal-default", "internal-default")
    assert (vela.system_config, vela.memory_mode) == (target.vela.system_config, target.vela.memory_mode)
    assert vela.num_macs_per_cycle * (target.active.cores or 1) == target.active.macs_per_cycle
    assert vela.ncores == (target.active.cores or 1)
    if not id.startswith("ethos-u85"):  # the package has no table of that core's micro-blocks and memories
        block, array = vela.config.ofm_ublock, target.active.array
        assert (block.height, block.width) == target.active.spatial_unit
        assert block.depth == array.outputs
        assert vela.config.shram_banks * 1024 * vela.ncores == target.memory.internal_bytes
        assert block.depth * vela.ncores == target.active.output_unit
    assert next(iter(target.systems)) == vela.system_config
    ini = files[0].read_text(encoding="utf-8")
    family = id.rpartition("-")[0].replace("ethos-u", "Ethos_U")
    boards = set(target.systems) & set(VelaIni.read(BOARDS).names("System_Config"))
    assert set(target.systems) - boards == set(re.findall(rf"^\[System_Config\.({family}_\w+)\]", ini, re.MULTILINE))
    for name, system in target.systems.items():
        vela = architecture(name, "Shared_Sram" if system.flash_bytes_per_cycle else "Dedicated_Sram")
        bandwidth = vela.memory_bandwidths_per_cycle
        assert vela.core_clock == system.clock_hz
        assert bandwidth[features.MemArea.Sram] == system.sram_bytes_per_cycle
        if system.dram_bytes_per_cycle is None:
            assert bandwidth[features.MemArea.OffChipFlash] == system.flash_bytes_per_cycle
        else:
            assert bandwidth[features.MemArea.Dram] == system.dram_bytes_per_cycle
