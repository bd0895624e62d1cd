"""The inputs of one run as data: their shapes, types and structure, and new inputs made from those."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from padless.batches import arguments, count_of, images_of, tensors_in

CLASSES = 2  # values of whole-number inputs: few enough to be positions in any table


def batch_of(shapes: Iterable[tuple[int, ...]]) -> int:
    """How many inputs one run has: the length of the first tensor that is more than a number."""
    return next((shape[0] for shape in shapes if shape), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What a forward is called with, without the values: tensors are numbered in their order."""

    shapes: tuple[tuple[int, ...], ...]
    types: tuple[str, ...]  # such as "float32"
    structure: str  # JSON: a list of the arguments, in which a number stands for a tensor

    @staticmethod
    def of(arguments: tuple[Any, ...]) -> "Example":
        tensors = list(tensors_in(arguments))
        numbers = iter(range(len(tensors)))
        return Example(
            shapes=tuple(tuple(t.shape) for t in tensors),
            types=tuple(str(t.dtype).removeprefix("torch.") for t in tensors),
            structure=json.dumps([_written(part, numbers) for part in arguments]),
        )

    @property
    def dtypes(self) -> list[torch.dtype]:
        return [getattr(torch, name) for name in self.types]

    def arguments(self, tensors: list[Tensor]) -> tuple[Any, ...]:
        """The forward's arguments with these tensors."""
        return tuple(_read(part, tensors) for part in json.loads(self.structure))

    def empty(self) -> tuple[Any, ...]:
        """Arguments on the meta device."""
        pairs = zip(self.shapes, self.dtypes, strict=True)
        return self.arguments([torch.empty(shape, dtype=dtype, device="meta") for shape, dtype in pairs])

    def random(self, seed: int, dtype: torch.dtype | None = None, *, positive: bool = False) -> list[Tensor]:
        """Seeded tensors: normal ones (with `positive`, between 0 and 1) where they are floating point, of `dtype` if given.

        Whole numbers are 0 and 1, which are positions in any table; bytes are those of images.
        """
        generator = torch.Generator().manual_seed(seed)
        return [
            self._tensor(shape, own, dtype, generator, positive)
            for shape, own in zip(self.shapes, self.dtypes, strict=True)
        ]

    def of_images(self, batches: Iterable[Any]) -> list[Tensor] | None:
        """As many images of the first batch that has enough, where they have these shapes; else None."""
        count = batch_of(self.shapes)
        batch = next((batch for batch in batches if count_of(batch) >= count), None)
        if batch is None:
            return None
        tensors = list(tensors_in(arguments(images_of(batch, 0, count))))
        if tuple(tuple(t.shape) for t in tensors) != self.shapes:
            return None
        return [t.to("cpu", own) for t, own in zip(tensors, self.dtypes, strict=True)]

    @staticmethod
    def _tensor(
        shape: tuple[int, ...], own: torch.dtype, dtype: torch.dtype | None, generator: torch.Generator, positive: bool
    ) -> Tensor:
        if own is torch.uint8:
            return torch.randint(0, 256, shape, generator=generator, dtype=own)
        if not own.is_floating_point and not own.is_complex:
            return torch.randint(0, CLASSES, shape, generator=generator).to(own)
        draw = torch.rand if positive else torch.randn
        wide = torch.complex128 if own.is_complex else torch.float64
        values = draw(shape, generator=generator, dtype=wide)
        return values.to(own if own.is_complex else dtype or own)


def _written(part: Any, numbers: Any) -> Any:
    if isinstance(part, Tensor):
        return next(numbers)
    if isinstance(part, Mapping):
        return {key: _written(value, numbers) for key, value in part.items()}
    if isinstance(part, tuple | list):
        return ["tuple" if isinstance(part, tuple) else "list", *(_written(value, numbers) for value in part)]
    return None


def _read(part: Any, tensors: list[Tensor]) -> Any:
    if isinstance(part, int):
        return tensors[part]
    if isinstance(part, dict):
        return {key: _read(value, tensors) for key, value in part.items()}
    if isinstance(part, list):
        return (tuple if part[0] == "tuple" else list)(_read(value, tensors) for value in part[1:])
    return None
