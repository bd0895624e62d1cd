"""Rendered lines of text, half of them upside down, as rapidocr-onnxruntime's direction classifier takes them."""

import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

WHEEL, CLASSIFIER = "rapidocr_onnxruntime", "ch_ppocr_mobile_v2.0_cls_infer.onnx"
SHAPE = (1, 3, 48, 192)  # what the file leaves open, as the package fills it
WORDS = (
    "account address airport analysis apple april balance battery blue border bottle bridge cabinet capital carbon castle "
    "channel city clinic coffee colour company copper corner credit dealer december delivery design diesel district doctor "
    "dragon eastern economy electric engine europe export factory family filter final finger forest frozen garden general "
    "glass golden green harbour hardware health hotel house import index invoice island january jungle kernel kitchen "
    "ladder lemon library limited london machine manual market medical metal mountain museum network number office olive "
    "orange order oxygen paper parking payment pepper phone picture planet plastic police product quality quarter quick "
    "railway receipt record river rocket salt school second service signal silver simple south special square station "
    "street student summer system table target taxi ticket total traffic university valley vehicle video village walk "
    "water weight west white window winter yellow zero"
)


def classifier_file() -> Path:
    """The trained file in the wheel. Ends with the reason where the wheel is not on the path."""
    found = find_spec(WHEEL)
    if found is None or found.origin is None:
        raise SystemExit(f"Skipped: {WHEEL} (1.4.4) is not on the path. Unpack its wheel there.")
    return Path(found.origin).parent / "models" / CLASSIFIER


def text_lines(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """`count` lines [N, 3, 48, 192], and which of them are turned by 180 degrees: every second one."""
    dice = np.random.default_rng(seed)
    turned = torch.arange(count) % 2
    return torch.stack([_prepared(_line(dice), bool(t)) for t in turned]), turned


def _line(dice: np.random.Generator) -> Image.Image:
    """One to four words in one of the fonts at hand: sizes, colours, a slight tilt, blur by scaling, noise."""
    font = _font(dice, int(dice.integers(16, 64)))
    text = " ".join(_word(dice) for _ in range(dice.integers(1, 5)))
    left, top, right, bottom = font.getbbox(text)
    margins = dice.integers(1, 10, 4)
    size = (int(right - left + margins[0] + margins[1]), int(bottom - top + margins[2] + margins[3]))
    dark, light = dice.integers(0, 110, 3), dice.integers(150, 256, 3)
    ground, ink = (dark, light) if dice.random() < 0.3 else (light, dark)
    image = Image.new("RGB", size, tuple(ground.tolist()))
    ImageDraw.Draw(image).text((margins[0] - left, margins[2] - top), text, font=font, fill=tuple(ink.tolist()))
    image = image.rotate(float(dice.uniform(-2, 2)), Image.Resampling.BILINEAR, fillcolor=tuple(ground.tolist()))
    noise = dice.normal(0, dice.uniform(0, 20), (size[1], size[0], 1))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def _word(dice: np.random.Generator) -> str:
    if dice.random() < 0.25:
        return "".join(dice.choice(list("0123456789"), dice.integers(1, 6)))
    word = str(dice.choice(WORDS.split()))
    return [word, word.capitalize(), word.upper()][dice.integers(3)]


def _font(dice: np.random.Generator, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own, or one of the DejaVu fonts that matplotlib brings."""
    found = find_spec("matplotlib")
    folder = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" if found and found.origin else Path()
    files = [None, *(folder / f"DejaVu{name}.ttf" for name in ("Sans", "Sans-Bold", "Serif", "SansMono"))]
    file = files[dice.integers(len(files))]
    return ImageFont.truetype(str(file), size) if file and file.exists() else ImageFont.load_default(size)


def _prepared(image: Image.Image, turned: bool) -> Tensor:
    """As the package does: to height 48 keeping the ratio, at most 192 wide, (x / 255 - 0.5) / 0.5, zeros on the right."""
    image = image.transpose(Image.Transpose.ROTATE_180) if turned else image
    x = torch.from_numpy(np.asarray(image)[..., ::-1].copy()).permute(2, 0, 1).float()  # blue first
    _, height, width = SHAPE[1:]
    wanted = min(width, math.ceil(height * x.shape[2] / x.shape[1]))
    x = F.interpolate(x[None], (height, wanted), mode="bilinear", align_corners=False)[0].round()
    return F.pad((x / 255 - 0.5) / 0.5, (0, width - wanted))
