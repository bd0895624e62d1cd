"""A command of one's own."""

import dataclasses
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
        ("sh -c 'exit 3' {cin} {cout}", "ended with code 3 and printed 'nothing'; a number was expected"),
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


def test_a_command_is_not_asked_about_oblong_kernels():
    for kernel in ((1, 3), (3, 3, 3)):
        with pytest.raises(OracleError, match="square kernels and strides in two dimensions only"):
            list(open_oracle("echo {cin} {cout}", GEMMINI)([dataclasses.replace(layer(8, 8).shape, kernel=kernel)]))
