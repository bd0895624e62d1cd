"""Images of any form as one array of bytes."""

import io
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from padless.errors import UsageError, missing_extra
from padless.progress import track

Pairs = Iterable[tuple[Any, int]]  # image and label


def stacked(
    name: str, pairs: Iterable[tuple[Any, int]], count: int, shape: tuple[int, int, int]
) -> tuple[Tensor, Tensor]:
    """Decode, resize and stack (image, label) pairs: uint8 [N, C, H, W] and int64 [N]."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise missing_extra("pillow", "data", "Reading images") from error
    colours, rows, columns = shape
    if colours not in (1, 3):
        raise UsageError(f"The network takes {colours} channels; images have 1 (grey) or 3 (red, green, blue).")
    if not count:
        raise UsageError(f"There are no {name} images.")
    images, labels, decoded = _room((count, colours, rows, columns)), np.empty(count, np.int64), 0
    for i, (raw, label) in enumerate(track(pairs, f"Reading {name} images", total=count)):
        try:
            image = _opened(raw, Image).convert("L" if colours == 1 else "RGB")
        except (UnidentifiedImageError, OSError, AttributeError, TypeError, ValueError, RuntimeError) as error:
            raise UsageError(f"Image {i} of {name} cannot be read: {error}") from error
        if image.size != (columns, rows):
            image = image.resize((columns, rows), Image.Resampling.BILINEAR)
        images[i] = np.asarray(image).reshape(rows, columns, colours).transpose(2, 0, 1)
        if not isinstance(label, int | np.integer | Tensor) or int(label) != label or label < 0:
            raise UsageError(f"Image {i} of {name} has the label {label!r}; expected a whole number from 0 up.")
        labels[i] = int(label)
        decoded = i + 1
    if decoded < count:
        raise UsageError(f"{name} gave {decoded} images; its length is {count}.")
    return torch.from_numpy(images), torch.from_numpy(labels)


def _opened(raw: Any, pil: Any) -> Any:
    if isinstance(raw, bytes):
        return pil.open(io.BytesIO(raw))
    if isinstance(raw, str | Path):
        return pil.open(raw)
    return pil.fromarray(_array(raw)) if isinstance(raw, np.ndarray | Tensor) else raw


def _array(raw: Any) -> Any:
    """A uint8 array [H, W] or [H, W, C] from a tensor [C, H, W] or such an array."""
    if isinstance(raw, Tensor):
        raw = raw.permute(1, 2, 0).cpu().numpy()
    if raw.ndim == 3 and raw.shape[2] == 1:
        raw = raw[:, :, 0]
    if raw.dtype != np.uint8:
        raise ValueError(f"it is {raw.dtype}; expected uint8 from 0 to 255")
    return raw


def _room(shape: tuple[int, ...]) -> Any:
    """An empty array: in memory where it takes at most half of what is free, else in a file that goes away with it."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):  # not told on this system
        return np.empty(shape, np.uint8)
    if np.prod(shape, dtype=float) <= free / 2:
        return np.empty(shape, np.uint8)
    size = int(np.prod(shape, dtype=float))
    with tempfile.TemporaryFile() as file:  # the map keeps what it needs of it
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise UsageError(
                f"The images take {size / 2**30:.1f} GiB, too much for the memory and for {tempfile.gettempdir()}: {error}. "
                "Set TMPDIR to a larger disk, or use your own loop."
            ) from error
        return np.memmap(file, np.uint8, "w+", shape=shape)
