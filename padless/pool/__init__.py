"""Worker processes for what may crash, block or print: compilers, simulators, interpreters of files.

`serve.py` runs in each of them, with a script (in a folder `workers` of its room) that knows the compiler.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

from padless.errors import OracleError, PadlessError
from padless.pool.command import end, last_of

SERVE = Path(__file__).parent / "serve.py"
Reply = dict[str, Any]
Request = tuple[dict[str, Any], bytes]
# Seconds that an oracle may take for one question.
patience: ContextVar[float] = ContextVar("patience", default=600.0)
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Pool:
    """As many workers as there are cores, started when they are needed. Use it in a `with`, or `close` it.

    A worker that ends in the middle of a request is replaced and the request is sent once more, since whatever killed
    it (a full memory, a user) may have had nothing to do with the request. The second time it is a `failure`. Each worker
    is killed with all that it started.
    """

    def __init__(
        self,
        script: Path,
        name: str,
        *,
        workers: int = CORES,
        timeout: float | None = None,
        failure: type[PadlessError] = OracleError,
    ) -> None:
        self.name, self._script, self._failure = name, script, failure
        self._timeout = patience.get() if timeout is None else timeout
        self._ended = False  # no worker is started any more
        self._free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._workers = [_Worker(script) for _ in range(workers)]
        for worker in self._workers:
            self._free.put(worker)

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        self._ended = True
        for worker in self._workers:
            worker.stop()

    def ask(self, request: Request, what: str) -> Reply:
        """One reply. Raises `failure`, naming `what`, when the worker crashes twice or takes too long."""
        worker = self._free.get()
        try:
            for _ in range(2):
                if self._ended:
                    raise self._failure(f"{self.name} was ended before it answered for {what}.")
                started = time.monotonic()
                if reply := worker.ask(request, self._timeout):
                    return dict(json.loads(reply))
                last_words = worker.last_words()
                worker.stop()
                if time.monotonic() - started >= self._timeout:
                    raise self._failure(f"{self.name} took more than {self._timeout:g} s for {what}; it was stopped.")
            raise self._failure(f"{self.name} crashed on {what}{last_words}.")
        finally:
            self._free.put(worker)

    def map(self, make: Callable[[Any], Request], items: Sequence[Any], what: Callable[[Any], str]) -> Iterator[Reply]:
        """The replies in the order of the items, as they come. Requests are made when a worker is free."""
        if len(items) == 1:
            yield self.ask(make(items[0]), what(items[0]))
            return
        with ThreadPoolExecutor(len(self._workers)) as threads:
            futures = [threads.submit(self._one, make, item, what) for item in items]
            try:
                for future in futures:
                    yield future.result()
            except KeyboardInterrupt:  # workers do not hear of it, and may need minutes for what they are at
                self._ended = True
                for worker in self._workers:
                    worker.kill()
                raise
            finally:
                threads.shutdown(cancel_futures=True)

    def _one(self, make: Callable[[Any], Request], item: Any, what: Callable[[Any], str]) -> Reply:
        return self.ask(make(item), what(item))


class _Worker:
    """One process, restarted when it is gone."""

    def __init__(self, script: Path) -> None:
        self._script = script
        self.process: subprocess.Popen[bytes] | None = None
        self._printed: IO[bytes] | None = None

    def ask(self, request: Request, timeout: float) -> bytes:
        """The line that answers; empty when the process ended, or had to be ended after `timeout` seconds."""
        process = self._start()
        assert process.stdin
        assert process.stdout
        header, payload = request
        watchdog = threading.Timer(timeout, end, [process])  # waiting on a pipe has no time limit on every system
        watchdog.start()
        try:
            process.stdin.write(json.dumps({**header, "bytes": len(payload)}).encode() + b"\n" + payload)
            process.stdin.flush()
            return process.stdout.readline()
        except OSError:
            return b""
        finally:
            watchdog.cancel()

    def last_words(self) -> str:
        """The last line that the process printed, in brackets."""
        if self._printed is None:
            return ""
        lines = last_of(self._printed).strip().splitlines()
        return f" ({lines[-1]})" if lines else ""

    def kill(self) -> None:
        """End the process; whoever waits for its answer gets none."""
        if process := self.process:
            end(process)

    def stop(self) -> None:
        if self.process:
            end(self.process)
            for stream in (self.process.stdin, self.process.stdout):
                with suppress(OSError):  # a request that it did not read
                    if stream:
                        stream.close()
            self.process = None
        if self._printed:
            self._printed.close()
            self._printed = None

    def _start(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            self.stop()
            self._printed = tempfile.TemporaryFile()  # noqa: SIM115  (`stop` closes it)
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(SERVE), str(self._script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._printed,
                start_new_session=sys.platform != "win32",
            )
        return self.process
