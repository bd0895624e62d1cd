"""Tasks on this machine: long-lived processes, one task each at a time. Nothing has to be installed for it."""

import json
import os
import queue
import tempfile
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from padless.errors import UsageError
from padless.pool import CORES, Worker
from padless.sweep.runner import Ended, Task

SCRIPT = Path(__file__).parent / "workers" / "do.py"
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class LocalRunner:
    """`jobs` processes, each with `cpus` threads and `gpus` graphics processors of this machine.

    Without `jobs` there are as many as its CPUs, its graphics processors and, at `memory` bytes each, its memory allow. A
    task goes to a worker that did one of its group last, if one is free. Raises UsageError for counts that this machine
    does not have.
    """

    def __init__(self, jobs: int | None = None, *, cpus: int = 1, gpus: int = 0, memory: int = 0) -> None:
        if cpus < 1:
            raise UsageError(f"A point takes 1 CPU or more; got {cpus}.")
        if jobs is not None and jobs < 1:
            raise UsageError(f"--jobs is 1 or more; got {jobs}.")
        devices = _devices(gpus)
        at_once = len(devices) // gpus if gpus else CORES
        if memory > (total := _memory()):
            raise UsageError(f"A point asks for {memory:,} bytes of memory; this machine has {total:,}.")
        self._jobs = jobs or max(1, min(CORES // cpus, at_once, total // memory if memory else at_once))
        if gpus and self._jobs > at_once:
            raise UsageError(f"{self._jobs} jobs of {gpus} GPU(s) do not fit the {len(devices)} of this machine.")
        self._cpus = cpus
        self._waiting: deque[Task] = deque()
        self._news: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._closed = False
        self._folder = tempfile.TemporaryDirectory(prefix="padless-sweep-")
        self._workers = [
            Worker(SCRIPT, _environment(cpus, devices[n * gpus : (n + 1) * gpus] if gpus else None))
            for n in range(self._jobs)
        ]
        self._last: dict[int, str] = {}  # the group of each worker's last task
        self._threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(self._jobs)]
        for thread in self._threads:
            thread.start()

    apart = False

    @property
    def slots(self) -> int:
        return self._jobs

    def submit(self, task: Task) -> None:
        with self._changed:
            self._waiting.append(task)
            self._changed.notify()

    def wait(self, seconds: float) -> Ended | None:
        try:
            return self._news.get(timeout=seconds)
        except queue.Empty:
            return None

    def share(self, data: Mapping[str, Any]) -> str:
        file = Path(self._folder.name) / f"{len(list(Path(self._folder.name).iterdir()))}.json"
        file.write_text(json.dumps(data), encoding="utf-8")
        return str(file)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
        while any(thread.is_alive() for thread in self._threads):
            for worker, thread in zip(self._workers, self._threads, strict=True):
                worker.kill()  # again and again: one may just have been started
                thread.join(0.05)
        for worker in self._workers:
            worker.stop()
        self._folder.cleanup()

    def _work(self, number: int) -> None:
        while (task := self._next(number)) is not None:
            header = {"function": task.function, "arguments": task.arguments, "threads": self._cpus}
            worker = self._workers[number]
            reply = worker.ask((header, b""), None)
            if self._closed:
                return
            if reply:
                self._news.put(Ended(task=task, **json.loads(reply)))
            else:
                last_words = worker.last_words()
                worker.stop()
                self._news.put(Ended(task=task, error=f"The process that worked on it ended{last_words}."))

    def _next(self, number: int) -> Task | None:
        """The first task of this worker's group, else the first of one that no other has, else the first."""
        with self._changed:
            while not self._closed and not self._waiting:
                self._changed.wait()
            if self._closed:
                return None
            mine, others = self._last.get(number), set(self._last.values())
            for wanted in (lambda group: group == mine, lambda group: group not in others, lambda group: True):
                task = next((task for task in self._waiting if wanted(task.group)), None)
                if task is not None:
                    break
            assert task is not None
            self._waiting.remove(task)
            self._last[number] = task.group
            return task


def _environment(cpus: int, devices: list[str] | None) -> dict[str, str]:
    threads = dict.fromkeys(THREADS, str(cpus))
    return threads if devices is None else {**threads, "CUDA_VISIBLE_DEVICES": ",".join(devices)}


def _memory() -> int:
    """Bytes that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 1 << 62


def _devices(gpus: int) -> list[str]:
    """The graphics processors that may be given to workers. Raises UsageError where there are too few for one."""
    if gpus < 0:
        raise UsageError(f"--gpus is 0 or more; got {gpus}.")
    if not gpus:
        return []
    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",")[:count] if visible else [str(n) for n in range(count)]
    if len(names) < gpus:
        raise UsageError(f"A point asks for {gpus} GPU(s); this machine has {len(names)}. Leave --gpus out.")
    return names
