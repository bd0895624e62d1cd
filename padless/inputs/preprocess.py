"""How the bytes of an image become what a network takes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from padless.errors import UsageError, expect

LAYOUTS = ("nchw", "nhwc")
HINT = (
    "Write mean=…,std=…,scale=…,layout=nchw|nhwc,bgr, any of them, such as mean=0.485,0.456,0.406,std=0.229,0.224,0.225 "
    "or mean=127.5,std=127.5,scale=1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess:
    """(byte * scale - mean) / std for each colour, or one number for all. `bgr`: blue comes first.

    Without any of these numbers, mean and std are those of the training images. `layout` is the network's, nchw or nhwc;
    None: told by where its shape has 1 or 3. Raises UsageError for numbers that cannot be meant.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    scale: float | None = None  # None: 1/255
    layout: str | None = None
    bgr: bool = False

    def __post_init__(self) -> None:
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            expect(
                numbers, (tuple, type(None)), f"An image's {name}", "Write (0.5,), or a number for each of 3 colours."
            )
            if numbers and not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
                raise UsageError(f"An image's {name} is of numbers; got {numbers}. {HINT}.")
            if numbers is not None and len(numbers) not in (1, 3):
                raise UsageError(
                    f"An image's {name} is one number, or one for each of 3 colours; got {len(numbers)}. {HINT}."
                )
        if self.std is not None and min(self.std) <= 0:
            raise UsageError(f"An image's std is above 0; got {min(self.std):g}. {HINT}.")
        if self.scale is not None and not 0 < self.scale < math.inf:
            raise UsageError(f"An image's scale is above 0; got {self.scale:g}. {HINT}.")
        if self.layout not in (None, *LAYOUTS):
            raise UsageError(f"An image's layout is nchw or nhwc; got {self.layout!r}. {HINT}.")

    @staticmethod
    def parse(text: str) -> "Preprocess":
        """What `--preprocess` says. Raises UsageError for what cannot be read."""
        numbers: dict[str, list[float]] = {}
        layout, bgr, last = None, False, ""
        for part in text.replace(" ", "").split(","):
            name, equals, value = part.rpartition("=")
            if part == "bgr":
                bgr = True
            elif name == "layout":
                layout = value
            else:
                last = name if equals else last
                if last not in ("mean", "std", "scale"):
                    raise UsageError(f"--preprocess says {part!r}. {HINT}.")
                numbers.setdefault(last, []).append(_number(value))
        scale = numbers.get("scale")
        if scale and len(scale) > 1:
            raise UsageError(f"--preprocess gives {len(scale)} scales; one is for all colours. {HINT}.")
        return Preprocess(
            mean=_several(numbers.get("mean")), std=_several(numbers.get("std")), scale=scale[0] if scale else None,
            layout=layout, bgr=bgr,
        )  # fmt: skip

    def picture(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """(colours, rows, columns) of the images for a network that takes [N, *shape].

        Raises UsageError where images do not fit it.
        """
        if len(shape) != 3:
            raise UsageError(
                f"Images are for networks that take [N, C, H, W] or [N, H, W, C]; this one takes "
                f"[N, {', '.join(map(str, shape))}]. Give arrays as it takes them."
            )
        colours, *_ = (shape[2], shape[0]) if self.channels_last(shape) else (shape[0],)
        if colours not in (1, 3):
            raise UsageError(f"The network takes {colours} channels; images have 1 (grey) or 3 (red, green, blue).")
        return (shape[2], shape[0], shape[1]) if self.channels_last(shape) else (shape[0], shape[1], shape[2])

    def channels_last(self, shape: Sequence[int]) -> bool:
        """Whether a network that takes [N, *shape] has its colours at the end."""
        if self.layout:
            return self.layout == "nhwc"
        return shape[0] not in (1, 3) and shape[-1] in (1, 3)

    def settled(self, train: Tensor, shape: Sequence[int]) -> "Preprocess":
        """With all numbers and the layout said; mean and std of the images `train` [N, C, H, W] where there are none."""
        layout, colours = LAYOUTS[self.channels_last(shape)], train.shape[1]
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if numbers and len(numbers) not in (1, colours):
                raise UsageError(
                    f"An image's {name} has {len(numbers)} numbers; the network takes {colours} colour(s)."
                )
        if self.mean is None and self.std is None and self.scale is None:
            pixels = train[:5000].float() / 255
            mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3)).clamp_min(1e-3)
            if self.bgr:
                mean, std = mean.flip(0), std.flip(0)
            return replace(self, mean=tuple(mean.tolist()), std=tuple(std.tolist()), scale=1 / 255, layout=layout)
        return replace(
            self, mean=self.mean or (0.0,), std=self.std or (1.0,), scale=self.scale or 1 / 255, layout=layout
        )

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 images [N, C, H, W], red first, as the network takes them: float32."""
        assert self.mean
        assert self.std
        assert self.scale
        mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (self.mean, self.std))
        pixels = images.flip(1) if self.bgr else images
        normalised = (pixels.float() / (1 / self.scale) - mean) / std  # 255 is exact, 1/255 is not
        return normalised.movedim(1, -1).contiguous() if self.layout == "nhwc" else normalised


def _number(text: str) -> float:
    """3, 0.5 or 1/255."""
    above, _, below = text.partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"--preprocess has {text!r} where a number is expected. {HINT}.") from error


def _several(numbers: list[float] | None) -> tuple[float, ...] | None:
    return None if numbers is None else tuple(numbers)
