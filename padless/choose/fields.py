"""The fields of what a run keeps: a plan or a summary may come from anyone, so each number and text has its bounds."""

import json
import math
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field, ValidationError

from padless.errors import UsageError
from padless.treat import Treatment

ELEMENTS, AXES, INPUTS = 1 << 28, 8, 64  # of an input; how many inputs
LETTERS = 10_000  # of a structure
MOST_BYTES = 1 << 26  # of a plan or a summary


def first_mistake(error: ValidationError) -> tuple[str, str, str]:
    """Of what a file does not hold, the first: its kind, the field with dots, the message."""
    first = error.errors()[0]
    return first["type"], ".".join(map(str, first["loc"])), first["msg"]


def _small(shape: list[int]) -> list[int]:
    if math.prod(shape) > ELEMENTS:
        raise ValueError(f"an input of {math.prod(shape):,} elements is too large; at most {ELEMENTS:,}")
    return shape


def _type(name: str) -> str:
    if not isinstance(getattr(torch, name, None), torch.dtype):
        raise ValueError(f"torch has no type {name!r}")
    return name


def _structure(text: str) -> str:
    try:
        parts = json.loads(text) if 0 < len(text) <= LETTERS else []
        if not isinstance(parts, list) or not all(map(_is_part, parts)):
            raise ValueError
    except (ValueError, RecursionError) as error:
        raise ValueError(f"expected a JSON list of the arguments, of at most {LETTERS:,} letters") from error
    return text


def _is_part(part: Any) -> bool:
    if isinstance(part, dict):
        return all(map(_is_part, part.values()))
    if isinstance(part, list):
        return bool(part) and part[0] in ("tuple", "list") and all(map(_is_part, part[1:]))
    return part is None or type(part) is int


def numbered(structure: str) -> list[int]:
    """The numbers of the tensors in a structure, in their order."""

    def numbers(part: Any) -> list[int]:
        if isinstance(part, dict):
            return [n for value in part.values() for n in numbers(value)]
        if isinstance(part, list):
            return [n for value in part for n in numbers(value)]
        return [part] if isinstance(part, int) else []

    return numbers(json.loads(structure))


def _treatment(name: str) -> str:
    try:
        Treatment.parse(name)
    except UsageError as error:
        raise ValueError(str(error)) from error
    return name


Digest = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=1 << 63)]
Shape = Annotated[list[Annotated[int, Field(ge=1, le=ELEMENTS)]], Field(max_length=AXES), AfterValidator(_small)]
Shapes = Annotated[list[Shape], Field(min_length=1, max_length=INPUTS)]
Structure = Annotated[
    str, AfterValidator(_structure)
]  # JSON: a list of the arguments, in which numbers stand for tensors
TreatmentName = Annotated[str, Field(max_length=32), AfterValidator(_treatment)]
Type = Annotated[str, Field(max_length=32), AfterValidator(_type)]
Zeros = Annotated[int, Field(ge=0, le=4096)]  # channels that a group gets: more than any unit asks for
