"""A local worker of a sweep: does tasks by the names of their functions, and keeps what it has loaded between them."""

from typing import Any

import torch

from padless.pool import limit_workers
from padless.sweep.runner import call


def answer(request: dict[str, Any], _: bytes) -> dict[str, Any]:
    """One task. `threads` is how much of the machine it may use."""
    torch.set_num_threads(request["threads"])
    limit_workers(request["threads"])
    return call(request["function"], request["arguments"])
