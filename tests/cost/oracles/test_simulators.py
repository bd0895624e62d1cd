"""Simulators of systolic arrays."""

from dataclasses import replace

import pytest
from models.layers import layer

from padless.cost.oracles import open_oracle
from padless.errors import OracleError, UsageError
from padless.hardware import load_target

GEMMINI = load_target("gemmini-16")
U55 = load_target("ethos-u55-256")


def test_scalesim_counts_folds():
    """Weight stationary: each fold of the weights takes its pixels and the array's filling and draining."""
    pytest.importorskip("scalesim", reason="the extra scalesim is not installed")
    oracle = open_oracle("scalesim", GEMMINI)
    shapes = [layer(20, 17, kernel=3, hw=4).shape, layer(12, 12, kind="depthwise", groups=12, hw=4).shape]
    plain, depthwise = oracle(shapes)
    oracle.close()
    folds = -(-20 * 9 // 16) * 2
    assert plain.total == plain.npu == folds * (16 + 16 + 16 + 16 - 2) - 1
    assert depthwise.total == 12 * (1 * (16 + 16 + 16 + 16 - 2) - 1)
    assert str(plain.source) == "SCALE-Sim 3.0.0, weight-stationary 16x16 array, memories never stall it"


def test_zigzag_knows_energy():
    pytest.importorskip("zigzag", reason="the extra zigzag is not installed")
    oracle = open_oracle("zigzag 16x16", U55)
    narrow, wide, grouped = oracle(
        [layer(32, 16, hw=4).shape, layer(32, 17, hw=4).shape, layer(64, 32, 3, "grouped", 2, 4).shape]
    )
    oracle.close()
    assert (narrow.npu, wide.npu) == (16 * 9 * 2, 16 * 9 * 2 * 2)
    assert narrow.total < wide.total and 0 < narrow.energy_pj < wide.energy_pj
    assert (grouped.total, grouped.energy_pj) == (2 * narrow.total, 2 * narrow.energy_pj)


def test_three_dimensions_are_a_matrix_product_and_no_nest_of_loops():
    pytest.importorskip("scalesim", reason="the extra scalesim is not installed")
    pytest.importorskip("zigzag", reason="the extra zigzag is not installed")
    frames = replace(layer(4, 8).shape, kernel=(3, 1, 1), stride=(1, 1, 1), in_hw=(2, 2, 2), out_hw=(2, 2, 2))
    with open_oracle("scalesim", GEMMINI) as scalesim, open_oracle("zigzag", GEMMINI) as zigzag:
        assert scalesim.question(frames) == {"m": 8, "n": 8, "k": 12}
        with pytest.raises(OracleError, match="loops over rows and columns, not about conv 3x1x1 4→8 .* Ask scalesim"):
            list(zigzag([frames]))


@pytest.mark.parametrize(
    ("spec", "target", "message"),
    [
        ("scalesim 16", GEMMINI, "'16' is no array. Write scalesim 16x16: rows"),
        (
            "scalesim",
            U55,
            "ethos-u55-256 has an array of 4 pixels x 8 outputs x 8 inputs; scalesim simulates arrays of",
        ),
        ("zigzag", load_target("hexagon-htp"), "hexagon-htp has no known MAC array; .* Say which: zigzag 16x16"),
    ],
)
def test_arrays_that_cannot_be_simulated(spec, target, message):
    pytest.importorskip(spec.split(" ")[0])
    with pytest.raises(UsageError, match=message):
        open_oracle(spec, target)


def test_a_failing_simulator(monkeypatch):
    pytest.importorskip("scalesim")
    oracle = open_oracle("scalesim", GEMMINI)
    monkeypatch.setattr(oracle, "question", lambda shape: {})
    with pytest.raises(OracleError, match="SCALE-Sim failed: KeyError"):
        list(oracle([layer(8, 8).shape]))
    oracle.close()
