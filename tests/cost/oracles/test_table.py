"""A table of one's own."""

import dataclasses

import pytest
from models.layers import layer

from padless.cost import CachedOracle
from padless.cost.oracles import open_oracle
from padless.errors import LayersError, UsageError
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
        LayersError, match="Add them, or allow widths between others with 'csv FILE interpolate'. `padless"
    ):
        oracle([layer(8, 12).shape])


def test_all_missing_rows_are_named_with_their_layers(table):
    """Those that the table has are not, and a layer has its own name, wherever it stands."""
    names = ["first", "second", "third"]
    layers = [dataclasses.replace(layer(8, c_out), name=name) for name, c_out in zip(names, (8, 12, 16), strict=True)]
    layers.append(dataclasses.replace(layer(8, 8, stride=(2, 2), dilation=(3, 1)), name="fourth"))
    layers.append(dataclasses.replace(layer(8, 8, 3, "grouped", 4, transposed=True), name="fifth"))
    with pytest.raises(LayersError) as error:
        CachedOracle(open_oracle(f"csv {table}", GEMMINI))(layers)
    assert str(error.value).splitlines()[:-1] == [
        f"{table} has no row for 3 of 5 layers:",
        "  second: conv 3x3 8→12 on a 16x16 map",
        "  fourth: conv 3x3 8→8 on a 16x16 map, stride 2x2, dilation 3x1",
        "  fifth: grouped 3x3 8→8 on a 16x16 map, 4 groups, transposed",
    ]
    with pytest.raises(
        LayersError, match=r"has no row for 40 of 40 layers:(\n  conv 3x3 8→\d+ .*){20}\n  and 20 more\nAdd"
    ):
        open_oracle(f"csv {table}", GEMMINI)([layer(8, c_out).shape for c_out in range(101, 141)])


def test_columns_for_every_kind_of_layer(tmp_path):
    """Pairs in two columns or in one, transposed layers, output maps; a row without a cost is not there yet."""
    path = tmp_path / "t.csv"
    path.write_text(
        "h,w,cin,cout,k,kh,kw,stride,sh,sw,dilation,dh,dw,groups,transposed,oh,ow,us\n"
        "16,16,8,8,,1,3,1,,,,,,,,16,16,1\n"
        "16,16,8,8,,3,1,,2,1,,,,,,8,16,2\n"
        "16,16,8,8,3,,,,,,,1,2,,,16,16,3\n"
        "16,16,8,8,3,,,,,,,,,4,,16,16,4\n"
        "16,16,8,8,2,,,2,,,,,,1,1,32,32,5\n"
        "16,16,8,8,3,,,,,,,,,,,16,16,6\n"
        "16,16,8,8,3,,,,,,,,,,,14,14,7\n"
        "16,16,8,16,3,,,,,,,,,,,16,16, \n"
    )
    oracle, plain = open_oracle(f"csv {path}", GEMMINI), layer(8, 8).shape
    changes = [
        {"kernel": (1, 3)}, {"kernel": (3, 1), "stride": (2, 1), "out_hw": (8, 16)}, {"dilation": (1, 2)},
        {"kind": "grouped", "groups": 4}, {"kernel": (2, 2), "stride": (2, 2), "transposed": True, "out_hw": (32, 32)},
        {}, {"out_hw": (14, 14)},
    ]  # fmt: skip
    shapes = [dataclasses.replace(plain, **change) for change in changes]
    assert [answer.total for answer in oracle(shapes)] == [1000 * n for n in range(1, 8)]
    for absent in ({"kernel": (3, 3, 3)}, {"out_hw": (15, 15)}, {"c_out": 16}):
        shape = dataclasses.replace(plain, **absent)
        assert not oracle.has(shape)
        with pytest.raises(LayersError, match="has no row for 1 of 1 layers"):
            oracle([shape])


def test_widths_between_those_of_a_table(table):
    oracle = open_oracle(f"csv {table} interpolate", GEMMINI)
    shapes = [layer(8, 12).shape, layer(12, 16).shape, layer(12, 12).shape, layer(16, 16, 3, "depthwise", 16).shape]
    assert [a.total for a in oracle(shapes)] == [1_500_000, 3_000_000, 2_500_000, 1_000_000]
    assert "interpolated" in str(oracle.source)
    for outside in (layer(8, 24), layer(4, 4), layer(8, 8, kernel=1), layer(20, 20)):
        with pytest.raises(LayersError, match="has no row around for 1 of 1 layers"):
            oracle([outside.shape])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,b\n1,2\n",
            r"has the columns a, b. Needed: h, w, cin, cout, k \(or kh, kw\) and one of cycles, ns, us, ms; where not 1: "
            r"stride \(or sh, sw\), dilation \(or dh, dw\), groups, transposed \(0 or 1\), oh, ow",
        ),
        ("", "has the columns none"),
        ("h,w,cin,cout,k,cycles,ns\n", "and one of cycles"),
        (
            "h,w,cin,cout,k,cycles\n1,1,1,x,1,5\n",
            "line 2: whole numbers from 1 up and a cost from 0 to .* are expected",
        ),
        ("h,w,cin,cout,k,cycles\n1,1,1,1,1,-5\n", "line 2: whole numbers from 1 up and a cost"),
        ("h,w,cin,cout,k,cycles\n1,1,1\n", "line 2: whole numbers"),
        (
            "h,w,cin,cout,k,cycles\n1,1,1,1,1,5\n1,1,1,1,1,5\n1,1,1,1,1,6\n",
            "line 4: an earlier line has the same layer",
        ),
        ("h,w,cin,cout,kh,cycles\n", r"Needed: h, w, cin, cout, k \(or kh, kw\)"),
        ("h,w,cin,cout,kh,kw,cycles\n1,1,1,1,,3,5\n", "line 2: whole numbers"),
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
