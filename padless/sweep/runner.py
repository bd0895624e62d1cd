"""Who does a sweep's tasks. A task is a function by its name and arguments that JSON can hold; so is its result."""

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from padless.errors import PadlessError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One call. Tasks of one `group` share what a worker has loaded, and go to the same worker where they can."""

    id: str
    function: str  # module:function
    arguments: Mapping[str, Any]
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A task's result, or why there is none. `refused`: what was asked cannot be met, and asking again changes nothing."""

    task: Task
    result: Any = None
    error: str | None = None
    refused: str | None = None  # the name of a UsageError's class


class Runner(Protocol):
    """Runs tasks in other processes. Close it: that ends what still runs."""

    @property
    def slots(self) -> int:
        """How many tasks run at once, as far as is known now."""

    @property
    def apart(self) -> bool:
        """Whether workers may be on other machines, which do not share this one's cost cache."""

    def submit(self, task: Task) -> None:
        """Have a task done, after those that were submitted before it."""

    def wait(self, seconds: float) -> Ended | None:
        """A task that has ended; None where none did in so many seconds."""

    def share(self, data: Mapping[str, Any]) -> Any:
        """Something that stands for `data` in the arguments of tasks: `shared` makes it data again in a worker."""

    def close(self) -> None:
        """End the workers, at once."""


class Here:
    """Tasks in this very process, one at a time: for what is long and needs no second worker."""

    slots, apart = 1, False

    def __init__(self) -> None:
        self._tasks: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        self._tasks.append(task)

    def wait(self, seconds: float) -> Ended | None:
        if not self._tasks:
            return None
        task = self._tasks.popleft()
        return Ended(task=task, **call(task.function, task.arguments))

    def share(self, data: Mapping[str, Any]) -> Any:
        return data

    def close(self) -> None:
        self._tasks.clear()


def next_of(runner: Runner) -> Ended:
    """The next task that ends, however long it takes."""
    while (ended := runner.wait(5)) is None:
        pass
    return ended


def call(function: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Do a task here: {"result": …}, or {"error": …} with a text, and {"refused": …} where it is a UsageError."""
    try:
        module, _, name = function.partition(":")
        return {"result": getattr(import_module(module), name)(**arguments)}
    except UsageError as error:
        return {"error": str(error), "refused": type(error).__name__}
    except PadlessError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "The memory was full."}
    except Exception as error:  # a network, a module or a data set of the user's may fail in any way
        text = " ".join(str(error).split())
        return {"error": f"{type(error).__name__}: {text}"}


_shared: dict[str, Mapping[str, Any]] = {}


def shared(token: Any) -> Mapping[str, Any]:
    """The data that a runner's `share` gave a token for; read once in a process."""
    if not isinstance(token, str):
        data: Mapping[str, Any] = token
        return data
    if token not in _shared:
        _shared.clear()
        with open(token, encoding="utf-8") as file:
            _shared[token] = json.load(file)
    return _shared[token]
