"""A training run's state on disk: tensors as safetensors, the rest as JSON, whole or not there."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from padless.errors import UsageError
from padless.files import is_unfinished, write_atomically, write_json

STATE = "checkpoint.json"
OURS = re.compile(r"checkpoint-\d{8}\.safetensors")


@dataclass(slots=True)
class Checkpoints:
    """A folder that holds the last state of one run; a new one is written at most every `seconds`.

    The JSON file names the file of tensors: moving it into place is what makes a checkpoint, so a kill at any moment
    leaves the one before or the new one.
    """

    folder: Path
    seconds: float = 60.0
    _written: float = field(default_factory=time.monotonic)

    @property
    def due(self) -> bool:
        return time.monotonic() - self._written >= self.seconds

    def write(self, step: int, tensors: dict[str, Tensor], facts: Mapping[str, object]) -> None:
        name = f"checkpoint-{step:08d}.safetensors"
        write_atomically(
            self.folder / name, save({k: t.detach().cpu().clone().contiguous() for k, t in tensors.items()})
        )
        write_json(self.folder / STATE, {"step": step, "tensors": name, **facts})
        for file in self.folder.iterdir():
            if (OURS.fullmatch(file.name) and file.name != name) or is_unfinished(file):  # what a kill left
                file.unlink()
        self._written = time.monotonic()

    def read(self, expected: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """The last state; None where there is none. `expected` are facts that it must share.

        Raises UsageError when it is of another run, naming what differs, or cannot be read.
        """
        file = self.folder / STATE
        if not file.exists():
            return None
        try:
            facts = json.loads(file.read_text())
            if not OURS.fullmatch(facts["tensors"]):
                raise ValueError(f"{facts['tensors']!r} is no file of a checkpoint")
            tensors = load_file(self.folder / facts["tensors"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
            raise UsageError(f"{file} is no checkpoint that can be read: {error}. Remove {self.folder}.") from error
        for name, value in expected.items():
            if facts.get(name) != value:
                raise UsageError(
                    f"The checkpoint in {self.folder} is of another run: its {name} is {facts.get(name)!r}, now {value!r}. "
                    "Give the same options, or remove it."
                )
        return facts, tensors
