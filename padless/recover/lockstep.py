"""Two networks run side by side, layer by layer: what the dense one computes is there when the cut one gets there."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import Queue
from typing import Any

import torch
from torch import Tensor, nn

from padless.calls import LayerCalls, run

Step = tuple[str, Tensor, Tensor]  # a weight's path, its layer's input and output


class _StoppedError(Exception):
    """The other network does not go on."""


class Leader:
    """Runs a network in a thread and stops at each of some weights' layers, until `next` asks for it.

    A layer's input and output live only until the next one is asked for, so that what is held at once is what one run of
    the network holds.
    """

    def __init__(self, model: nn.Module, x: Any, weights: frozenset[str]) -> None:
        self.model, self.x, self.weights = model, x, weights
        self.steps: Queue[Step | BaseException | None] = Queue(1)
        self.going = threading.Semaphore(0)
        self.stopped = False
        self.output: Any = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            with torch.no_grad(), LayerCalls(self.model, self._at):
                self._wait()
                self.output = run(self.model, self.x)
            self.steps.put(None)
        except _StoppedError:
            pass
        except BaseException as error:  # it is raised where the step is waited for
            self.steps.put(error)

    def _wait(self) -> None:
        self.going.acquire()
        if self.stopped:
            raise _StoppedError

    def _at(self, name: str, function: Any, arguments: Mapping[str, Any], call: Callable[..., Tensor]) -> Tensor:
        y = call()
        if name in self.weights:
            self.steps.put((name, arguments["input"], y))
            self._wait()
        return y

    def next(self) -> Step | None:
        """The next layer's step; None when the network has run to its end."""
        self.going.release()
        step = self.steps.get()
        if isinstance(step, BaseException):
            raise step
        return step

    def stop(self) -> None:
        self.stopped = True
        self.going.release()
        self.thread.join()


@contextmanager
def leading(model: nn.Module, x: Any, weights: frozenset[str]) -> Iterator[Leader]:
    """A `Leader` whose thread ends with the block."""
    leader = Leader(model, x, weights)
    try:
        yield leader
    finally:
        leader.stop()
