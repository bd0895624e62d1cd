"""Targets: their units by layer and precision, their limits, and how they are named."""

import re
from pathlib import Path

import numpy as np
import pytest
from checks.target_files import MINE, refusal, written
from hypothesis import given
from hypothesis import strategies as st
from models.layers import layer

from padless.graph.structure import Layer
from padless.hardware import Units, ceil_div, load_target, read_target, round_up

WIDE = layer(33, 40)
DEPTHWISE = layer(20, 20, kind="depthwise", groups=20)


@given(st.integers(0, 10**6), st.integers(1, 4096))
def test_round_up_is_the_nearest_multiple_from_above(n: int, unit: int):
    padded = round_up(n, unit)
    assert padded % unit == 0
    assert n <= padded < n + unit
    assert ceil_div(n, unit) * unit == padded
    assert np.array_equal(round_up(np.array([n, n + 1]), unit), [padded, round_up(n + 1, unit)])


@pytest.mark.parametrize(
    ("id", "of", "units"),
    [
        ("ethos-u55-256", layer(16, 64), Units(8, 8)),  # part-kernel
        ("ethos-u55-256", layer(17, 64), Units(32, 8)),  # depth-first
        ("ethos-u55-256", layer(16, 64, kernel=1), Units(32, 8)),
        ("ethos-u55-256", layer(16, 10, kind="linear"), Units(32, 8)),
        ("ethos-u85-512", layer(8, 64), Units(8, 16)),
        ("ethos-u85-512", layer(9, 64), Units(16, 16)),
        ("ethos-u85-512", layer(8, 64, kernel=1), Units(16, 16)),
        ("ethos-u85-512", layer(17, 64, kernel=1), Units(64, 16)),
        ("ethos-u55-128", layer(64, 64, kernel=1, hw=14), Units(8, 8)),  # the output stage binds
        ("ethos-u55-128", layer(64, 64, kernel=1, hw=13), Units(32, 8)),
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


def test_ad_hoc_units():
    square = load_target("unit:16")
    assert (square.id, square.units(WIDE), square.units(DEPTHWISE), square.block) == ("unit:16", (16, 16), (16, 16), 16)
    oblong = load_target("unit:32x12")
    assert (oblong.units(WIDE), oblong.units(DEPTHWISE), oblong.block) == ((32, 12), (12, 12), 12)
    assert oblong.name == "ad-hoc units of 32 input and 12 output channels"
    assert oblong.active.macs_per_cycle is None
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
    assert refusal("zzz").endswith("`padless targets` lists all.")
    assert refusal("gemini-16").endswith("Did you mean gemmini-16?")


@pytest.mark.parametrize(
    ("given", "family"),
    [("ethos-u55", {"ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256"}), ("rk3588", {"rockchip-rk3588"}),
     ("Ethos-U55-512", {"ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256"}),
     ("max78000", {"adi-max78000"}), ("axis-artpec-7", {"axis-artpec-8", "axis-artpec-9"})],
)  # fmt: skip
def test_an_unknown_name_suggests_its_family(given, family):
    told = refusal(given).partition("Did you mean ")[2]
    assert set(told.rstrip("?").split(" or ")) == family


def test_a_large_family_is_not_listed_whole():
    told = refusal("amd").partition("Did you mean ")[2]
    assert told.count(" or ") == 5 and re.search(r" and \d+ more\?$", told)


def test_names_are_found_in_any_case(tmp_path, monkeypatch):
    assert load_target("Ethos-U55-256") == load_target("ethos-u55-256")
    assert load_target("NVDLA-full@FP16").id == "nvdla-full@fp16"
    assert load_target("UNIT:16X8") == load_target("unit:16x8")
    written(tmp_path, MINE.replace('"mine"', '"MyNPU"'))
    monkeypatch.setenv("PADLESS_TARGETS", str(tmp_path))
    assert load_target("mynpu").id == "MyNPU"


def test_targets_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_target("gemmini-16").id = "other"


def test_a_precision_of_a_target():
    full = load_target("nvdla-full")
    half = load_target("nvdla-full@fp16")
    assert (full.precision, full.units(WIDE), full.block, full.activation_bits, full.weight_bits) == (
        "int8",
        (64, 32),
        32,
        8,
        8,
    )
    assert (half.precision, half.units(WIDE), half.block, half.activation_bits) == ("fp16", (64, 16), 16, 16)
    assert half.id == "nvdla-full@fp16" and load_target(half.id) == half
    assert load_target("nvdla-full@int8") == full
    assert load_target("sony-imx500@int8w2").weight_bits == 2
    assert refusal("nvdla-full@int4") == "nvdla-full does not say how it computes int4. Known: int8, int16, fp16."


def test_a_rule_for_depthwise_layers_is_for_them_alone(tmp_path: Path):
    rules = """rule = [
      { when = { kind = "depthwise", max_c_out = 32 }, output_unit = 4 },
      { when = { kernel = "3x3" }, input_unit = 2 },
      { when = { kernel = "5x5" }, input_unit = 1 },
    ]"""
    text = MINE.replace("output_unit = 8\n", f"output_unit = 8\n{rules}\n").replace(
        "output_unit = 8 }", f"output_unit = 8, {rules} }}"
    )
    target = read_target(written(tmp_path, text))
    assert target.units(DEPTHWISE) == (4, 4)
    assert target.units(layer(64, 64, kind="depthwise", groups=64)) == (8, 8)
    assert target.units(WIDE) == (2, 8)
    assert target.units(layer(33, 40, kernel=5)) == (1, 8)
    assert target.units(layer(33, 40, kernel=7)) == (16, 8)


@pytest.mark.parametrize(
    ("id", "of", "said"),
    [
        ("adi-max78000", DEPTHWISE, ["depthwise layers are not supported"]),
        ("adi-max78000", layer(1025, 64), ["1025 input channels, at most 1024"]),
        ("adi-max78002", layer(64, 2049), ["2049 output channels, at most 2048"]),
        ("ti-tinpu", layer(4, 4, kernel=9), ["9 kernel rows, at most 7"]),
        ("intel-npu-3720", layer(16, 8193), ["8193 as its largest dimension, at most 8192"]),
        ("amd-dpucvdx8h", layer(1857, 64), ["270 kernel elements x input blocks, at most 256"]),  # 9 x 30
        ("amd-dpucvdx8h", layer(64, 64), []),
    ],
)
def test_limits(id: str, of: Layer, said: list[str]):
    target = load_target(id)
    assert list(target.limits.broken(of, target.units(of))) == said
