"""The command line: one subcommand a stage."""

import os
import sys

from padless.cli.app import app, out
from padless.errors import PadlessError
from padless.progress import Terminal

STOPPED = 130  # the code of a Ctrl-C


def main() -> None:
    """Run the command line; known failures become one message and an exit code.

    What was printed may be lost, on a full disk: the work is done all the same, and the code is 1.
    """
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")  # a terminal that cannot show a sign shows another
    out.quiet, out.lost = False, None
    code = _code()
    if code == STOPPED:
        _say("Stopped.")
    if lost := out.lost or _unflushed():
        _say(f"Error: the output could not be written: {lost.strerror}. Files were written as the command says.")
        code = code or 1
    sys.exit(code)


def _code() -> int:
    try:
        app()
    except PadlessError as error:
        _say(f"Error: {error}")
        return error.exit_code
    except OSError as error:  # a full disk, a folder that may not be written
        _say(f"Error: {error}")
        return 1
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0


def _say(message: str) -> None:
    Terminal(stderr=True, soft_wrap=True).print(message)


def _unflushed() -> OSError | None:
    """Why the rest of the output cannot be written. Then nothing more is tried while the interpreter ends."""
    lost = None
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream and not stream.closed:
                stream.flush()
        except OSError as error:
            lost = None if isinstance(error, BrokenPipeError) else error
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return lost
