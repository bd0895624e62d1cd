"""Answers of oracles, kept on disk between runs: one SQLite table of JSON, which nothing has to unpickle.

A key is a hash of everything that changes the answer. The file lies in the user's cache folder, or in the folder that the
environment variable PADLESS_CACHE names; an empty PADLESS_CACHE keeps nothing.
"""

import hashlib
import json
import os
import sqlite3
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

VARIABLE = "PADLESS_CACHE"
FILE = "costs.sqlite"
AT_ONCE = 500  # keys in one query
FORMAT = 1  # of the rows: others are as good as not there

# Of this process: answers that another machine handed to it, and those that it found while somebody wants to know of them.
_handed: dict[str, Any] = {}
_found: list[dict[str, Any]] = []


def hand_over(values: Mapping[str, Any]) -> None:
    """Let every cache of this process know these answers, on disk or not."""
    _handed.update(values)


@contextmanager
def recorded() -> Iterator[dict[str, Any]]:
    """The answers that are put into any cache of this process inside, as they come."""
    found: dict[str, Any] = {}
    _found.append(found)
    try:
        yield found
    finally:
        _found[:] = [other for other in _found if other is not found]


class Cache:
    """A mapping from keys to JSON values that survives its own corruption: it starts anew, with a warning."""

    def __init__(self, folder: Path | None = None) -> None:
        named = os.environ.get(VARIABLE)
        folder = folder or (Path(named) if named else user_cache_path("padless") if named is None else None)
        self.file = folder / FILE if folder else None
        self._database: sqlite3.Connection | None = None

    def get(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values of those keys that are there."""
        wanted = list(keys)
        handed = {key: _handed[key] for key in wanted if key in _handed}
        others = [key for key in wanted if key not in handed]
        return {**handed, **(self._guarded(lambda database: _read(database, others)) or {})}

    def put(self, values: Mapping[str, Any]) -> None:
        """Keep these values, all or none of them."""
        for found in _found:
            found.update(values)
        rows = [(key, json.dumps([FORMAT, value])) for key, value in values.items()]
        self._guarded(lambda database: _write(database, rows))

    def all(self) -> dict[str, Any]:
        """Every answer that is kept."""
        return self._guarded(_read_all) or {}

    def close(self) -> None:
        if self._database:
            self._database.close()
            self._database = None

    def _guarded(self, action: Any) -> Any:
        """Run `action` on the database, on a new one where the file is broken, on none where it cannot be had."""
        if self.file is None:
            return None
        try:
            return action(self._open(self.file))
        except sqlite3.OperationalError as error:  # locked for long, read-only, a full disk
            self._without(f"The cost cache {self.file} cannot be used: {error}. Costs are asked anew.")
        except (sqlite3.DatabaseError, ValueError) as error:
            self.close()
            warnings.warn(f"The cost cache {self.file} was damaged ({error}) and is built anew.", stacklevel=4)
            for name in (self.file.name, f"{self.file.name}-wal", f"{self.file.name}-shm"):
                self.file.with_name(name).unlink(missing_ok=True)
            return action(self._open(self.file))
        except OSError as error:
            self._without(f"The cost cache {self.file} cannot be used: {error.strerror}. Costs are asked anew.")
        return None

    def _without(self, why: str) -> None:
        self.close()
        self.file = None
        warnings.warn(why, stacklevel=5)

    def _open(self, file: Path) -> sqlite3.Connection:
        if self._database is None:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(file, timeout=30)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID"
            )
        return self._database


def key_of(*parts: Any) -> str:
    """A hash of JSON data."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _read(database: sqlite3.Connection, keys: list[str]) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        marks = ",".join("?" * len(some))
        for key, value in database.execute(f"SELECT key, value FROM answers WHERE key IN ({marks})", some):
            rows[key] = json.loads(value)
    if not rows.keys() <= set(keys):  # a file copied without its write-ahead log still opens
        raise sqlite3.DatabaseError("rows out of place")
    return _ours(rows.items())


def _read_all(database: sqlite3.Connection) -> dict[str, Any]:
    rows = database.execute("SELECT key, value FROM answers ORDER BY key")
    return _ours((key, json.loads(value)) for key, value in rows)


def _ours(rows: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The values of rows that this version wrote."""
    ours = {key: row for key, row in rows if isinstance(row, list) and len(row) == 2 and row[0] == FORMAT}
    return {key: value for key, (_, value) in ours.items()}


def _write(database: sqlite3.Connection, rows: list[tuple[str, str]]) -> None:
    with database:
        database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", rows)
