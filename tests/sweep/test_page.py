"""The page and the table of a sweep."""

import json
import re

from rich.console import Console

from padless.sweep.gather import flattened
from padless.sweep.page import KEPT, SHARE, sweep_page
from padless.sweep.table import counted, sweep_table


def row(number, status="done", **point):
    given = {"model": "m:f", "target": "unit:8", "budget": ["macs=50%"], "seed": number, **point}
    done = {
        "before": {"macs": 1000, "accuracy": 90.0, "cycles": None}, "importance_kept": 0.75, "folder": f"runs/{number}",
        "after": {"macs": 400 + number, "accuracy": 88.5, "cycles": None}, "widths": {"a": [32, 16], "b": [8, 8]}, "gap": 0.0,
    }  # fmt: skip
    return {
        "id": f"{number:016x}",
        "point": given,
        "status": status,
        **(done if status == "done" else {"error": "no <b>way</b>"}),
    }


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])


def test_the_page_holds_every_point_and_no_markup_of_theirs():
    hostile = "</script><script>alert(1)</script>:f"
    page = sweep_page([row(1), row(2, "infeasible"), row(3, model=hostile)])
    assert page.count("<script") == 2 and "alert(1)" in page and "</script><script>alert" not in page
    assert not re.search(r"""(src|href)=["']?https?:""", page)
    data = data_of(page)
    assert data["counts"] == "3 points: 2 done, 1 infeasible."
    assert data["options"] == ["model", "seed"]
    assert data["quantities"] == [SHARE, "macs"] and data["qualities"] == ["accuracy", KEPT]
    first = next(each for each in data["rows"] if each["options"]["seed"] == "1")
    assert first["numbers"] == {SHARE: 40.1, "macs": 401, "accuracy": 88.5, KEPT: 75.0}
    assert first["report"] == "runs/1/report.html" and first["widths"] == "a: 32 → 16"
    assert first["command"].startswith("padless prune m:f --target unit:8 --budget macs=50% --seed 1 --out runs/")
    assert {each["error"] for each in data["rows"]} == {None, "no <b>way</b>"}


def test_a_page_of_nothing():
    assert data_of(sweep_page([]))["rows"] == []


def test_the_table_shows_what_differs():
    console = Console(width=200, record=True)
    console.print(sweep_table([row(0), row(1, "failed", seed=1)]))
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert lines[:3] == [
        "seed status cost, % of dense importance kept, % accuracy, %", "0 done 40.0 75.00 88.50 (dense 90.00)", "1 failed",
    ]  # fmt: skip
    console.print(sweep_table([row(n) for n in range(50)]))
    assert "and 10 more, in sweep.html and results.parquet" in console.export_text()
    assert counted([row(0), row(1, "failed")]) == "2 points: 1 done, 1 failed."


def test_a_flat_row():
    flat = flattened(row(1, finetune={"epochs": 3}))
    assert flat["budget"] == "macs=50%" and flat["finetune.epochs"] == 3 and flat["after_macs"] == 401
    assert "widths" not in flat and "before" not in flat
