"""Answers of oracles, kept on disk between runs: one SQLite table of JSON, which nothing has to unpickle.

A key is a hash of everything that changes the answer. A row is its format, a checksum of key and answer, and the answer: one
that is of another format, or was changed since, is as good as not there. The file lies in the user's cache folder, or in the
folder that the environment variable PADLESS_CACHE names; an empty PADLESS_CACHE keeps nothing.
"""

import hashlib
import json
import sqlite3
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from padless.files import cache_folder

FILE = "costs.sqlite"
AT_ONCE = 500  # keys in one query
FORMAT = 2  # of the rows

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
        folder = folder or cache_folder()
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
        rows = [(key, _row(key, json.dumps(value))) for key, value in values.items()]
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
            self._database.text_factory = bytes  # a damaged letter may be none
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
    rows: list[tuple[Any, Any]] = []
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        marks = ",".join("?" * len(some))
        rows += database.execute(f"SELECT key, value FROM answers WHERE key IN ({marks})", some)
    if not {key for key, _ in rows} <= {key.encode() for key in keys}:
        # A file that was copied without its write-ahead log still opens.
        raise sqlite3.DatabaseError("rows out of place")
    return dict(_sound(rows))


def _read_all(database: sqlite3.Connection) -> dict[str, Any]:
    return dict(_sound(database.execute("SELECT key, value FROM answers ORDER BY key")))


def _row(key: str, answer: str) -> str:
    return f"{FORMAT} {zlib.crc32(f'{key}{answer}'.encode()):08x} {answer}"


def _sound(rows: Iterable[tuple[Any, Any]]) -> Iterator[tuple[str, Any]]:
    """Keys and answers of the rows that are as this version wrote them."""
    size = len(_row("", ""))
    for key, row in rows:
        if isinstance(key, bytes) and isinstance(row, bytes):
            head, answer = row[:size], row[size:]
            if head == b"%d %08x " % (FORMAT, zlib.crc32(key + answer)):
                yield key.decode(), json.loads(answer)


def _write(database: sqlite3.Connection, rows: list[tuple[str, str]]) -> None:
    with database:
        database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", rows)
