"""Tasks on a Ray cluster, or on a Ray of this machine alone. Ray gives plain tasks to processes that it uses again."""

import logging
import os
from collections import deque
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from padless.errors import UsageError, missing_extra
from padless.sweep.runner import Ended, Task

AHEAD = 2  # tasks submitted for each slot: the queue stays here, where a stop does not lose it
NODE_DEATHS = 3  # how often Ray itself tries a task anew whose worker or node is gone


class RayRunner:
    """A running cluster at `address` (HOST:6379, or auto), or with None one that is started for this sweep.

    A point gets `cpus` CPUs, `gpus` GPUs and `memory` bytes of one node. Ray itself does a task again when its worker or
    node dies. Raises UsageError where Ray is not installed, the cluster cannot be reached, or no node has room for a point.
    """

    def __init__(self, address: str | None = None, *, cpus: int = 1, gpus: int = 0, memory: int = 0) -> None:
        try:
            import ray
        except ImportError as error:
            raise missing_extra("ray", "sweep", "A sweep on Ray") from error
        self._ray, self._cpus, self._gpus, self._memory = ray, cpus, gpus, memory
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(cpus))
        try:
            ray.init(
                address=address or "local", include_dashboard=None if address else False, log_to_driver=False,
                logging_level=logging.ERROR, runtime_env={"env_vars": threads},
            )  # fmt: skip
        except (ConnectionError, ValueError, RuntimeError) as error:
            first = str(error).strip().splitlines()[0]
            raise UsageError(
                f"No Ray cluster answers at {address}: {first} Start one with `ray start --head`."
            ) from error
        self._roomy()
        self._call: Any = ray.remote(_call).options(
            num_cpus=cpus, num_gpus=gpus, memory=memory or None, max_retries=NODE_DEATHS
        )
        self._queue: deque[Task] = deque()
        self._running: dict[Any, Task] = {}

    apart = True

    @property
    def slots(self) -> int:
        """As many as the nodes that are there now hold."""
        total = self._ray.cluster_resources()
        return max(1, min(int(total.get(name, 0) // each) for name, each in self._needs.items()))

    @property
    def _needs(self) -> dict[str, int]:
        needs = {"CPU": self._cpus, "GPU": self._gpus, "memory": self._memory}
        return {name: each for name, each in needs.items() if each}

    def submit(self, task: Task) -> None:
        self._queue.append(task)

    def wait(self, seconds: float) -> Ended | None:
        room = AHEAD * self.slots - len(self._running)
        while self._queue and room > 0:
            task, room = self._queue.popleft(), room - 1
            self._running[
                self._call.remote(task.function, dict(task.arguments), self._cpus, version("padless"), os.getcwd())
            ] = task
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds) if self._running else ([], [])
        for reference in ready:
            task = self._running.pop(reference)
            try:
                return Ended(task=task, **self._ray.get(reference))
            except self._ray.exceptions.RayError as error:
                return Ended(task=task, error=_told(error))
        return None

    def share(self, data: Mapping[str, Any]) -> Any:
        return _Shared(self._ray.put(dict(data)))

    def close(self) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()  # ours alone; `ray stop` would end every Ray of this machine

    def _roomy(self) -> None:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if not any(all(node.get(name, 0) >= each for name, each in self._needs.items()) for node in nodes):
            needs = " and ".join(f"{each:,} {name}" for name, each in self._needs.items())
            had = "; ".join(", ".join(f"{int(node.get(name, 0)):,} {name}" for name in self._needs) for node in nodes)
            self._ray.shutdown()
            raise UsageError(f"No node has {needs} for a point. There are: {had or 'none'}.")


class _Shared:
    """A reference to data in Ray's store."""

    def __init__(self, reference: Any) -> None:
        self.reference = reference


def _call(function: str, arguments: dict[str, Any], threads: int, release: str, home: str) -> dict[str, Any]:
    """Runs in a worker, on any node."""
    import socket

    import ray

    here = f"node {socket.gethostname()}"
    try:
        import torch

        from padless.pool import limit_workers
        from padless.sweep.runner import call
    except ImportError as error:
        return {"error": f"{here}: {error}. Install what the sweep was started with, on every node."}
    if (installed := version("padless")) != release:
        return {"error": f"{here} has padless {installed}, the sweep {release}. Install the same."}
    if os.path.isdir(home):
        os.chdir(home)  # for relative paths and modules of one's own
    torch.set_num_threads(threads)
    limit_workers(threads)
    data = {k: ray.get(v.reference) if isinstance(v, _Shared) else v for k, v in arguments.items()}
    return call(function, data)


def _told(error: Exception) -> str:
    """The last line of what Ray says."""
    lines = str(getattr(error, "cause", None) or error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1] if lines else 'no reason given'}"
