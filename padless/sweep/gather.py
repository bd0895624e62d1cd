"""The rows of a sweep as one table."""

import csv as csv_files
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from padless.sweep.page import sweep_page
from padless.sweep.rows import Row, row_of
from padless.sweep.store import Store, StoreError

TABLE, TEXT, PAGE = "results.parquet", "results.csv", "sweep.html"
FOLDER, SCORES = "points", "scores"
NUMBER = re.compile("[0-9]{1,9}")


def read_rows(store: Store, wanted: Iterable[str] | None = None) -> dict[str, Row]:
    """The rows that are there, by their ids. Raises StoreError for a file that is none."""
    names = {name.removesuffix(".json") for name in store.names(FOLDER) if name.endswith(".json")}
    rows = {}
    for id in sorted(names) if wanted is None else [id for id in wanted if id in names]:
        content = store.read(f"{FOLDER}/{id}.json")
        if content is None:  # removed a moment ago
            continue
        try:
            rows[id] = row_of(content, id)
        except ValueError as error:
            raise StoreError(f"{store.where}/{FOLDER}/{id}.json is no row of a sweep ({error}). Remove it.") from error
    return rows


def write_score(store: Store, id: str, epoch: int, score: float) -> None:
    """Keep how a point stood after an epoch (`halving`)."""
    store.write(f"{SCORES}/{id}-{epoch}.json", json.dumps(score).encode())


def read_scores(store: Store) -> Iterator[tuple[str, int, float]]:
    """Every point's standing that was kept: its id, the epoch, percent. Raises StoreError for a file that is none."""
    for name in store.names(SCORES):
        id, _, epoch = name.removesuffix(".json").rpartition("-")
        content = store.read(f"{SCORES}/{name}")
        if content is None or not NUMBER.fullmatch(epoch):
            continue
        try:
            score = float(content)
        except ValueError as error:
            raise StoreError(f"{store.where}/{SCORES}/{name} is no standing ({error}). Remove it.") from error
        yield id, int(epoch), score


def gathered(store: Store, *, csv: bool = False) -> dict[str, Row]:
    """Write the table and the page of all rows that are there, and return the rows."""
    rows = read_rows(store)
    flat = [flattened(row) for row in rows.values()]
    table = _parquet(flat)
    if table is not None:
        store.write(TABLE, table)
    if csv or table is None:
        store.write(TEXT, _csv(flat))
    store.write(PAGE, sweep_page(list(rows.values())).encode())
    return rows


def flattened(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without nesting: the point's options, then what was measured, as `before_cycles` and `after_cycles`."""
    point = dict(row["point"])
    tuned = point.pop("finetune", None) or {}
    flat = {"id": row["id"], "status": row["status"]}
    flat |= {name: " ".join(map(str, value)) if isinstance(value, list) else value for name, value in point.items()}
    flat |= {f"finetune.{name}": value for name, value in tuned.items()}
    for name, value in row.items():
        if name in ("before", "after"):
            flat |= {f"{name}_{quantity}": number for quantity, number in value.items()}
        elif name not in ("id", "status", "point", "widths"):
            flat[name] = value
    return flat


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """One list a column, of one type each."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _alike([row.get(name) for row in rows]) for name in names}


def _alike(values: list[Any]) -> list[Any]:
    kinds = {type(value) for value in values if value is not None}
    large = int in kinds and any(isinstance(value, int) and abs(value) >= 1 << 63 for value in values)
    if len(kinds) <= 1 and not large:
        return values
    make = float if kinds <= {int, float} and not large else str
    return [None if value is None else make(value) for value in values]


def _parquet(rows: list[dict[str, Any]]) -> bytes | None:
    """None where pyarrow is not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return None
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table(_columns(rows)), stream)
    return stream.getvalue()


def _csv(rows: list[dict[str, Any]]) -> bytes:
    columns = _columns(rows)
    text = io.StringIO()
    writer = csv_files.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()
