"""`--input-shape`: what the network takes, as the command line says it."""

import math
from typing import Any

import torch

from padless.errors import UsageError

WRITE = (
    "Write whole numbers from 1 up, such as 1,3,32,32; NAME=1,3,32,32 for a dictionary's entry, 1,16:int64 for a type."
)


def parse_shape(texts: list[str] | None) -> tuple[int, ...] | None:
    """1,3,32,32 as a tuple, for commands that run on images. Raises UsageError for several, named or typed inputs."""
    if not texts:
        return None
    name, shape, dtype = _parsed(texts[0])
    if len(texts) > 1 or name or dtype is not torch.float32:
        raise UsageError(
            f"--input-shape is {' and '.join(texts)}, but this command runs on images alone: one unnamed float32 input. Use "
            "`padless inspect`, or padless.plan and padless.prune in Python."
        )
    return shape


def parse_inputs(texts: list[str] | None, usual: tuple[int, ...]) -> tuple[Any, ...]:
    """The forward's arguments, zeros: one for each unnamed shape, then a dictionary of the named ones."""
    if not texts:
        return (torch.zeros(usual),)
    unnamed, named = [], {}
    for text in texts:
        name, shape, dtype = _parsed(text)
        zeros = torch.zeros(shape, dtype=dtype)
        if not name:
            unnamed.append(zeros)
        elif name in named:
            raise UsageError(f"--input-shape names {name!r} twice.")
        else:
            named[name] = zeros
    return (*unnamed, named) if named else tuple(unnamed)


def first_shape(texts: list[str] | None) -> tuple[int, ...] | None:
    """The shape of the first input, for models that are built for one."""
    return _parsed(texts[0])[1] if texts else None


def _parsed(text: str) -> tuple[str, tuple[int, ...], torch.dtype]:
    name, _, rest = text.rpartition("=")
    sizes, _, kind = rest.partition(":")
    dtype = getattr(torch, kind or "float32", None)
    try:
        shape = tuple(int(part) for part in sizes.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1 or math.prod(shape) > 1 << 40:
        raise UsageError(f"Cannot read the input shape {text!r}. {WRITE}")
    if not isinstance(dtype, torch.dtype):
        raise UsageError(f"Cannot read the input shape {text!r}: torch has no type {kind!r}. {WRITE}")
    return name, shape, dtype
