"""A command of one's own."""

import dataclasses
import re
import sys

import pytest
from models.layers import layer

from padless.cost import oracles
from padless.cost.oracles import open_oracle
from padless.errors import OracleError, UsageError
from padless.hardware import load_target

GEMMINI = load_target("gemmini-16")


def test_a_command(tmp_path):
    program = tmp_path / "board.py"
    program.write_text(
        "import sys; print('measured', *map(int, sys.argv[1:])); print(eval('*'.join(sys.argv[1:])) / 2)\n"
    )
    spec = f"{sys.executable} {program} {{h}} {{w}} {{cin}} {{cout}} {{k}} {{stride}} {{groups}}"
    oracle = open_oracle(spec, GEMMINI)
    assert next(oracle([layer(8, 16, hw=5).shape])).total == 5 * 5 * 8 * 16 * 3 // 2
    assert oracle.key == f"command {spec}"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("sh -c 'exit 3' {cin} {cout}", "ended with code 3 and printed 'nothing'; a number from 0 up was expected"),
        ("echo hello {cin}x{cout}", "ended with code 0 and printed 'hello 8x8'"),
        ("./no-such-program {cin} {cout}", "Cannot run ./no-such-program: No such file or directory"),
    ],
)
def test_a_command_that_fails(command, message):
    with pytest.raises(OracleError, match=message):
        list(open_oracle(command, GEMMINI)([layer(8, 8).shape]))


def test_a_command_that_never_ends():
    oracle = oracles.open_oracle("sleep 20 {cin} {cout}", GEMMINI)
    oracle._timeout = 0.2
    with pytest.raises(OracleError, match="sleep 20 8 8 took more than 0.2 s"):
        list(oracle([layer(8, 8).shape]))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("command ./m {h} {cin}", "names no widths. Write {cin} and {cout} into it"),
        ("./m {width} {cin} {cout}", r"Cannot read the command .*KeyError: 'width'.*It may hold {h}, {w}, {cin}"),
        ("./m '{cin} {cout}", "Cannot read the command"),
    ],
)
def test_a_command_that_cannot_be_meant(spec, message):
    with pytest.raises(UsageError, match=message):
        open_oracle(spec, GEMMINI)


SAID = "cin cout k kh kw stride sh sw dilation dh dw groups oh ow"


def test_a_command_is_told_all_of_a_layer():
    shape = dataclasses.replace(
        layer(8, 16, kind="grouped", groups=4).shape, kernel=(1, 3), stride=(2, 1), dilation=(1, 2), out_hw=(8, 14)
    )
    command = f"{sys.executable} -c 'print({'+'.join('{' + name + '}*100' for name in SAID.split())})'"
    expected = 8 + 16 + 1 + 1 + 3 + 2 + 2 + 1 + 1 + 1 + 2 + 4 + 8 + 14
    assert next(open_oracle(command, GEMMINI)([shape])).total == 100 * expected


@pytest.mark.parametrize(
    ("change", "advice"),
    [({"kernel": (1, 3)}, "write {kh} and {kw} into it"), ({"stride": (2, 2)}, "write {stride} into it"),
     ({"stride": (2, 1)}, "write {sh} and {sw} into it"), ({"dilation": (2, 2)}, "write {dilation} into it"),
     ({"groups": 8, "kind": "depthwise"}, "write {groups} into it"), ({"kernel": (3, 3, 3)}, "only layers in two dimensions"),
     ({"transposed": True}, "only layers in two dimensions that are not transposed are measured")],
)  # fmt: skip
def test_a_layer_that_the_command_would_take_for_another(change, advice, tmp_path):
    """It is refused before anything is measured."""
    asked = tmp_path / "asked"
    oracle = open_oracle(f"touch {asked} {{cin}} {{cout}} {{k}}", GEMMINI)
    with pytest.raises(OracleError, match=re.escape(advice)) as error:
        oracle([layer(8, 8).shape, dataclasses.replace(layer(8, 8).shape, **change)])
    assert "cannot be asked about 1 of 2 layers" in str(error.value) and not asked.exists()


def test_a_command_of_one_kernel_needs_no_kernel():
    assert next(open_oracle("echo {cin}{cout}", GEMMINI)([layer(8, 8).shape])).total == 88
