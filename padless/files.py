"""Files that are whole or not there, and what tells contents apart."""

import errno
import hashlib
import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Collection
from contextlib import suppress
from functools import cache
from pathlib import Path

from platformdirs import user_cache_path

from padless.errors import UsageError

if sys.platform != "win32":
    import fcntl

CACHE = "PADLESS_CACHE"  # names the folder of what is kept between runs
MARK = ".padless-"
UNFINISHED = re.compile(r"\.(.*)\.padless-[0-9a-f]{16}")  # what a file or folder is called while it is made
LONGEST = 128  # characters of its name in that
NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def cache_folder() -> Path | None:
    """Where answers are kept between runs: the user's cache folder, or the one that PADLESS_CACHE names; empty: nowhere."""
    named = os.environ.get(CACHE)
    return user_cache_path("padless") if named is None else Path(named) if named else None


def write_atomically(path: Path, content: str | bytes, mode: int = 0o666) -> None:
    """Write a file beside its place and move it there, so that no reader sees half of it; `mode` as of os.open.

    What an earlier writer left beside it, being killed, is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = memoryview(content.encode() if isinstance(content, str) else content)
    sweep(path)
    scratch, descriptor = _opened(path, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # before its name: a loss of power must not leave an empty file there
            scratch.replace(path)  # while it is locked
    finally:
        scratch.unlink(missing_ok=True)


def write_json(path: Path, data: object, indent: int | None = 1) -> None:
    """Write `data` as JSON with a newline at its end, whole or not at all. Raises TypeError for what JSON cannot hold."""
    write_atomically(path, json.dumps(data, indent=indent) + "\n")


def digest_of_file(path: Path) -> str:
    """16 hex digits (the first of SHA-256) of a file's content, of any size. Raises OSError for what is no file."""
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def regular(path: Path, most: int | None = None) -> Path:
    """`path`, if it is a file of its own, of `most` bytes: a pipe or a device may never end.

    Raises OSError, with the reason, where it is not.
    """
    try:
        about = path.stat()
    except ValueError as error:  # a name with a zero byte in it
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is a folder" if path.is_dir() else "it is a pipe or a device", str(path))
    if most is not None and about.st_size > most:
        raise OSError(errno.EFBIG, f"it has {about.st_size:,} bytes, and {most:,} are read at most", str(path))
    return path


def check_output(path: Path | None, endings: Collection[str] = ()) -> None:
    """Raises UsageError, before work is done, where a file cannot be written at `path`, or has none of these endings."""
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Give the name of a file.")
    parent = next(parent for parent in path.absolute().parents if parent.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise UsageError(f"{path} cannot be written: {parent} is no folder that you may write to.")
    if endings and path.suffix and path.suffix.lstrip(".").lower() not in endings:
        raise UsageError(f"{path} ends in {path.suffix}; expected {', '.join(endings)}.")


def unfinished(path: Path) -> Path:
    """A name beside `path` that nobody can foresee, for what is to be moved there."""
    return path.with_name(f".{path.name[:LONGEST]}{MARK}{secrets.token_hex(8)}")


def is_unfinished(path: Path, of: Path | None = None) -> bool:
    """Whether it is such a name, of `of` or of any file."""
    found = UNFINISHED.fullmatch(path.name)
    return found is not None and (of is None or found[1] == of.name[:LONGEST])


def take(descriptor: int) -> bool | None:
    """Lock an open file until it is closed or this process ends; False where another has it, None where none can."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return None
    return True


def sweep(path: Path) -> None:
    """Remove the unfinished files of `path` whose writers are gone, as their locks say."""
    for left in list(path.parent.iterdir()):
        if is_unfinished(left, path) and left.is_file():
            with suppress(OSError):  # someone else's
                descriptor = os.open(left, os.O_RDONLY | NO_LINK)
                try:
                    if take(descriptor):
                        left.unlink()
                finally:
                    os.close(descriptor)


def _opened(path: Path, mode: int) -> tuple[Path, int]:
    """A new, locked file beside `path`: its name follows no link and stands in for no file."""
    while True:
        scratch = unfinished(path)
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_LINK, mode)
        if take(descriptor) is not False and os.fstat(descriptor).st_nlink:
            return scratch, descriptor
        os.close(descriptor)  # another writer swept it before it was locked


@cache
def digest_of_code(*places: str) -> str:
    """A hash of parts of this package, files or rooms such as `calls.py` and `graph`: of answers that they change."""
    found = [Path(__file__).parent / place for place in places]
    return digest(
        *(f.read_bytes() for place in found for f in (sorted(place.glob("*.py")) if place.is_dir() else [place]))
    )


def digest(*parts: bytes | memoryview) -> str:
    """16 hex digits (the first of SHA-256) of the parts joined: where one ends and the next begins makes no difference."""
    state = hashlib.sha256()
    for part in parts:
        state.update(part)
    return state.hexdigest()[:16]
