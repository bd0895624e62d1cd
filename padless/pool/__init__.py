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
from collections.abc import Callable, Iterator, Mapping, Sequence
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
_most = CORES


def limit_workers(count: int) -> None:
    """Let pools that are opened from now on have at most `count` workers: where several jobs share the machine."""
    global _most
    _most = count


class Pool:
    """As many workers as there are cores, or `limit_workers` allows, started when needed. Use it in a `with`, or `close` it.

    A worker that ends in the middle of a request is replaced and the request is sent once more, since whatever killed
    it (a full memory, a user) may have had nothing to do with the request. The second time it is a `failure`. Each worker
    is killed with all that it started.
    """

    def __init__(
        self,
        script: Path,
        name: str,
        *,
        workers: int | None = None,
        timeout: float | None = None,
        failure: type[PadlessError] = OracleError,
    ) -> None:
        self.name, self._script, self._failure = name, script, failure
        self._timeout = patience.get() if timeout is None else timeout
        self._ended = False  # no worker is started any more
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._workers = [Worker(script) for _ in range(workers or _most)]
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


class Worker:
    """One process, started when it is asked and again when it is gone. `environment` is added to this process' own."""

    def __init__(self, script: Path, environment: Mapping[str, str] | None = None) -> None:
        self._script, self._environment = script, environment
        self.process: subprocess.Popen[bytes] | None = None
        self._printed: IO[bytes] | None = None

    def ask(self, request: Request, timeout: float | None) -> bytes:
        """The line that answers; empty when the process ended, or had to be ended after `timeout` seconds."""
        process = self._start()
        assert process.stdin
        assert process.stdout
        header, payload = request
        watchdog = None
        if timeout is not None:
            watchdog = threading.Timer(timeout, end, [process])  # waiting on a pipe has no time limit on every system
            watchdog.start()
        try:
            process.stdin.write(json.dumps({**header, "bytes": len(payload)}).encode() + b"\n" + payload)
            process.stdin.flush()
            return process.stdout.readline()
        except OSError:
            return b""
        finally:
            if watchdog:
                watchdog.cancel()

    def last_words(self) -> str:
        """The last line that the process printed, in brackets."""
        if self._printed is None:
            return ""
        lines = last_of(self._printed).strip().splitlines()
        return f" ({lines[-1]})" if lines else ""

    def kill(self) -> None:
        """End the process, from another thread than the one that asks: its answer is then empty."""
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
                env={**os.environ, **self._environment} if self._environment else None,
                start_new_session=sys.platform != "win32",
            )
        return self.process
