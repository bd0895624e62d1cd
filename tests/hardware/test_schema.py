"""Target files: what they may say, how they are found, and what is said about mistakes."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from checks.target_files import MINE, refusal, written
from models.layers import layer

from padless.errors import UsageError
from padless.hardware import Target, load_target, read_target, targets
from padless.hardware.lines import line_of, lines_of
from padless.hardware.template import template

WIDE = layer(33, 40)
POINTWISE = layer(33, 40, kernel=1)
DEPTHWISE = layer(20, 20, kind="depthwise", groups=20)


def test_a_file_of_ones_own(tmp_path: Path):
    path = written(tmp_path, MINE)
    target = load_target(path)
    assert load_target(str(path)) == target
    assert (target.id, target.units(WIDE), target.units(DEPTHWISE)) == ("mine", (16, 8), (8, 8))
    assert (target.block, target.system.clock_hz, target.vela) == (1, 1000, None)


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
        ("[system.board]", 'precision = "fp16"\n[system.board]', "compute.int8.precision: no such field"),
        ("[compute.int8]", "[compute.real8]", "compute.real8: String should match pattern"),
        ('vendor = "me"', 'vendor = "me"\nprecision = "fp16"', "precision is 'fp16', but compute has int8"),
        (
            "input_unit = 16\noutput_unit = 8\n[system",
            "input_unit = 16\noutput_unit = 8\nspatial_unit = [2, 2]\n[system",
            "compute.int8: spatial_unit 2 x 2 is not the 1 pixels of the array",
        ),
        (
            "macs_per_cycle = 256\narray",
            "cores = 2\nmacs_per_cycle = 256\narray",
            "compute.int8: array 16 outputs x 16 inputs on 2 cores is 512 MACs, not macs_per_cycle = 256",
        ),
        (
            "clock_hz = 1000\n[[fact]]",
            "clock_hz = 1000\ntops = 4.0\n[[fact]]",
            "system.board.tops: is 4.0, but MACs and clock make 5.12e-07",
        ),
        (
            "[system.board]",
            "[memory]\nchannel_block = 16\nchannel_block_bytes = 16\n[system.board]",
            "memory: give channel_block (elements) or channel_block_bytes, not both",
        ),
        ("schema = 1", "schema = 2", "schema: Input should be 1"),
        ('vendor = "me"\n', "", "vendor: Field required"),
        ('vendor = "me"', 'vendor = "me"\ncolour = "red"', "colour: no such field"),
        ("array = { outputs = 16, inputs = 16 }\ninput", "arrays = 1\ninput", "compute.int8.arrays: no such field"),
        ("output_unit = 8\n", "output_unit = 0\n", "compute.int8.output_unit: Input should be greater than 0"),
        ("output_unit = 8\n", 'output_unit = "8"\n', "compute.int8.output_unit: Input should be a valid integer"),
        ("output_unit = 8\n", "output_unit = 8.0\n", "compute.int8.output_unit: Input should be a valid integer"),
        (
            'confidence = "given"\n[[fact]]',
            'confidence = "sure"\n[[fact]]',
            "fact.0.confidence: Input should be 'documented', 'derived', 'reverse-engineered' or 'given'",
        ),
        (
            "array = { outputs = 16, inputs = 16 }\ninput",
            "array = { outputs = 16, inputs = 8 }\ninput",
            "compute.int8: array 16 outputs x 8 inputs is 128 MACs, not macs_per_cycle = 256",
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
    assert any(re.sub(r"^line \d+: ", "", line).startswith(complaint) for line in lines[1:])


def test_every_complaint_is_listed(tmp_path: Path):
    path = written(tmp_path, MINE.replace("value = 1000", "value = 2000").replace('"memory"]', '"system"]'))
    assert refusal(path).split("\n  ")[1:] == [
        "line 12: system: is listed as unknown but has a value",
        "line 13: system.board.clock_hz: is 1000, but its fact says 2000 (my notes)",
    ]


def test_every_number_needs_a_fact_and_only_numbers_do(tmp_path: Path):
    rule = '[[compute.int8.rule]]\nwhen = { kernel = "1x1", max_c_in = 4 }\ninput_unit = 4\n'
    memory = "[memory]\nchannel_block_optional = true\n"
    without_facts = MINE.split("[[fact]]")[0].replace('"memory"', "")
    lines = refusal(written(tmp_path, without_facts + rule + memory)).split("\n  ")[1:]
    assert [line.split(": has no [[fact]]")[0] for line in lines] == [
        "line 8: compute.int8.macs_per_cycle",
        "line 9: compute.int8.array.outputs",
        "line 9: compute.int8.array.inputs",
        "line 10: compute.int8.input_unit",
        "line 11: compute.int8.output_unit",
        "line 13: system.board.clock_hz",
        "line 15: compute.int8.rule.0.when.max_c_in",
        "line 16: compute.int8.rule.0.input_unit",
    ]


def test_folders_of_ones_own_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = written(tmp_path, MINE)
    monkeypatch.setenv("PADLESS_TARGETS", str(tmp_path))
    assert load_target("mine") == read_target(path)
    assert "mine" in [target.id for target in targets()]
    path.write_text(MINE.replace('"mine"', '"gemmini-16"'))
    with pytest.warns(
        UserWarning, match="mine.toml describes 'gemmini-16', and so does the catalogue. Give it another id"
    ):
        assert "mine" not in [target.id for target in targets()]
    monkeypatch.setenv("PADLESS_TARGETS", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="PADLESS_TARGETS names .*none, which is no folder"):
        targets()


def test_a_broken_draft_is_left_out_and_named(tmp_path: Path, monkeypatch):
    (tmp_path / "draft.toml").write_text("schema = 1\nid = draft\n")
    written(tmp_path, MINE)
    monkeypatch.setenv("PADLESS_TARGETS", str(tmp_path))
    with pytest.warns(UserWarning, match="Left out: .*draft.toml is not TOML: Invalid value"):
        assert "mine" in [target.id for target in targets()]
    assert load_target("mine").id == "mine"
    assert "draft.toml is not TOML: Invalid value" in refusal("Draft")


def test_a_fact_without_a_source_is_none(tmp_path: Path):
    path = written(
        tmp_path, MINE.replace('source = "my notes"\nlocator = "page 2"', 'source = " "\nlocator = "page 2"')
    )
    assert refusal(path).endswith("\n  line 23: fact.1.source: is empty; say where system.board.clock_hz was read")


def test_a_draft_says_its_numbers_once(tmp_path: Path):
    """A fact may leave its value out; those that padless ships repeat it."""
    target = load_target(
        written(tmp_path, MINE.replace("value = 1000\n", "").replace("clock_hz = 1000", "clock_hz = 2000"))
    )
    assert [target.value_of(fact) for fact in target.facts][1] == 2000
    assert all(fact.value is not None for shipped in targets() for fact in shipped.facts)


def test_the_template_is_a_target_once_its_sources_are_named(tmp_path: Path):
    """And a unit is changed in one place."""
    text = template("npu.toml", "npu")
    path = tmp_path / "npu.toml"
    path.write_text(text)
    complaints = refusal(path).splitlines()[1:]
    assert len(complaints) == text.count("\n[[fact]]") == 6
    assert all(re.search(r"line \d+: fact.\d.source: is empty; say where [\w.]+ was read", line) for line in complaints)
    filled = text.replace('source = ""', 'source = "our manual"').replace("output_unit = 16 ", "output_unit = 12 ")
    path.write_text(filled)
    target = read_target(path)
    assert (target.id, target.units(WIDE), target.units(POINTWISE)) == ("npu", (16, 12), (32, 12))
    assert "padless targets check npu.toml" in text
    commented = re.findall(
        r"^# ((?:cores|depthwise_unit|spatial_unit|channel_block\w*|align_bytes|\w+_bytes_per_cycle|max_output_channels) = \S+)",
        text,
        re.M,
    )
    known = json.dumps(Target.model_json_schema(by_alias=True))
    assert len(commented) >= 7
    assert all(f'"{line.split(" ")[0]}"' in known for line in commented)


def test_lines_of_a_toml_file():
    text = 'a = 1\n[b.c]\nd = 2\n"e" = 3\n[[f]]\ng = 1\n[[f]]\ng = 2\n[f.h]\ni = 4\n[[f.j]]\nk = [\n  1,\n]\n'
    lines = lines_of(text)
    data = tomllib.loads(text)
    assert data["f"][1]["h"]["i"] == 4
    assert {path: lines[path] for path in ("a", "b.c.d", "b.c.e", "f.0.g", "f.1.g", "f.1.h.i", "f.1.j.0.k")} == {
        "a": 1,
        "b.c.d": 3,
        "b.c.e": 4,
        "f.0.g": 6,
        "f.1.g": 8,
        "f.1.h.i": 10,
        "f.1.j.0.k": 12,
    }
    assert line_of("f.1.j.0.k.2", lines) == 12
    assert line_of("b", lines) == 2
    assert line_of("z", lines) is None
