"""A program of someone else's, run once: without input, in limited time, its output limited; what it starts ends too."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

PRINTED = 1 << 26  # bytes that a program may print before it is stopped
KEPT = 1 << 16  # bytes of them, the last ones, that are looked at
STEP = 0.2  # seconds between two looks at how much it has printed


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a program ended: its code, and the last of what it printed. `stopped` is why it did not end by itself."""

    code: int
    out: str
    err: str
    stopped: str = ""


def run_program(words: Sequence[str], timeout: float) -> Ran:
    """Run a program and wait for it, not for what it leaves behind. Raises OSError where it cannot be started."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:  # files: a pipe would wait for every child
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=sys.platform != "win32"
        )
        until, stopped = time.monotonic() + timeout, ""
        try:
            while not stopped:
                try:
                    process.wait(max(0.0, min(STEP, until - time.monotonic())))
                    break
                except subprocess.TimeoutExpired:
                    if time.monotonic() >= until:
                        stopped = f"took more than {timeout:g} s"
                    elif os.fstat(out.fileno()).st_size + os.fstat(err.fileno()).st_size > PRINTED:
                        stopped = f"printed more than {PRINTED:,} bytes"
        finally:
            end(process)
        return Ran(code=process.returncode, out=last_of(out), err=last_of(err), stopped=stopped)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and all that it started, in so far as they stayed in its group."""
    try:
        if sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # gone already, as a group
        pass
    process.kill()
    process.wait()


def last_of(file: IO[bytes]) -> str:
    """The end of what a program printed, whatever its encoding."""
    file.seek(max(0, os.fstat(file.fileno()).st_size - KEPT))
    return file.read(KEPT).decode("utf-8", errors="replace")
