"""What is done to training samples before the network sees them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from padless.calls import imported
from padless.errors import PadlessError, UsageError, expect
from padless.inputs import Images

KNOWN = ("auto", "none", "flip", "crop")
Own = Callable[[Tensor, torch.Generator], Tensor]


class Augmentation:
    """Random crops from a reflected border of an eighth of the image, and mirroring, as `augment` says:

    `auto` crops images, and mirrors them where that keeps the label; arrays such as spectrograms stay as they are. `none`,
    `flip` and `crop` do that alone. `package.module:function` is called with samples [n, ...], images being uint8, and a
    `torch.Generator`, and gives samples of the same shape and type.

    Raises UsageError for what is not known, and for crops and mirroring of samples that have no rows and columns; when it is
    called PadlessError where the function fails, and UsageError for samples of another shape or type.
    """

    def __init__(self, augment: str, images: Images) -> None:
        known = augment in KNOWN
        self.own = None if known else _named(augment)
        pictures = images.preprocess is not None
        self.crops = augment == "crop" or (augment == "auto" and pictures)
        self.flips = augment == "flip" or (augment == "auto" and images.flips)
        shape = images.train.shape[1:]
        if (self.crops or self.flips) and len(shape) != 3:
            raise UsageError(
                f"--augment {augment} is for images [C, H, W]; these samples are {list(shape)}. Write none, or "
                "package.module:function."
            )
        self.borders = [min(max(1, n // 8), n - 1) for n in shape[1:]] if len(shape) == 3 else [0, 0]

    def drawn(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """For `count` samples where their crops begin [2, count], and whether they are mirrored [count]."""
        shift = torch.stack([torch.randint(0, 2 * b + 1, (count,), generator=generator) for b in self.borders])
        flip = torch.rand(count, generator=generator) < (0.5 if self.flips else 0.0)
        if not self.crops:
            shift = torch.tensor(self.borders)[:, None].expand(2, count)
        return shift, flip

    def __call__(self, samples: Tensor, drawn: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        if self.crops or self.flips:
            return crops(samples, *drawn, self.borders)
        if self.own is None:
            return samples
        try:
            changed: Any = self.own(samples, generator)
        except Exception as error:  # the user's function may fail in any way
            raise PadlessError(f"The augmentation failed: {type(error).__name__}: {error}") from error
        if not isinstance(changed, Tensor) or changed.shape != samples.shape or changed.dtype != samples.dtype:
            got = f"{changed.dtype} {list(changed.shape)}" if isinstance(changed, Tensor) else type(changed).__name__
            raise UsageError(
                f"The augmentation made {got} of {samples.dtype} {list(samples.shape)}; expected the same shape and type."
            )
        return changed


def crops(images: Tensor, shift: Tensor, flip: Tensor, borders: Sequence[int]) -> Tensor:
    """Each of the images [n, C, H, W] from its reflected border at `shift` [2, n], mirrored where `flip` [n]
    says so. `borders` are of rows and columns."""
    n, _, rows, columns = images.shape
    padded = F.pad(images.float(), [borders[1]] * 2 + [borders[0]] * 2, mode="reflect").to(images.dtype)
    y, x = shift[0, :, None] + torch.arange(rows), shift[1, :, None] + torch.arange(columns)
    x = torch.where(flip[:, None], x.flip(1), x)
    return padded[torch.arange(n)[:, None, None], :, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)


def _named(text: str) -> Own:
    expect(text, str, "augment", f"Write {', '.join(KNOWN)} or package.module:function.")
    if ":" not in text:
        raise UsageError(f"No augmentation {text!r}. Write {', '.join(KNOWN)} or package.module:function.")
    try:
        own: Own = imported(text)
    except Exception as error:  # the user's module may fail in any way
        raise UsageError(f"No augmentation {text!r}: {error}. Write package.module:function.") from error
    if not callable(own):
        raise UsageError(f"No augmentation {text!r}: it is a {type(own).__name__}. Write package.module:function.")
    return own
