"""Samples of any form as one array: images as bytes, arrays as the network takes them."""

import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from padless.errors import UsageError, missing_extra
from padless.files import regular
from padless.inputs.preprocess import Preprocess
from padless.progress import track

Sample = tuple[Any, Any]  # what the network sees, and its label or None
LABELS = 1 << 31  # of what a label must be below
COLUMNS = {"img": "label", "image": "label", "x": "y"}  # of samples that are dictionaries: the input's, the label's


@dataclass(frozen=True, slots=True)
class Split:
    """The samples of a training or a test set."""

    name: str
    samples: Iterable[Sample]
    count: int


def split_of(name: str, source: Any, shape: Sequence[int]) -> Split:
    """Samples for a network that takes [N, *shape], of anything that gives them.

    A tensor or array [N, ...], a pair of them with labels [N], a data set (what has a length and items), a DataLoader, or
    what yields samples or batches; each with a label or without. Raises UsageError for what gives nothing.
    """
    if isinstance(source, Tensor | np.ndarray) and source.ndim:
        return Split(name, ((sample, None) for sample in source), len(source))
    if isinstance(source, tuple) and len(source) == 2 and all(isinstance(part, Tensor | np.ndarray) for part in source):
        inputs, labels = source
        if not inputs.ndim or not labels.ndim:
            raise UsageError(f"{name} is a pair of a number alone; expected samples [N, ...] and labels [N].")
        if len(inputs) != len(labels):
            raise UsageError(f"{name} has {len(inputs)} samples and {len(labels)} labels.")
        return Split(name, zip(inputs, labels, strict=True), len(inputs))
    others = (str, bytes, Mapping, Tensor, np.ndarray)  # a number alone is no samples
    if isinstance(source, others) or (not isinstance(source, Iterable) and not _indexed(source)):
        raise UsageError(
            f"{name} is a {type(source).__name__}; expected a tensor or array [N, ...], a pair of them with labels, a data "
            "set, a DataLoader, or what yields samples or batches."
        )
    if _indexed(source) and not isinstance(source, DataLoader):
        # By number: a data set may have no other end than its length.
        first = _pair(source[0])[0] if len(source) else None
        if not _is_batch(first, shape):
            return Split(name, (_pair(source[i]) for i in range(len(source))), len(source))
        source = [source[i] for i in range(len(source))]
    promised = len(source) if isinstance(source, Sized) and not isinstance(source, DataLoader | list) else None
    known = list(chain.from_iterable(_samples(item, shape) for item in source))
    return Split(name, known, len(known) if promised is None else promised)


def _indexed(source: Any) -> bool:
    return hasattr(source, "__getitem__") and hasattr(source, "__len__")


def _samples(item: Any, shape: Sequence[int]) -> Iterator[Sample]:
    raw, label = _pair(item)
    if not _is_batch(raw, shape):
        yield raw, label
    elif label is None:
        yield from ((sample, None) for sample in raw)
    elif _has_length(label) and len(label) == len(raw):
        yield from zip(raw, label, strict=True)
    else:
        raise UsageError(
            f"A batch {list(raw.shape)} has the labels {label!r}; expected {len(raw)}. A sample of the network is "
            f"{list(shape)}."
        )


def _has_length(labels: Any) -> bool:
    return isinstance(labels, Sized) and getattr(labels, "ndim", 1) > 0


def _is_batch(raw: Any, shape: Sequence[int]) -> bool:
    return isinstance(raw, Tensor | np.ndarray) and raw.ndim == len(shape) + 1


def _pair(item: Any) -> Sample:
    if isinstance(item, Mapping):
        for name, of_label in COLUMNS.items():
            if name in item:
                return item[name], item.get(of_label, item.get(f"{of_label}s"))
    if isinstance(item, tuple | list) and len(item) in (1, 2):
        return item[0], item[1] if len(item) == 2 else None
    return item, None


def stacked(split: Split, shape: Sequence[int], preprocess: Preprocess) -> tuple[Tensor, Tensor | None]:
    """All samples: uint8 [N, C, H, W] of images, else [N, *shape] as they are; and labels, int64 [N], where they have any.

    Raises UsageError for a sample that cannot be read or does not fit, naming it.
    """
    if not split.count:
        raise UsageError(f"There are no {split.name} images.")
    samples = iter(split.samples)
    first = next(samples, None)
    if first is None:
        raise UsageError(f"{split.name} gave 0 images; its length is {split.count}.")
    with _told(split, 0, "Sample"):
        content = _content(first[0])
        array = not _is_image(content)
        place = _Arrays(content, shape) if array else _Pictures(preprocess.picture(shape))
    room, labelled, decoded = place.room(split.count), first[1] is not None, 0
    labels = np.empty(split.count if labelled else 0, np.int64)
    for i, (raw, label) in enumerate(track(chain([first], samples), f"Reading {split.name} images", total=split.count)):
        if i == split.count:
            raise UsageError(f"{split.name} gave more images than its length, {split.count}.")
        with _told(split, i, "Sample" if array else "Image"):
            room[i] = place.read(_content(raw))
        if labelled or label is not None:
            if not labelled or not _whole(label):
                raise UsageError(
                    f"Image {i} of {split.name} has the label {label!r}; expected a whole number from 0 up, or none at all."
                )
            labels[i] = int(label)
        decoded = i + 1
    if decoded < split.count:
        raise UsageError(f"{split.name} gave {decoded} images; its length is {split.count}.")
    return torch.from_numpy(room), torch.from_numpy(labels) if labelled else None


@contextmanager
def _told(split: Split, number: int, kind: str) -> Iterator[None]:
    """Turns what goes wrong with one sample into a message that names it."""
    try:
        yield
    except UsageError:
        raise
    except Exception as error:  # decoders raise of many classes, for every fault another
        raise UsageError(f"{kind} {number} of {split.name} cannot be read: {error}") from error


def _content(raw: Any) -> Any:
    """The array in an .npy file; all else as it is."""
    if isinstance(raw, str | Path) and Path(raw).suffix.lower() == ".npy":
        return np.load(regular(Path(raw)), allow_pickle=False)
    return raw


def _whole(label: Any) -> bool:
    if not isinstance(label, int | np.integer | Tensor | np.ndarray):
        return False
    try:
        return bool(int(label) == label and 0 <= label < LABELS)
    except (TypeError, ValueError, RuntimeError):  # several numbers
        return False


def _is_image(raw: Any) -> bool:
    """Whether it is to be decoded, or a uint8 array: a picture; all other arrays are what the network takes."""
    if isinstance(raw, Tensor | np.ndarray):
        return str(raw.dtype) in ("uint8", "torch.uint8")
    return True


class _Pictures:
    """Images, opened, turned to the colours and the size of a network."""

    def __init__(self, picture: tuple[int, int, int]) -> None:
        try:
            from PIL import Image
        except ImportError as error:
            raise missing_extra("pillow", "data", "Reading images") from error
        self.pil: Any = Image
        self.picture = picture

    def room(self, count: int) -> Any:
        return _room((count, *self.picture), np.dtype(np.uint8))

    def read(self, raw: Any) -> Any:
        colours, rows, columns = self.picture
        image = self._opened(raw)
        if image.mode.startswith("I;16"):  # PIL would clip what is above 255
            image = self.pil.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        image = image.convert("L" if colours == 1 else "RGB")
        if image.size != (columns, rows):
            image = image.resize((columns, rows), self.pil.Resampling.BILINEAR)
        return np.asarray(image).reshape(rows, columns, colours).transpose(2, 0, 1)

    def _opened(self, raw: Any) -> Any:
        if isinstance(raw, bytes):
            return self.pil.open(io.BytesIO(raw))
        if isinstance(raw, str | Path):
            return self.pil.open(regular(Path(raw)))
        return self.pil.fromarray(_pixels(raw)) if isinstance(raw, np.ndarray | Tensor) else raw


def _pixels(raw: Any) -> Any:
    """A uint8 array [H, W] or [H, W, C] from a tensor [C, H, W] or such an array."""
    if isinstance(raw, Tensor):
        raw = raw.permute(1, 2, 0).cpu().numpy() if raw.ndim == 3 else raw.cpu().numpy()
    elif raw.ndim == 3 and raw.shape[0] in (1, 3) and raw.shape[2] not in (1, 3):
        raw = raw.transpose(1, 2, 0)
    if raw.ndim == 3 and raw.shape[2] == 1:
        raw = raw[:, :, 0]
    if raw.dtype != np.uint8:
        raise ValueError(f"it is {raw.dtype}; expected uint8 from 0 to 255")
    if raw.ndim == 3 and raw.shape[2] not in (3, 4):
        raise ValueError(f"it has {raw.shape[2]} channels; expected 1, 3 or 4")
    return raw


class _Arrays:
    """Arrays that the network takes as they are; doubles become float32."""

    def __init__(self, first: Any, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)
        dtype = _array(first).dtype
        if dtype.kind not in "fiub" or dtype.itemsize > 8:
            raise ValueError(f"it is {dtype}; expected whole or floating point numbers")
        self.dtype = np.dtype(np.float32) if np.issubdtype(dtype, np.floating) else np.dtype(dtype)

    def room(self, count: int) -> Any:
        return _room((count, *self.shape), self.dtype)

    def read(self, raw: Any) -> Any:
        if not isinstance(raw, Tensor | np.ndarray):
            raise TypeError(f"it is a {type(raw).__name__}, others are arrays")
        array = _array(raw)
        if not np.can_cast(array.dtype, self.dtype, "same_kind"):
            raise TypeError(f"it is {array.dtype}, the first one {self.dtype}")
        if array.shape != self.shape:
            raise ValueError(f"it is {array.dtype} {list(array.shape)}; the network takes {list(self.shape)}")
        return array


def _array(raw: Any) -> Any:
    if isinstance(raw, np.ndarray):
        return raw
    raw = raw.detach().cpu()
    return (raw.float() if raw.is_floating_point() else raw).numpy()


def room_for(size: int, where: Path) -> None:
    """Raises UsageError where what is packed in a file would take more than half of the memory: a mistake, or a bomb."""
    memory = _bytes_of_memory("SC_PHYS_PAGES")
    if memory is not None and size > memory / 2:
        raise UsageError(
            f"{where} takes {size / 2**30:.1f} GiB unpacked; this machine has {memory / 2**30:.1f} GiB of memory. Give "
            "images as files."
        )


def _bytes_of_memory(name: str) -> int | None:
    """All of it (SC_PHYS_PAGES), or what is free (SC_AVPHYS_PAGES); None where the system does not tell."""
    try:
        return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def _room(shape: tuple[int, ...], dtype: Any) -> Any:
    """An empty array: in memory where it takes at most half of what is free, else in a file that goes away with it."""
    size = int(np.prod(shape, dtype=float)) * dtype.itemsize
    free = _bytes_of_memory("SC_AVPHYS_PAGES")
    if free is None:
        return np.empty(shape, dtype)
    if size <= free / 2:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:  # the map keeps what it needs of it
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise UsageError(
                f"The images take {size / 2**30:.1f} GiB, too much for the memory and for {tempfile.gettempdir()}: {error}. "
                "Set TMPDIR to a larger disk, or use your own loop."
            ) from error
        return np.memmap(file, dtype, "w+", shape=shape)
