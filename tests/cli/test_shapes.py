"""`padless shapes`: the table that is to be measured is the one that a prune asks for."""

import csv
import io
import json
import re

import pytest
import torch
from models.networks import small

from padless import Choices, load_target, plan
from padless.choose.asked import shapes_to_measure
from padless.cost import Answer, Oracle, Source
from padless.errors import LayersError

X = torch.zeros(1, 3, 16, 16)
ASK = ("models.networks:Small", "--target", "unit:8", "--input-shape", "1,3,16,16")


def measured(text: str) -> tuple[list[dict[str, str]], str]:
    """The rows of a list, and the same with a cost in each."""
    rows = list(csv.DictReader(io.StringIO(text)))
    written = io.StringIO()
    writer = csv.DictWriter(written, list(rows[0]))
    writer.writeheader()
    writer.writerows(
        [{**row, "cycles": str(100 + int(row["cin"]) * int(row["cout"]) * int(row["oh"]))} for row in rows]
    )
    return rows, written.getvalue()


def test_a_list_that_is_filled_in_is_all_that_a_prune_needs(run, tmp_path):
    code, out, err = run("shapes", *ASK)
    assert code == 0, err
    rows, table = measured(out)
    assert rows[3] == {
        "layer": "down", "h": "16", "w": "16", "cin": "16", "cout": "32", "kh": "3", "kw": "3", "sh": "2", "sw": "2",
        "dh": "1", "dw": "1", "groups": "1", "transposed": "0", "oh": "8", "ow": "8", "cycles": "",
    }  # fmt: skip
    (tmp_path / "t.csv").write_text(table)
    asked = ("prune", *ASK, "--budget", "cycles=60%", "--oracle", "csv t.csv", "--out", "run")
    assert run(*asked)[0] == 0
    assert run("shapes", *ASK, "--oracle", "csv t.csv")[1].count("\n") == 1  # nothing is left to measure
    lines = table.splitlines(keepends=True)
    (tmp_path / "t.csv").write_text("".join(lines[:-2]))
    code, out, err = run(*asked)
    last = rows[-2:]
    assert code == 1 and "t.csv has no row for 2 of 21 layers:" in err  # the five as they are were there
    assert all(f"\n  {row['layer']}: " in err and f" {row['cin']}→{row['cout']} on a" in err for row in last)
    rest = list(csv.DictReader(io.StringIO(run("shapes", *ASK, "--oracle", "csv t.csv")[1])))
    assert rest == last


@pytest.mark.parametrize("options", [{}, {"align": "none"}, {"align": "cost"}, {"repair": "up"}, {"freeze": ("stem",)}])
def test_every_shape_that_is_asked_for_is_in_the_list(options):
    """A table of these rows is enough, whatever the alignment."""
    choices, target = Choices(**options), load_target("unit:16")
    listed = shapes_to_measure(small(), (X,), target, choices=choices)

    class Board(Oracle):
        asked = set()

        def __call__(self, shapes):
            self.asked.update(shapes)
            return [Answer(source=Source(oracle="board"), total=shape.macs, npu=shape.macs) for shape in shapes]

        def has(self, shape):
            return shape in listed

    plan(small(), X, target=target, budget="cycles=70%", oracle=Board(), choices=choices)
    assert Board.asked <= set(listed)


def test_lists_that_cannot_be(run):
    code, _, err = run("shapes", *ASK, "--unit", "hours")
    assert code == 2 and "--unit cannot be 'hours'. Did you mean us?" in err
    code, _, err = run("shapes", "models.networks:stays", "--target", "unit:8", "--input-shape", "1,3,8,8")
    assert code == 2 and "There is nothing to prune" in err
    code, _, err = run("shapes", "models.networks:volumes", "--target", "unit:8", "--input-shape", "1,3,8,8,8")
    assert code == 2 and "A table has no rows for layers in three dimensions, which 0, 2 are. Give an oracle" in err


def test_time_from_a_table_and_memory_from_the_compiler(run, tmp_path):
    asked = ("models.networks:Small", "--target", "ethos-u55-256")
    code, out, err = run("shapes", *asked)
    assert code == 0, err
    (tmp_path / "t.csv").write_text(measured(out)[1].replace(",cycles", ",us"))
    oracles = ("--oracle", "csv t.csv", "--memory-oracle", "vela", "--memory-mode", "Sram_Only")
    code, out, err = run("inspect", *asked, *oracles, "--json", "i.json")
    assert code == 0, err
    totals = json.loads((tmp_path / "i.json").read_text())["totals"]
    assert totals["oracle"].startswith("csv, t.csv, a sum over layers; memory by Arm Vela 5.2.0, ethos-u55-256")
    assert "Sram_Only" in totals["oracle"] and totals["peak_sram_bytes"] > 1000
    budgets = ("--budget", "latency=70%", "--budget", "peak_sram_bytes=90%")
    code, out, err = run("prune", *asked, *oracles, *budgets, "--out", "run")
    assert code == 0, err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["oracle"], summary["memory_oracle"]) == ("csv t.csv", "vela")
    assert summary["after"]["peak_sram_bytes"] <= 0.9 * summary["before"]["peak_sram_bytes"]
    assert all(budget["met"] for budget in summary["budgets"])
    before, after = summary["before"], summary["after"]
    assert after["nanoseconds"] < before["nanoseconds"] == round(1e6 * before["milliseconds"])
    assert after["cycles"] is before["npu_cycles"] is after["clock_hz"] is None
    for text in (out, (tmp_path / "run" / "report.html").read_text()):
        assert "Nanoseconds: csv, t.csv" in text and "Nanoseconds are a sum over layers" in text
        assert f"{after['nanoseconds']:,}" in text and not re.search(r"\bcycles\b", text, re.IGNORECASE)
    assert "µs, as bars" in text and "time, of the dense network" in text


def test_the_unit_names_the_last_column(run):
    assert run("shapes", *ASK, "--unit", "us")[1].splitlines()[0].endswith(",ow,us")


def test_an_oracle_of_ones_own_names_all_layers_that_it_lacks():
    def half(asked):
        raise LayersError("half has no row", dict.fromkeys(asked[-1:], "why"), "Add it.")

    with pytest.raises(LayersError, match="half has no row:\n  head: why\nAdd it."):
        plan(small(), X, target="unit:8", budget="cycles=60%", oracle=half)
