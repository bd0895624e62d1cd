"""Inputs as texts: what a network takes, as `--input-shape` says it and a run's summary keeps it.

A shape such as 1,3,32,32 is one of the forward's arguments; NAME=SHAPE is an entry of a dictionary, the last argument;
SHAPE:int64 is of that type, float32 otherwise. () is the shape of a single number. The names of an ONNX file's inputs are
its own, and its types, too.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch

from padless.errors import UsageError
from padless.onnx import Shapes

ELEMENTS, AXES = 1 << 28, 8  # of an input, at most
WRITE = (
    "Write whole numbers from 1 up, such as 1,3,32,32; NAME=1,3,32,32 for a dictionary's entry, 1,16:int64 for a type."
)


def inputs_of(texts: Sequence[str] | None, usual: Sequence[int]) -> tuple[str, ...]:
    """The texts that were given; without any, the one for a float32 input of the model's usual shape."""
    return tuple(texts or [",".join(map(str, usual))])


def text_of(tensor: torch.Tensor) -> str:
    """One unnamed input as such a text."""
    sizes, dtype = ",".join(map(str, tensor.shape)) or "()", str(tensor.dtype).removeprefix("torch.")
    return sizes if dtype == "float32" else f"{sizes}:{dtype}"


def parse_inputs(texts: Sequence[str]) -> tuple[Any, ...]:
    """The forward's arguments, zeros: one for each unnamed shape, then a dictionary of the named ones.

    Raises UsageError for a text that is no input, and for a name that comes twice.
    """
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


def shapes_of(texts: Sequence[str] | None, model: str) -> Shapes | None:
    """The shapes that a model is built for: of all inputs of an ONNX file, else of the first. None where there are no texts.

    Raises UsageError for texts that name some inputs of a file and not others.
    """
    if not texts:
        return None
    parsed = [_parsed(text)[:2] for text in texts]
    shapes = [shape for _, shape in parsed]
    if (len(parsed) == 1 and not parsed[0][0]) or not model.endswith(".onnx"):
        return shapes[0]
    if not any(name for name, _ in parsed):
        return shapes
    if not all(name for name, _ in parsed):
        raise UsageError(
            f"--input-shape names some inputs of {model}, and others not: {' and '.join(texts)}. Write NAME=SHAPE for each, "
            "or a shape for every input in the file's order."
        )
    parse_inputs(texts)  # refuses a name that comes twice
    return dict(parsed)


def sample_shape(texts: Sequence[str], model: str) -> tuple[int, ...]:
    """The shape of one sample for a network with one input, without N. Raises UsageError where its inputs are others."""
    name, shape, _ = _parsed(texts[0])
    if len(texts) > 1 or name or len(shape) < 2:
        raise UsageError(
            f"--data gives one unnamed input [N, ...]; {model} takes {' and '.join(texts)}. Leave --data out. In Python, "
            "padless.plan and padless.recover take calibration batches of every kind."
        )
    return shape[1:]


def _parsed(text: str) -> tuple[str, tuple[int, ...], torch.dtype]:
    name, _, rest = text.rpartition("=")
    sizes, _, kind = rest.partition(":")
    dtype = getattr(torch, kind or "float32", None) if kind.isidentifier() or not kind else None
    try:
        shape = () if sizes == "()" else tuple(int(part) for part in sizes.split(","))
    except ValueError:
        shape = (0,)
    if min(shape, default=1) < 1:
        raise UsageError(f"Cannot read the input shape {text!r}. {WRITE}")
    if math.prod(shape) > ELEMENTS or len(shape) > AXES:
        raise UsageError(f"The input shape {text!r} is too large: {ELEMENTS:,} elements and {AXES} axes at most.")
    if not isinstance(dtype, torch.dtype):
        raise UsageError(f"Cannot read the input shape {text!r}: torch has no type {kind!r}. {WRITE}")
    return name, shape, dtype
