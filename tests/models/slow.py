"""Networks that take their time, or end the worker that builds them: what a sweep must survive."""

import os
import signal
import sys
import time
from pathlib import Path

from models.networks import Small

IN_WORKER = Path(sys.argv[0]).name in ("serve.py", "default_worker.py")  # of this machine, of Ray


def slow():
    """A second to build, in a worker."""
    if IN_WORKER:
        time.sleep(1)
    return Small()


def once_deadly():
    """Ends the first worker that builds it."""
    if IN_WORKER and not Path("died").exists():
        Path("died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return Small()


def deadly():
    """Ends every worker that builds it, unless there is a file `spared`."""
    if IN_WORKER and not Path("spared").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return Small()


def failing():
    """Cannot be built in a worker."""
    if IN_WORKER:
        raise ValueError("no such weights\nhere")
    return Small()


_calls = 0


def tiring(samples, generator):
    """An augmentation that ends its worker at the fifteenth batch, once."""
    global _calls
    _calls += 1
    if IN_WORKER and _calls == 15 and not Path("died").exists():
        Path("died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return samples
