"""The pages of reference that are written by hand say what the program says."""

import ast
import json
import re
from dataclasses import fields
from pathlib import Path

from models.layers import layer

import padless
from padless import Plan, Summary, load_target
from padless.cost.network import Totals
from padless.cost.oracles import table
from padless.hardware import round_up
from padless.report.report import Report
from padless.sweep.point import Point
from tools.pages import DOCS

FORMATS = (DOCS / "file-formats.md").read_text()


def texts():
    """Every text of the program, with … where it puts something in."""
    for path in Path(padless.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_each_error_is_one_of_the_program():
    known = list(texts())
    said = re.findall(r"^### `(.*)`$", (DOCS / "errors.md").read_text(), re.MULTILINE)
    said.remove("operator torchvision::nms does not exist")  # which is not ours
    assert len(said) > 25
    for message in said:
        parts = message.split("…")
        pattern = re.compile(".*?".join(map(re.escape, parts)), re.DOTALL)
        assert any(pattern.search(text) for text in known if max(parts, key=len) in text), message


def named(heading):
    """What the first column of a section's table names."""
    section = FORMATS.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert section, heading
    cells = re.findall(r"^\| (.*?) \|", section, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_the_fields_of_files_are_those_of_the_program():
    for heading, kind in (("`plan.json`", Plan), ("`summary.json`", Summary), ("`report.json`", Report)):
        assert sorted(named(heading)) == sorted(field.name for field in fields(kind)), heading
    assert sorted(named("Totals")) == sorted(Totals.__annotations__)


def test_the_columns_and_options_are_those_of_the_program():
    columns = {
        *table.NEEDED,
        *table.PAIRS,
        *sum(table.PAIRS.values(), ()),
        *table.UNITS,
        "groups",
        "transposed",
        "oh",
        "ow",
    }
    assert set(named("Cost tables")) == columns
    assert set(named("Sweep grids")) - {"[[grid]]"} == {field.name for field in fields(Point)}
    schema = json.loads((DOCS / "target.schema.json").read_text())
    tables = {re.split(r"[.\]]", name.strip("["))[0] for name in named("Targets")}
    assert tables == set(schema["properties"])


def test_the_numbers_of_alignment():
    page, width = (DOCS / "alignment.md").read_text(), (40, 100)
    wasted = []
    for id, name in (
        ("gemmini-16", "Gemmini, 16x16"),
        ("ethos-u55-256", "Ethos-U55-256"),
        ("nvdla-small", "NVDLA nv_small"),
    ):
        units = load_target(id).units(layer(*width))
        padded = tuple(round_up(*pair) for pair in zip(width, units, strict=True))
        assert f"| {name} | {units.input} in, {units.output} out | {padded[0]} and {padded[1]} |" in page
        wasted.append(100 * (1 - width[0] * width[1] / (padded[0] * padded[1])))
    first, second, third = (f"{share:.1f} %" for share in wasted)
    assert (
        f"wastes {first} of its multiplications on the first, {second} on the second and {third} on the third" in page
    )
