"""A folder's seal: that this user has given the names in it, in this current folder. Then they need not be repeated.

It is a HMAC over the names and the current folder, by a secret of the user's that never leaves this machine. The names say
what is run or read, and the current folder what they mean: modules and relative files are found there. So a seal that a
stranger puts beside other names, or that is seen from another folder, says nothing; beside the same names in the same folder
it says what the user has already asked for there.
"""

import hmac
import json
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from platformdirs import user_state_path

from padless.files import NO_LINK, regular, write_atomically
from padless.report.summary import Summary

FILE, LENGTH = "seal", 64  # hex digits
SECRET = 32  # bytes


def seal(summary: Summary) -> str | None:
    """The seal of what a run of this user's names; None where the user can have no secret, or others write here, too."""
    return _mark(summary, _secret() or _new_secret())


def sealed(folder: Path, summary: Summary) -> bool:
    """Whether this user's commands have sealed these names, in this current folder."""
    mark = _mark(summary, _secret())
    if mark is None:
        return False
    try:
        there = regular(folder / FILE, LENGTH).read_bytes()
    except OSError:
        return False
    return hmac.compare_digest(there, mark.encode())


def _mark(summary: Summary, secret: bytes | None) -> str | None:
    if secret is None:
        return None
    try:
        here, about = os.getcwd(), Path().stat()
    except OSError:  # the current folder is gone
        return None
    if about.st_uid != os.geteuid() or about.st_mode & stat.S_IWOTH:
        return None
    names = [summary.model, summary.target, summary.oracle, summary.memory_oracle, summary.data]
    return hmac.digest(secret, json.dumps([here, *names]).encode(), "sha256").hex()


def _place() -> Path:
    return user_state_path("padless") / "secret"


def _secret() -> bytes | None:
    """The user's secret, if it is the user's alone."""
    if not hasattr(os, "geteuid"):
        return None
    try:
        descriptor = os.open(_place(), os.O_RDONLY | os.O_NONBLOCK | NO_LINK)
    except OSError:
        return None
    try:
        about = os.fstat(descriptor)
        own = stat.S_ISREG(about.st_mode) and about.st_uid == os.geteuid() and not about.st_mode & 0o077
        secret = os.read(descriptor, SECRET + 1) if own else b""
        return secret if len(secret) == SECRET else None
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _new_secret() -> bytes | None:
    """A secret where there is none yet. One that others can read stays as it is, and is not used."""
    place = _place()
    with suppress(OSError):
        if hasattr(os, "geteuid") and not os.path.lexists(place):
            place.parent.mkdir(0o700, parents=True, exist_ok=True)
            write_atomically(place, secrets.token_bytes(SECRET), 0o600)
    return _secret()  # of two processes that make one at once the last one's counts
