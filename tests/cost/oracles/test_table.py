"""A table of one's own."""

import dataclasses

import pytest
from models.layers import layer

from padless.cost.oracles import open_oracle
from padless.errors import OracleError, UsageError
from padless.hardware import load_target

GEMMINI = load_target("gemmini-16")
TABLE = """h,w,cin,cout,k,groups,ms
16,16,8,8,3,1,1.0
16,16,8,16,3,1,2.0
16,16,16,8,3,1,3.0
16,16,16,16,3,1,4.0
16,16,8,8,3,8,0.5
16,16,24,24,3,24,1.5
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "costs.csv"
    path.write_text(TABLE)
    return path


def test_a_table(table):
    oracle = open_oracle(f"csv {table}", GEMMINI)
    assert [a.total for a in oracle([layer(8, 16).shape, layer(24, 24, 3, "depthwise", 24).shape])] == [
        2_000_000,
        1_500_000,
    ]
    assert oracle.source.unit == "ns"
    with pytest.raises(
        OracleError, match="has no row for conv 3x3 8→12 on a 16x16 map. Add it, or allow .* 'csv FILE interpolate'"
    ):
        oracle([layer(8, 12).shape])
    for kernel in ((1, 3), (3, 3, 3)):
        with pytest.raises(OracleError, match="square kernels in two dimensions only"):
            oracle([dataclasses.replace(layer(8, 8).shape, kernel=kernel)])


def test_widths_between_those_of_a_table(table):
    oracle = open_oracle(f"csv {table} interpolate", GEMMINI)
    shapes = [layer(8, 12).shape, layer(12, 16).shape, layer(12, 12).shape, layer(16, 16, 3, "depthwise", 16).shape]
    assert [a.total for a in oracle(shapes)] == [1_500_000, 3_000_000, 2_500_000, 1_000_000]
    assert "interpolated" in str(oracle.source)
    for outside in (layer(8, 24), layer(4, 4), layer(8, 8, kernel=1), layer(20, 20)):
        with pytest.raises(OracleError, match="has no rows around .* to interpolate between"):
            oracle([outside.shape])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,b\n1,2\n",
            "has the columns a, b. Needed: h, w, cin, cout, k and one of cycles, ns, us, ms; where not 1: stride",
        ),
        ("", "has the columns none"),
        ("h,w,cin,cout,k,cycles,ns\n", "and one of cycles"),
        ("h,w,cin,cout,k,cycles\n1,1,1,x,1,5\n", "line 2: whole numbers and a cost of 0 or more are expected"),
        ("h,w,cin,cout,k,cycles\n1,1,1,1,1,-5\n", "line 2: whole numbers and a cost"),
        ("h,w,cin,cout,k,cycles\n1,1,1\n", "line 2: whole numbers"),
    ],
)
def test_a_table_that_is_none(tmp_path, text, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        open_oracle(f"csv {path}", GEMMINI)


def test_a_table_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match="Cannot read the cost table none.csv: No such file"):
        open_oracle("csv none.csv", GEMMINI)
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(UsageError, match="is no text in UTF-8"):
        open_oracle(f"csv {tmp_path / 't.csv'}", GEMMINI)
    with pytest.raises(UsageError, match="Write --oracle 'csv FILE'"):
        open_oracle("csv", GEMMINI)
