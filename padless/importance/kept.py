"""Scores that images told, kept on disk: minutes of work that a second plan of the same network and images need not repeat.

One JSON file an answer, in the folder `scores` of the user's cache (`PADLESS_CACHE` names another; empty keeps nothing). Its
name is a hash of all that the answer depends on: the recorded structure, the weights, the images, what was asked, the code
that answers, and what the network makes of the first images, which tells of changes in its own code. A file that was
changed since is as good as not there; only the newest stay.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from padless.batches import bytes_of, parts_of, tensors_in
from padless.calls import evaluating, run
from padless.files import cache_folder, digest, digest_of_code, write_atomically
from padless.graph import Graph
from padless.graph.shadow import single
from padless.importance.curves import Importance, read_curves, said_curves
from padless.importance.observed import BATCH
from padless.inputs import weights_digest

FOLDER = "scores"
MOST = 64  # files
CODE = ("batches.py", "calls.py", "graph", "importance", "moments", "treat")  # that answers


class Kept:
    """Answers about one network, watched on the same images."""

    def __init__(self, graph: Graph, model: nn.Module, images: Sequence[Any], folder: Path | None = None) -> None:
        folder = folder or cache_folder()
        self.folder = folder / FOLDER if folder else None
        self.about = _about(graph, single(model), images) if self.folder and images else ""

    def curves(self, ask: Callable[[], Importance], *question: Any) -> Importance:
        """The curves that `ask` gives, or gave to the same question."""
        return read_curves(self._answer(lambda: said_curves(ask()), question))

    def losses(self, ask: Callable[[], dict[str, dict[str, float]]], *question: Any) -> dict[str, dict[str, float]]:
        """The same of what treatments lose."""
        losses: dict[str, dict[str, float]] = self._answer(ask, question)
        return losses

    def _answer(self, ask: Callable[[], Any], question: tuple[Any, ...]) -> Any:
        if not self.about or self.folder is None:
            return ask()
        key = digest(json.dumps([self.about, question]).encode())
        file = self.folder / f"{key}.json"
        with suppress(OSError, ValueError):
            mark, _, text = file.read_text().partition("\n")
            if mark == digest(key.encode(), text.encode()):
                os.utime(file)
                return json.loads(text)
        answer = ask()
        text = json.dumps(answer)
        with suppress(OSError):  # then it is asked again
            write_atomically(file, f"{digest(key.encode(), text.encode())}\n{text}")
            for old in sorted(self.folder.glob("*.json"), key=lambda f: f.stat().st_mtime)[:-MOST]:
                old.unlink(missing_ok=True)
        return answer


def _about(graph: Graph, model: nn.Module, images: Sequence[Any]) -> str:
    first = parts_of(images[0], BATCH)[0]  # as scoring does: not every network takes fewer
    with torch.no_grad(), torch.random.fork_rng(devices=[]), evaluating(model):
        answers = list(tensors_in(run(model, first)))
    parts = [graph.digest(), weights_digest(model), digest_of_code(*CODE), torch.__version__]
    return digest(json.dumps(parts).encode(), *_bytes(answers), *_bytes(tensors_in(list(images))))


def _bytes(tensors: Iterable[Tensor]) -> Iterator[bytes | memoryview]:
    for tensor in tensors:
        yield f"{tensor.dtype} {list(tensor.shape)}".encode()
        yield bytes_of(tensor)
