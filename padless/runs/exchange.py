"""A folder is exchanged as a whole, by one writer at a time; what a kill leaves is mended at the next start.

The new folder is made beside the old one, under a name that nobody can foresee, and then takes its place in one step of the
file system, where it has one. Where not, the old one moves into the scratch first: a scratch that holds `old` is the journal
of an exchange that was stopped, and the next start ends it.
"""

import ctypes
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from padless.errors import UsageError
from padless.files import NO_LINK, is_unfinished, take, unfinished

_held: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())  # the folders that this task writes
HELPERS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")  # not 0 in processes that help another, which holds the lock for all
AT_FDCWD, RENAME_EXCHANGE = -100, 2


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Inside, nobody else writes `folder`, and nothing of a killed run is left beside it. The lock dies with the process.

    Raises UsageError where another run writes it.
    """
    place = folder.resolve()
    if place in _held.get() or any(os.environ.get(name, "0") != "0" for name in HELPERS):
        yield
        return
    made = [parent for parent in place.parents if not parent.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _locked(place):
            mend(place)
            token = _held.set(_held.get() | {place})
            try:
                yield
            finally:
                _held.reset(token)
    finally:
        for parent in made:
            with suppress(OSError):  # it holds something now
                parent.rmdir()


@contextmanager
def renewed(folder: Path, *, keep: bool = False) -> Iterator[Path]:
    """A new folder to be filled, which takes the place of `folder` at the end; it starts with the old files if `keep`.

    `folder` stays as it is where something fails. It is to be claimed.
    """
    place = folder.resolve()
    scratch = unfinished(place)
    scratch.mkdir(0o700)
    try:
        new = scratch / "new"
        new.mkdir()
        if place.exists():
            shutil.copymode(place, new)
        if keep:
            for file in place.iterdir():
                _linked(file, new / file.name)
        yield new
        _sync(new)
        _exchange(new, place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def mend(folder: Path) -> None:
    """End an exchange that was stopped, and remove what else a killed run left. `folder` is to be claimed."""
    for scratch in [path for path in folder.parent.iterdir() if is_unfinished(path, folder)]:
        if (
            scratch.is_symlink()
            or not scratch.is_dir()
            or (hasattr(os, "getuid") and scratch.stat().st_uid != os.getuid())
        ):
            continue  # none of ours
        if (scratch / "old").is_dir() and not folder.exists():
            (scratch / "new").rename(folder)  # it was whole, on disk, before the old one was moved
            _sync_names(folder.parent)
        shutil.rmtree(scratch, ignore_errors=True)
    if folder.is_dir():
        for left in [path for path in folder.iterdir() if is_unfinished(path)]:
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink()


def mended(folder: Path) -> Path:
    """`folder`, which is to be read: where a kill came between two steps of its exchange, that is ended first, and swept."""
    place = folder.resolve()
    with suppress(UsageError, OSError):  # who writes it now will do that
        if any(path == _lock_of(place) or is_unfinished(path, place) for path in place.parent.iterdir()):
            with claimed(place):
                pass
    return folder


def _lock_of(place: Path) -> Path:
    return place.with_name(f".{place.name}.lock")


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    lock = _lock_of(place)
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | NO_LINK, 0o666)
        except OSError as error:
            raise UsageError(f"{place} cannot be locked: {lock} cannot be opened ({error.strerror}).") from error
        if take(descriptor) is False:
            with os.fdopen(descriptor) as other:
                who = other.read(32).strip()
            raise UsageError(
                f"Another run (process {who or 'unknown'}) writes {place}. Wait for it, or give another folder."
            )
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.lstat(lock)):
                break
        os.close(descriptor)  # its holder had just removed it
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        lock.unlink(missing_ok=True)  # before it is free, so that nobody waits for a file that is gone
        os.close(descriptor)


def _exchange(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`, which `new`'s scratch then holds."""
    if folder.exists() and not _at_once(new, folder):
        old = new.with_name("old")
        folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            old.rename(folder)
            raise
    elif not folder.exists():
        new.rename(folder)
    _sync_names(new.parent)
    _sync_names(folder.parent)


def _at_once(new: Path, folder: Path) -> bool:
    """Exchange two folders' names in one step, as Linux can (renameat2); False where it, or the file system, cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    if rename(AT_FDCWD, os.fsencode(new), AT_FDCWD, os.fsencode(folder), RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(folder))


def _linked(file: Path, other: Path) -> None:
    """The same file in another folder, without a copy where that can be: files are replaced and never written into."""
    try:
        os.link(file, other, follow_symlinks=False)
    except OSError:
        shutil.copy2(file, other, follow_symlinks=False)


def _sync(folder: Path) -> None:
    """Everything in it is on disk: a loss of power after the exchange must not leave empty files."""
    for file in folder.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    _sync_names(folder)


def _sync_names(folder: Path) -> None:
    with suppress(OSError):  # not every system opens folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
