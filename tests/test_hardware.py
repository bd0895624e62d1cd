import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from padless.errors import UsageError
from padless.graph.structure import Kind, Layer
from padless.hardware import Units, load_target, round_up, targets
from padless.hardware.target import CATALOGUE

IDS = [
    "amd-dpuczdx8g-b4096",
    "ethos-u55-128",
    "ethos-u55-256",
    "ethos-u85-512",
    "gemmini-16",
    "hexagon-htp",
    "nvdla-full",
    "rockchip-rk3588",
]

MINE = """
schema = 1
id = "mine"
name = "my NPU"
vendor = "me"
unknown = ["memory"]
[compute.int8]
macs_per_cycle = 256
array = [16, 16]
input_unit = 16
output_unit = 8
[system.board]
clock_hz = 1000
[[fact]]
field = "compute.int8"
value = { macs_per_cycle = 256, array = [16, 16], input_unit = 16, output_unit = 8 }
source = "my notes"
locator = "page 1"
confidence = "given"
[[fact]]
field = "system.board.clock_hz"
value = 1000
source = "my notes"
locator = "page 2"
confidence = "given"
"""


def layer(c_in: int, c_out: int, kernel: int = 3, kind: Kind = "conv", groups: int = 1) -> Layer:
    return Layer(
        name="conv",
        weight="conv.weight",
        kind=kind,
        c_in=c_in,
        c_out=c_out,
        groups=groups,
        kernel=(kernel, kernel),
        stride=(1, 1),
        dilation=(1, 1),
        in_hw=(16, 16),
        out_hw=(16, 16),
        inputs=np.arange(c_in),
        outputs=np.arange(c_in, c_in + c_out),
    )


WIDE = layer(33, 40)
POINTWISE = layer(33, 40, kernel=1)
DEPTHWISE = layer(20, 20, kind="depthwise", groups=20)


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(spec: str | Path) -> str:
    with pytest.raises(UsageError) as caught:
        load_target(spec)
    return str(caught.value)


@given(st.integers(0, 10**6), st.integers(1, 4096))
def test_round_up_is_the_nearest_multiple_from_above(n: int, unit: int):
    padded = round_up(n, unit)
    assert padded % unit == 0
    assert n <= padded < n + unit


def test_the_catalogue_is_complete_and_sorted():
    assert [target.id for target in targets()] == IDS
    assert {path.stem for path in CATALOGUE.glob("*.toml")} == set(IDS)


# The padded input and output channels of: a 3x3 layer and a 1x1 layer from 33 to 40 channels, 20 channels depthwise.
GOLDEN = {
    "amd-dpuczdx8g-b4096": [(16, 16, 48, 48), (16, 16, 48, 48), (16, 16, 32, 32)],
    "ethos-u55-128": [(32, 8, 64, 40), (32, 8, 64, 40), (8, 8, 24, 24)],
    "ethos-u55-256": [(32, 8, 64, 40), (32, 8, 64, 40), (8, 8, 24, 24)],
    "ethos-u85-512": [(16, 16, 48, 48), (64, 16, 64, 48), (16, 16, 32, 32)],
    "gemmini-16": [(16, 16, 48, 48), (16, 16, 48, 48), (16, 16, 32, 32)],
    "hexagon-htp": [(32, 32, 64, 64), (32, 32, 64, 64), (32, 32, 32, 32)],
    "nvdla-full": [(64, 32, 64, 64), (64, 32, 64, 64), (32, 32, 32, 32)],
    "rockchip-rk3588": [(32, 32, 64, 64), (32, 32, 64, 64), (64, 64, 64, 64)],
}


@pytest.mark.parametrize("id", IDS)
def test_units_and_padded_channels(id: str):
    target = load_target(id)
    got = []
    for each in (WIDE, POINTWISE, DEPTHWISE):
        units = target.units(each)
        got.append((*units, round_up(each.c_in, units.input), round_up(each.c_out, units.output)))
    assert got == GOLDEN[id]


@pytest.mark.parametrize(
    ("id", "macs", "block", "clock_hz"),
    [
        ("amd-dpuczdx8g-b4096", 2048, 1, None),
        ("ethos-u55-128", 128, 16, 500_000_000),
        ("ethos-u55-256", 256, 16, 500_000_000),
        ("ethos-u85-512", 512, 16, 1_000_000_000),
        ("gemmini-16", 256, 16, None),
        ("hexagon-htp", None, 32, None),
        ("nvdla-full", 2048, 32, None),
        ("rockchip-rk3588", 1024, 16, 1_000_000_000),
    ],
)
def test_macs_block_and_clock(id: str, macs: int | None, block: int, clock_hz: int | None):
    target = load_target(id)
    assert (target.compute.int8.macs_per_cycle, target.block, target.clock_hz) == (macs, block, clock_hz)


@pytest.mark.parametrize(
    ("id", "of", "units"),
    [
        ("ethos-u55-256", layer(16, 64), Units(8, 8)),  # part-kernel
        ("ethos-u55-256", layer(17, 64), Units(32, 8)),  # depth-first
        ("ethos-u55-256", layer(16, 64, kernel=1), Units(32, 8)),
        ("ethos-u55-256", layer(16, 10, kind="linear"), Units(32, 8)),
        ("ethos-u85-512", layer(8, 64), Units(8, 16)),
        ("ethos-u85-512", layer(9, 64), Units(16, 16)),
        ("ethos-u85-512", layer(8, 64, kernel=1), Units(64, 16)),
        ("ethos-u85-512", layer(512, 10, kind="linear"), Units(64, 16)),
    ],
)
def test_ethos_u_units_follow_the_loop_order(id: str, of: Layer, units: Units):
    assert load_target(id).units(of) == units


def test_units_at_other_widths():
    target = load_target("ethos-u55-256")
    assert target.units(layer(64, 64)) == (32, 8)
    assert target.units(layer(64, 64), c_in=16) == (8, 8)
    assert target.units(layer(16, 64), c_in=64) == (32, 8)


def test_rules_see_one_group_of_a_grouped_layer():
    target = load_target("ethos-u55-256")
    grouped = layer(64, 128, kind="grouped", groups=4)
    assert target.units(grouped) == (8, 8)
    assert target.units(grouped, c_in=68) == (32, 8)


def test_the_first_fitting_rule_wins_and_overrides_only_what_it_states(tmp_path: Path):
    rules = """rule = [
      { when = { kind = "linear" }, input_unit = 2 },
      { when = { min_c_in = 8, max_c_out = 4 }, output_unit = 4 },
      { when = { min_c_out = 5 }, input_unit = 1 },
    ]"""
    text = MINE.replace("output_unit = 8\n", f"output_unit = 8\n{rules}\n")  # the value
    text = text.replace("output_unit = 8 }", f"output_unit = 8, {rules} }}")  # its fact
    target = load_target(written(tmp_path, text))
    assert target.units(layer(9, 4, kind="linear")) == (2, 8)
    assert target.units(layer(9, 4)) == (16, 4)
    assert target.units(layer(7, 4)) == (16, 8)
    assert target.units(layer(9, 5)) == (1, 8)


def test_arrays_of_the_catalogue():
    arrays = {target.id: target.compute.int8.array for target in targets()}
    assert {id: array for id, array in arrays.items() if array} == {
        "amd-dpuczdx8g-b4096": (8, 16, 16),
        "ethos-u55-128": (1, 2, 8, 8),
        "ethos-u55-256": (2, 2, 8, 8),
        "gemmini-16": (16, 16),
        "nvdla-full": (32, 64),
    }


@pytest.mark.parametrize("id", ["ethos-u55-128", "ethos-u55-256", "ethos-u85-512"])
def test_ethos_u_agrees_with_vela(id: str):
    features = pytest.importorskip("ethosu.vela.architecture_features")
    target = load_target(id)
    assert target.vela is not None

    with contextlib.redirect_stdout(io.StringIO()):  # it warns that it uses its defaults
        vela = features.ArchitectureFeatures(
            vela_config_files=None,
            system_config="internal-default",
            memory_mode="internal-default",
            accelerator_config=target.vela.accelerator,
            max_blockdep=3,
            verbose_config=False,
            arena_cache_size=None,
        )
    assert (vela.system_config, vela.memory_mode) == (target.vela.system_config, target.vela.memory_mode)
    assert vela.num_macs_per_cycle == target.compute.int8.macs_per_cycle
    assert vela.core_clock == target.clock_hz
    system = target.systems[vela.system_config]
    bandwidth = vela.memory_bandwidths_per_cycle
    assert bandwidth[features.MemArea.Sram] == system.sram_bytes_per_cycle
    if system.dram_bytes_per_cycle is None:
        assert bandwidth[features.MemArea.OffChipFlash] == system.flash_bytes_per_cycle
    else:
        assert bandwidth[features.MemArea.Dram] == system.dram_bytes_per_cycle


def test_ad_hoc_units():
    square = load_target("unit:16")
    assert (square.id, square.units(WIDE), square.units(DEPTHWISE), square.block) == ("unit:16", (16, 16), (16, 16), 16)
    oblong = load_target("unit:32x12")
    assert (oblong.units(WIDE), oblong.units(DEPTHWISE), oblong.block) == ((32, 12), (12, 12), 12)
    assert oblong.name == "ad-hoc units of 32 input and 12 output channels"
    assert oblong.compute.int8.macs_per_cycle is None
    assert oblong.unknown == ("compute.int8.macs_per_cycle", "system")
    assert {fact.confidence for fact in oblong.facts} == {"given"}


@pytest.mark.parametrize("spec", ["unit:0", "unit:", "unit:axb", "unit:16x", "unit:16x0", "unit:-8", "unit:8x8x8"])
def test_bad_ad_hoc_units(spec: str):
    example = "Write unit:16, or unit:32x16 for 32 input and 16 output channels."
    assert refusal(spec) == f"{spec!r} gives no units. {example}"


def test_an_unknown_name_suggests_the_nearest():
    message = refusal("ethos-u55-265")
    assert message.startswith("No target is called 'ethos-u55-265'; unit:16 and a path to a .toml file also work.")
    assert "Did you mean ethos-u55-256" in message
    assert refusal("zzz").endswith("Known: " + ", ".join(IDS) + ".")


def test_a_file_of_ones_own(tmp_path: Path):
    path = written(tmp_path, MINE)
    target = load_target(path)
    assert load_target(str(path)) == target
    assert (target.id, target.units(WIDE), target.units(DEPTHWISE)) == ("mine", (16, 8), (8, 8))
    assert (target.block, target.clock_hz, target.vela) == (1, 1000, None)


def test_a_missing_file(tmp_path: Path):
    path = tmp_path / "none.toml"
    assert refusal(path) == f"Cannot read the target file {path}: No such file or directory."


def test_a_file_that_is_not_toml(tmp_path: Path):
    path = written(tmp_path, "schema = 1\nid = mine\n")
    assert refusal(path) == f"{path} is not TOML: Invalid value (at line 2, column 6)."


def test_a_file_that_is_not_text(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe")
    assert f"{path} is not TOML: 'utf-8' codec can't decode byte 0xff" in refusal(path)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("schema = 1", "schema = 2", "schema: Input should be 1"),
        ('vendor = "me"\n', "", "vendor: Field required"),
        ('vendor = "me"', 'vendor = "me"\ncolour = "red"', "colour: no such field"),
        ("array = [16, 16]\ninput", "arrays = [16, 16]\ninput", "compute.int8.arrays: no such field"),
        ("output_unit = 8\n", "output_unit = 0\n", "compute.int8.output_unit: Input should be greater than 0"),
        ("output_unit = 8\n", 'output_unit = "8"\n', "compute.int8.output_unit: Input should be a valid integer"),
        ("output_unit = 8\n", "output_unit = 8.0\n", "compute.int8.output_unit: Input should be a valid integer"),
        (
            'confidence = "given"\n[[fact]]',
            'confidence = "sure"\n[[fact]]',
            "fact.0.confidence: Input should be 'documented', 'derived', 'reverse-engineered' or 'given'",
        ),
        (
            "array = [16, 16]\ninput",
            "array = [16, 8]\ninput",
            "compute.int8: array 16 x 8 is 128 MACs, not macs_per_cycle = 256",
        ),
        ("value = 1000", "value = 2000", "system.board.clock_hz: is 1000, but its fact says 2000 (my notes)"),
        (
            "clock_hz = 1000\n",
            "clock_hz = 1000\nsram_bytes_per_cycle = 4.0\n",
            "system.board.sram_bytes_per_cycle: has no [[fact]]; give field, value, source, locator, confidence",
        ),
        ("[system.board]\nclock_hz = 1000\n", "", "system.board.clock_hz: has a fact but no value"),
        ('"memory"]', '"memory", "system"]', "system: is listed as unknown but has a value"),
    ],
)
def test_a_file_that_contradicts_the_schema_or_itself(tmp_path: Path, old: str, new: str, complaint: str):
    assert MINE.count(old) == 1
    path = written(tmp_path, MINE.replace(old, new))
    lines = refusal(path).split("\n  ")
    assert lines[0] == f"{path} does not describe a target:"
    assert any(line.startswith(complaint) for line in lines[1:])


def test_every_complaint_is_listed(tmp_path: Path):
    path = written(tmp_path, MINE.replace("value = 1000", "value = 2000").replace('"memory"]', '"system"]'))
    assert refusal(path).split("\n  ")[1:] == [
        "system.board.clock_hz: is 1000, but its fact says 2000 (my notes)",
        "system: is listed as unknown but has a value",
    ]


def test_every_number_needs_a_fact_and_only_numbers_do(tmp_path: Path):
    rule = '[[compute.int8.rule]]\nwhen = { kernel = "1x1", max_c_in = 4 }\ninput_unit = 4\n'
    memory = "[memory]\nchannel_block_optional = true\n"
    without_facts = MINE.split("[[fact]]")[0].replace('"memory"', "")
    lines = refusal(written(tmp_path, without_facts + rule + memory)).split("\n  ")[1:]
    assert [line.split(": has no [[fact]]")[0] for line in lines] == [
        "compute.int8.macs_per_cycle",
        "compute.int8.array",
        "compute.int8.input_unit",
        "compute.int8.output_unit",
        "compute.int8.rule.0.when.max_c_in",
        "compute.int8.rule.0.input_unit",
        "system.board.clock_hz",
    ]


def test_targets_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_target("gemmini-16").id = "other"
