"""TFLite files run in LiteRT, Google's interpreter of them (`ai-edge-litert`), in worker processes."""

import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from padless.errors import PadlessError, missing_extra
from padless.pool import Pool, Request
from padless.progress import bar
from padless.tflite.ranges import BINS, Seen

WORKER = Path(__file__).parent / "workers" / "run_litert.py"
CHUNK = 16  # samples a request
Arrays = npt.NDArray[Any]
Samples = Sequence[Arrays]  # one array [n, *shape in the file] for each input


class LiteRT:
    """Use it in a `with`. Every method takes the inputs of `n` runs, one array [n, …] for each input of the file.

    Raises PadlessError where LiteRT refuses or crashes on a file, UsageError where it is not installed.
    """

    def __init__(self, workers: int | None = None) -> None:
        if find_spec("ai_edge_litert") is None:
            raise missing_extra("ai-edge-litert", "tflite", "Running TFLite files")
        self._pool = Pool(WORKER, "LiteRT", workers=workers, failure=PadlessError)
        self._scratch = tempfile.TemporaryDirectory()
        self._results = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()
        self._scratch.cleanup()

    def file(self, name: str, content: bytes) -> Path:
        """A file that lasts as long as this object. Workers keep what they have opened, so each has a folder of its own."""
        path = Path(tempfile.mkdtemp(dir=self._scratch.name)) / name
        path.write_bytes(content)
        return path

    def outputs(self, file: Path, samples: Samples, title: str) -> list[Arrays]:
        """What the file answers with: for each output an array [n, *shape in the file] of real numbers."""
        parts = list(self._asked(file, "outputs", samples, title))
        return _answers(parts)

    def observe(self, file: Path, indices: Sequence[int], samples: Samples) -> tuple[dict[int, Seen], list[Arrays]]:
        """What was seen of some tensors of a FLOAT32 file, and its outputs.

        Raises PadlessError, giving the index, where a tensor is not finite.
        """
        parts = list(self._asked(file, "extremes", samples, "Observing ranges", indices=list(indices)))
        low, high = np.min([p["low"] for p in parts], 0), np.max([p["high"] for p in parts], 0)
        finite = np.all([p["finite"] for p in parts], 0)
        if not finite.all():
            raise NotFiniteError(indices[int(np.argmin(finite))])
        low, high = np.where(np.isfinite(low), low, 0.0), np.where(np.isfinite(high), high, 0.0)
        limits = {"low": low.tolist(), "high": high.tolist()}
        counted = self._asked(file, "counts", samples, "Counting values", indices=list(indices), bins=BINS, **limits)
        counts = np.sum([p["counts"] for p in counted], 0)
        seen = {index: Seen(float(low[i]), float(high[i]), counts[i]) for i, index in enumerate(indices)}
        return seen, _answers(parts)

    def noise(self, reference: Path, other: Path, indices: Sequence[int], samples: Samples) -> dict[int, float]:
        """For each tensor the ratio of its power in `reference` to that of the difference in `other`, in decibels."""
        parts = list(
            self._asked(reference, "noise", samples, "Comparing layers", indices=list(indices), other=str(other))
        )
        signal, error = np.sum([p["signal"] for p in parts], 0), np.sum([p["error"] for p in parts], 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            decibels = 10 * np.log10(signal / error)
        return {index: float(d) for index, d in zip(indices, decibels, strict=True) if not np.isnan(d)}

    def _asked(
        self, file: Path, kind: str, samples: Samples, title: str, **request: Any
    ) -> Iterator[Mapping[str, Arrays]]:
        """The results of each chunk of samples, in order."""
        starts = range(0, len(samples[0]), CHUNK)
        places = {start: Path(self._scratch.name) / f"result{self._results + i}.npz" for i, start in enumerate(starts)}
        self._results += len(places)

        def make(start: int) -> Request:
            payload = io.BytesIO()
            arrays: dict[str, Any] = {f"x{i}": column[start : start + CHUNK] for i, column in enumerate(samples)}
            np.savez(payload, **arrays)
            return {"file": str(file), "kind": kind, "out": str(places[start]), **request}, payload.getvalue()

        with bar(title, len(samples[0])) as shown:
            replies = self._pool.map(make, list(starts), lambda _: file.name)
            for start, reply in zip(starts, replies, strict=True):
                if "error" in reply:
                    raise PadlessError(f"LiteRT could not run {file.name}: {_first_line(reply['error'])}")
                with np.load(places[start]) as results:
                    yield dict(results)
                places[start].unlink()
                shown.advance(min(CHUNK, len(samples[0]) - start))


class NotFiniteError(PadlessError):
    """A tensor of the file is not finite on the calibration inputs."""

    def __init__(self, tensor: int) -> None:
        super().__init__(f"tensor {tensor} is not finite")
        self.tensor = tensor


def _answers(parts: Sequence[Mapping[str, Arrays]]) -> list[Arrays]:
    names = sorted((key for key in parts[0] if key.startswith("y")), key=lambda key: int(key[1:]))
    return [np.concatenate([part[name] for part in parts]) for name in names]


def _first_line(text: object) -> str:
    return " ".join(str(text).split())[:300]
