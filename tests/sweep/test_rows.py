"""A sweep's folder from anyone: its rows and standings are checked where they are read."""

import io
import json
import os

import pytest
from checks.summaries import summary
from pyarrow import parquet

from padless.progress import Terminal
from padless.sweep.gather import gathered, read_rows, read_scores
from padless.sweep.rows import row_of
from padless.sweep.store import StoreError, open_store
from padless.sweep.table import sweep_table

ID = f"{7:016x}"
ROW = {
    "id": ID, "point": {"model": "m:f", "target": "unit:8", "budget": ["macs=50%"]}, "status": "done", "attempts": 1, "gap": 0.0,
    "before": {**summary().before, "macs": 1000, "accuracy": 90.0}, "after": {**summary().after, "macs": 400, "oracle": "x"},
    "importance_kept": 0.75, "widths": {"a": [32, 16]}, "solver": "optimal", "met": True, "align": "unit", "folder": f"runs/{ID}",
    "seconds": 1.5, "host": "here",
}  # fmt: skip


def put(place, content):
    (place / "points").mkdir(exist_ok=True)
    (place / "points" / f"{ID}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return open_store(str(place))


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"id": f"{8:016x}"}, "it is of another point"),
     ({"id": "../../x"}, "id: String should match pattern"),
     ({"status": "perfect"}, "status: Input should be 'done', 'stopped'"),
     ({"folder": "javascript:alert(1)//"}, "folder: String should match pattern"),  # which the page would lead to
     ({"before": {**summary().before, "macs": "many"}}, "before.macs: Input should be a valid integer"),
     ({"before": {**summary().before, "more": 1}}, "before.more: Extra inputs are not permitted"),
     ({"after": {"macs": 1}}, "after.padded_macs: Field required"),
     ({"after": {**summary().after, "accuracy": float("inf")}}, "after.accuracy: Input should be a finite number"),
     ({"widths": {"a": [32]}}, "widths.a.1: Field required"),
     ({"attempts": -1}, "attempts: Input should be greater than or equal to 0"),
     ({"more": 1}, "more: Unexpected keyword argument"),
     ({"status": "failed"}, "error: it failed, and does not say why"),
     ({"status": "stopped", "stopped": {"epoch": 1}}, "stopped.place: Field required"),
     ({"point": {"model": "m:f", "target": "unit:8", "budget": []}}, "point.budget: it is empty"),
     ({"point": {"model": "m:f", "target": "unit:8", "budget": ["x"]}}, "point.budget: "),
     ({"point": {"model": "m:f", "budget": ["macs=50%"]}}, "target is missing")],
)  # fmt: skip
def test_a_rows_fields_have_bounds(tmp_path, changes, told):
    assert row_of(json.dumps(ROW).encode(), ID) == ROW
    store = put(tmp_path, {**ROW, **changes})
    with pytest.raises(StoreError, match=rf"points/{ID}.json is no row of a sweep \(.*{told}.*\). Remove it"):
        read_rows(store)


@pytest.mark.parametrize("text", ["", "[", "3", '{"id": ' + "[" * 5000])
def test_what_is_no_row_at_all(tmp_path, text):
    with pytest.raises(StoreError, match="is no row of a sweep"):
        read_rows(put(tmp_path, text))


def test_a_row_nested_too_deeply():
    with pytest.raises(ValueError, match="it is nested too deeply"):
        row_of(b"[" * 100_000 + b"]" * 100_000, ID)


def test_what_a_row_does_not_know_is_left_out(tmp_path):
    store = put(tmp_path, {**ROW, "before": None, "after": None, "widths": None, "importance_kept": float("nan")})
    (row,) = gathered(store, csv=True).values()
    assert "before" not in row and "widths" not in row
    shown = io.StringIO()
    Terminal(file=shown).print(sweep_table([row]))
    assert "done" in shown.getvalue()
    page = (tmp_path / "sweep.html").read_text()
    assert "NaN" not in page.partition('id="data">')[2].partition("</script>")[0]


def test_numbers_beyond_a_column_are_text(tmp_path):
    gathered(put(tmp_path, {**ROW, "point": {**ROW["point"], "seed": 10**30}}))
    assert parquet.read_table(tmp_path / "results.parquet").to_pylist()[0]["seed"] == str(10**30)


def test_rows_and_standings_that_never_end_or_are_none(tmp_path):
    (tmp_path / "points").mkdir()
    os.mkfifo(tmp_path / "points" / f"{ID}.json")
    with pytest.raises(StoreError, match=f"{ID}.json cannot be read: .*it is a pipe or a device"):
        read_rows(open_store(str(tmp_path)))
    (tmp_path / "scores").mkdir()
    for name in ("a-²", "a-x", "a-99999999999999"):
        (tmp_path / "scores" / f"{name}.json").write_text("50")
    (tmp_path / "scores" / "a-3.json").write_text("50.5")
    assert list(read_scores(open_store(str(tmp_path)))) == [("a", 3, 50.5)]
    (tmp_path / "scores" / "a-3.json").write_text("fifty")
    with pytest.raises(StoreError, match=r"scores/a-3.json is no standing \(could not convert"):
        list(read_scores(open_store(str(tmp_path))))
