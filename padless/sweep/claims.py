"""Which point is worked on right now, so that two sweeps in one folder do not do it twice."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl

    LOCKS = True
except ImportError:  # a system without record locks: two sweeps then do a point twice, with the same result
    LOCKS = False

FILE = ".claims"
_files: dict[Path, int] = {}  # one descriptor a process: closing any would give up every claim of the process


@contextmanager
def claimed(folder: Path, id: str) -> Iterator[bool]:
    """Whether the point of this id, 16 hex digits, is this process' own inside.

    It is a record lock on one byte of one file, at the offset that the id is: it ends with its process, on this machine and
    on those that share the folder.
    """
    if not LOCKS:
        yield True
        return
    file = _file(folder / FILE)
    place = int(id[:15], 16)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        fcntl.lockf(file, fcntl.LOCK_UN, 1, place)


def _file(path: Path) -> int:
    path = path.absolute()
    if path not in _files:
        _files[path] = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    return _files[path]
