"""Choosing an oracle."""

from importlib.metadata import EntryPoint

import pytest
from models.layers import layer

from padless.cost import CachedOracle, oracles
from padless.cost.oracles import default_oracle, open_oracle
from padless.errors import UsageError
from padless.hardware import load_target

GEMMINI = load_target("gemmini-16")
U55 = load_target("ethos-u55-256")


def test_the_best_oracle_of_a_target():
    assert default_oracle(U55) == "vela"
    assert default_oracle(load_target("ethos-u55-256@int16w8")) is None
    assert default_oracle(GEMMINI) == "ceil"
    assert default_oracle(load_target("hexagon-htp")) is None


def test_an_unknown_oracle():
    with pytest.raises(UsageError, match="No oracle is called 'vella'. Did you mean vela"):
        open_oracle("vella", U55)
    with pytest.raises(UsageError, match="No oracle is called 'csv:costs.csv'. Write 'csv costs.csv', with a space."):
        open_oracle("csv:costs.csv", GEMMINI)


def test_an_oracle_of_another_package(monkeypatch):
    entry = EntryPoint(name="outside", value="checks.oracles:outside", group="padless.oracles")
    monkeypatch.setattr(oracles, "entry_points", lambda group: [entry] if group == "padless.oracles" else [])
    oracle = open_oracle("outside with words", GEMMINI)
    assert CachedOracle(oracle)([layer(8, 8)])[0].source.device == "gemmini-16 with words"
    with pytest.raises(UsageError, match="Did you mean outside"):
        open_oracle("outsid", GEMMINI)


def test_an_object_may_say_that_a_compiler_answers():
    def mine(shapes):
        return [shape.macs for shape in shapes]

    assert not open_oracle(mine, GEMMINI).compiles
    mine.compiles = True
    assert open_oracle(mine, GEMMINI).compiles
    assert not open_oracle("ceil", GEMMINI).compiles


def test_settings_that_an_oracle_does_not_have():
    only_sram = load_target("ethos-u55-256", memory_mode="Sram_Only")
    for spec in ("scalesim 16x16", "ceil", "onnxruntime", "./m {cin} {cout}"):
        with pytest.raises(
            UsageError, match=r"knows no systems and memory modes; Sram_Only was asked for. Leave it out"
        ):
            open_oracle(spec, only_sram)
    for spec, message in (
        ("ceil fast", "The oracle ceil takes no argument; got 'fast'"),
        ("onnxruntime fast", "The oracle onnxruntime takes no argument; got 'fast'"),
        ("csv", "Write --oracle 'csv FILE' or 'csv FILE interpolate'"),
    ):
        with pytest.raises(UsageError, match=message):
            open_oracle(spec, GEMMINI)
