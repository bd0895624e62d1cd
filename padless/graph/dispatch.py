"""Modes that see each operation of a run."""

from torch.utils._python_dispatch import TorchDispatchMode


class Dispatch(TorchDispatchMode):
    """A mode that torch does not hide from its own compiler: to do so it would import that, which takes seconds.

    What was compiled runs as it is written where such a mode is on (`calls.eager`).
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False
