"""Batches of images: tensors [N, ...], or the tuples, lists and dictionaries of them that a forward takes and returns."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from padless.errors import UsageError, expect

CALIBRATED = 64  # images a batch, where a data set has none
AT_ONCE = 1 << 22  # numbers of images that run together: what a network makes of them is tens of times as many


def named_leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each leaf with its path: keys, field names and positions, with dots between."""
    if is_dataclass(tree) and not isinstance(tree, type):
        tree = vars(tree)
    if isinstance(tree, Mapping):
        branches: Iterable[tuple[Any, Any]] = tree.items()
    elif isinstance(tree, tuple | list):
        branches = enumerate(tree)
    else:
        yield path, tree
        return
    for key, branch in branches:
        yield from named_leaves(branch, f"{path}.{key}" if path else str(key))


def tensors_in(tree: Any) -> Iterator[Tensor]:
    """The tensors of an argument or a result, in order."""
    return (leaf for _, leaf in named_leaves(tree) if isinstance(leaf, Tensor))


def mapped(tree: Any, function: Callable[[Tensor], Any]) -> Any:
    """The same tuples, lists and dictionaries with `function(tensor)` in each tensor's place."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return {key: mapped(part, function) for key, part in tree.items()}
    if isinstance(tree, tuple | list):
        return (tuple if isinstance(tree, tuple) else list)(mapped(part, function) for part in tree)
    return tree


def arguments(example: Any) -> tuple[Any, ...]:
    """What the forward is called with: the parts of a tuple (or list); a tensor or a dictionary is one argument."""
    return tuple(example) if isinstance(example, tuple | list) else (example,)


def expect_tensors(tree: Any, what: str, hint: str) -> None:
    """Raises UsageError for what is no tensor, and no tuple or dictionary of tensors (None may stand among them)."""

    def holds_others(part: Any) -> bool:
        if isinstance(part, Mapping):
            return not all(isinstance(key, str) for key in part) or any(map(holds_others, part.values()))
        if isinstance(part, tuple | list):
            return any(map(holds_others, part))
        return not isinstance(part, Tensor) and part is not None

    if holds_others(tree) or next(tensors_in(tree), None) is None:
        raise UsageError(
            f"{what} is a {type(tree).__name__}; expected Tensor, or tuples and dictionaries of tensors. {hint}"
        )


def count_of(batch: Any) -> int:
    """How many images a batch has: the length of its first tensor that is more than a number."""
    return len(next(t for t in tensors_in(batch) if t.ndim))


def parts_of(batch: Any, most: int) -> list[Any]:
    """A batch in equal parts, but for an image, of at most `most`; of large images fewer run at once.

    A tensor of another length goes to all of them as it is.
    """
    count = count_of(batch)
    numbers = sum(t.numel() for t in tensors_in(batch) if t.ndim and len(t) == count)
    parts = max(math.ceil(count / most), min(count, math.ceil(numbers / AT_ONCE)))
    stops = [count * part // parts for part in range(parts + 1)]
    return [images_of(batch, start, stop) for start, stop in pairwise(stops)]


def images_of(batch: Any, start: int, stop: int | None = None) -> Any:
    """Some of a batch's images."""
    count = count_of(batch)
    return mapped(batch, lambda t: t[start:stop] if t.ndim and len(t) == count else t)


def joined(batches: list[Any]) -> Any:
    """Batches of one structure as one. Tensors that are no images of theirs, being of another length, are the first's."""
    first, counts = batches[0], [count_of(batch) for batch in batches]
    columns = zip(*(tensors_in(batch) for batch in batches), strict=True)
    together = iter(
        torch.cat(column) if all(t.ndim and len(t) == n for t, n in zip(column, counts, strict=True)) else column[0]
        for column in columns
    )
    return mapped(first, lambda _: next(together))


def bytes_of(tensor: Tensor) -> memoryview:
    """A tensor's numbers as they lie in memory, wherever it lives."""
    view: memoryview = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
    return view


def batches_of(images: Any, takes: int) -> list[Any]:
    """Calibration batches [N, ...], read once: tensors or arrays, tuples of the forward's arguments, or dictionaries.

    `takes` says how many arguments the forward has; labels that come behind them, as from a DataLoader, are left out. A
    data set is read in shuffled batches. Raises UsageError for what is no iterable of those.
    """
    if hasattr(images, "calibration"):
        raise UsageError(
            f"images is a {type(images).__name__}; expected batches [N, ...]. Give images.calibration(512, seed=0)."
        )
    if isinstance(images, Tensor | np.ndarray):
        kind = "tensor" if isinstance(images, Tensor) else "array"
        raise UsageError(f"images is one {kind}; expected several batches [N, ...]. Write [images].")
    if isinstance(images, Mapping):
        raise UsageError("images is one dictionary; expected several batches. Write [images].")
    if isinstance(images, Dataset) and not isinstance(images, IterableDataset):
        images = DataLoader(images, CALIBRATED, shuffle=True, generator=torch.Generator().manual_seed(0))
    expect(images, Iterable, "images", "Give batches [N, ...] as the network takes them.")
    try:
        batches = [_unlabelled(batch, takes) for batch in images]
    except (TypeError, RuntimeError) as error:  # PyTorch's own, where a data set gives no tensors, or of several sizes
        uneven = isinstance(error, RuntimeError)
        if not isinstance(images, DataLoader) or (uneven and "equal size" not in str(error)):
            raise
        raise UsageError(
            f"The data set's items are {'of several sizes' if uneven else 'no tensors'}: {str(error).splitlines()[0]} Give "
            "a transform that makes tensors, as the network takes them, or padless.as_images(…).calibration(512, seed=0)."
        ) from error
    for batch in batches:
        expect_tensors(batch, "A batch of images", "Give tensors [N, ...] as the network takes them, without labels.")
        if not any(t.ndim for t in tensors_in(batch)):
            raise UsageError(
                "A batch of images has numbers alone; expected tensors [N, ...] as the network takes them."
            )
    return batches


def _unlabelled(batch: Any, takes: int) -> Any:
    """A batch as tensors, without a whole number for each image behind the arguments."""
    if not isinstance(batch, tuple | list):
        return _as_tensor(batch)
    parts = tuple(map(_as_tensor, batch))
    label = parts[-1] if len(parts) == takes + 1 else None
    if isinstance(label, Tensor) and label.ndim == 1 and not label.is_floating_point():
        parts = parts[:-1]
    if len(parts) > takes and all(isinstance(part, Tensor) for part in parts):
        raise UsageError(
            f"A batch of images has {len(parts)} parts, and the forward takes {takes}. One whole number an image behind "
            "them is a label and left out; leave other labels out yourself, as in [x for x, y in loader]."
        )
    return parts[0] if takes == len(parts) == 1 else parts


def _as_tensor(part: Any) -> Any:
    """An array as a tensor; all else as it is. Raises UsageError for an array of no numbers."""
    if not isinstance(part, np.ndarray):
        return part
    try:
        return torch.from_numpy(part)
    except TypeError as error:
        raise UsageError(f"A batch of images is an array of {part.dtype}; expected numbers [N, ...].") from error
