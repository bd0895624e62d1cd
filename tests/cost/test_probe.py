"""Unit discovery: on staircases that are made here, and on the real compiler and simulator."""

import numpy as np
import pytest
from checks.stairs import SOURCE, WIDTHS, units
from hypothesis import given, settings
from hypothesis import strategies as st

from padless.cost.oracles import open_oracle
from padless.cost.probe import Dip, Setting, infer, probe
from padless.errors import UsageError
from padless.hardware import load_target


@given(unit=st.integers(2, 32), start=st.integers(0, 10**6), step=st.integers(100, 10**5), seed=st.integers(0, 10**6))
@settings(max_examples=60)
def test_a_staircase_with_noise_shows_its_unit(unit, start, step, seed):
    noise = np.random.default_rng(seed).normal(0, step / 50, len(WIDTHS))
    costs = [round(start + step * -(-w // unit) + n) for w, n in zip(WIDTHS, noise, strict=True)]
    stair = infer("output", WIDTHS, costs, SOURCE)
    if (max(costs) - min(costs)) > 0.3 * max(costs):
        assert stair.unit == unit
        assert stair.share > 0.6


@pytest.mark.parametrize(
    "costs", [[1000 + 10 * w for w in WIDTHS], [5000] * 128, [5000 + w % 2 for w in WIDTHS], [0] * 128]
)
def test_no_staircase_no_unit(costs):
    stair = infer("output", WIDTHS, costs, SOURCE)
    assert stair.unit is None
    assert stair.evidence.startswith("no staircase")


def test_widths_with_gaps():
    widths = range(4, 129, 4)
    stair = infer("input", widths, [100 * -(-w // 16) for w in widths], SOURCE)
    assert (stair.unit, round(stair.share)) == (16, 1)


def test_dips_and_rises_are_listed():
    costs = [100 * -(-w // 16) for w in WIDTHS]
    costs[40:44] = [800] * 4  # widths 41 to 44
    stair = infer("input", WIDTHS, costs, SOURCE)
    assert stair.unit == 16
    assert stair.dips == (Dip(first=41, last=44, wider=45),)
    assert stair.rises == (41,)


def test_ethos_u55_256_without_reading_the_catalogue():
    pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")
    with open_oracle("vela", load_target("ethos-u55-256", memory_mode="Sram_Only")) as vela:
        stairs = probe(vela, Setting())
    assert units(stairs) == {"output": 8, "input": 32, "depthwise": 8}
    assert Dip(first=17, last=24, wider=25) in stairs[1].dips


def test_ethos_u85_512_without_reading_the_catalogue():
    pytest.importorskip("ethosu.vela", reason="the extra vela is not installed")
    with open_oracle("vela", load_target("ethos-u85-512", memory_mode="Sram_Only")) as vela:
        assert units(probe(vela, Setting())) == {"output": 16, "input": 16, "depthwise": 16}


@pytest.mark.parametrize("size", [16, 32])
def test_a_simulated_array(size):
    pytest.importorskip("scalesim", reason="the extra scalesim is not installed")
    oracle = open_oracle(f"scalesim {size}x{size}", load_target("unit:1"))
    try:
        stairs = probe(oracle, Setting(kernel=1, hw=4, other=4, widths=range(1, 2 * size + 8)), ("output", "input"))
    finally:
        oracle.close()
    assert units(stairs) == {"output": size, "input": size}


def test_a_table_is_probed_at_its_own_widths(tmp_path):
    rows = [f"8,8,32,{w},1,{500 * -(-w // 12)}" for w in range(1, 61)] + [f"8,8,{w},32,1,{w}" for w in range(1, 6)]
    path = tmp_path / "board.csv"
    path.write_text("h,w,cin,cout,k,cycles\n" + "\n".join(rows))
    table = open_oracle(f"csv {path}", load_target("unit:1"))
    setting = Setting(kernel=1, hw=8, other=32)
    (stair,) = probe(table, setting, ("output", "depthwise"))
    assert (stair.side, stair.unit, stair.widths) == ("output", 12, tuple(range(1, 61)))
    with pytest.raises(UsageError, match="6 widths of the input are too few to see a staircase; at least 12"):
        probe(table, setting)
    with pytest.raises(
        UsageError, match="The oracle knows no 3x3 layer on a 8x8 map with 32 channels on the other side"
    ):
        probe(table, Setting(kernel=3, hw=8, other=32))
