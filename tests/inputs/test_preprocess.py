"""How bytes become inputs."""

import re

import pytest
import torch

import padless
from padless import Preprocess
from padless.errors import UsageError

PIXELS = torch.randint(0, 256, (4, 3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def settled(text, shape=(3, 5, 7)):
    return Preprocess.parse(text).settled(PIXELS[:, : min(shape[0], shape[2])], shape)


def test_the_formula():
    x = PIXELS.float()
    means, stds = (torch.tensor(v)[:, None, None] for v in ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    assert torch.equal(settled("mean=0.1,0.2,0.3, std=0.4,0.5,0.6")(PIXELS), (x / 255 - means) / stds)
    assert torch.equal(settled("mean=127.5,std=127.5,scale=1")(PIXELS), (x - 127.5) / 127.5)
    assert torch.equal(settled("scale=1/255")(PIXELS), x / 255)
    assert torch.equal(settled("std=2")(PIXELS), x / 255 / 2)
    assert torch.equal(settled("scale=1,bgr,mean=1,2,3")(PIXELS)[:, 0], x[:, 2] - 1)


def test_colours_last():
    for text in ("scale=1", "scale=1,layout=nhwc"):
        assert torch.equal(settled(text, (5, 7, 3))(PIXELS), PIXELS.float().permute(0, 2, 3, 1))
    assert Preprocess().picture((5, 7, 3)) == (3, 5, 7) and Preprocess().picture((3, 5, 7)) == (3, 5, 7)
    assert Preprocess(layout="nhwc").picture((3, 5, 1)) == (1, 3, 5)


@pytest.mark.parametrize("text", ["bgr", "layout=nchw"])
def test_without_numbers_the_images_own(text):
    x = settled(text)(PIXELS)
    assert x.mean((0, 2, 3)).abs().max() < 1e-5 and (x.std((0, 2, 3)) - 1).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("text", "message"),
    [("mean", "--preprocess says 'mean'. Write mean="), ("0.5", "--preprocess says '0.5'"), ("middle=3", "--preprocess says 'middle=3'"),
     ("mean=a", "has 'a' where a number is expected"), ("scale=1/0", "has '1/0' where a number"), ("scale=1,2", "gives 2 scales"),
     ("mean=1,2", "mean is one number, or one for each of 3 colours; got 2"), ("std=0", "std is above 0; got 0"),
     ("scale=-1", "scale is above 0; got -1"), ("scale=inf", "scale is above 0; got inf"),
     ("std=nan", "std is of numbers; got (nan,)"), ("layout=hwcn", "layout is nchw or nhwc; got 'hwcn'")],
)  # fmt: skip
def test_texts_that_are_none(text, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        Preprocess.parse(text)


def test_numbers_of_other_types():
    with pytest.raises(
        UsageError, match=re.escape("An image's mean is a float; expected tuple or NoneType. Write (0.5,)")
    ):
        Preprocess(mean=0.5)
    with pytest.raises(UsageError, match=re.escape("An image's std is of numbers; got ('1',)")):
        Preprocess(std=("1",))


def test_numbers_for_other_colours():
    with pytest.raises(UsageError, match=re.escape("mean has 3 numbers; the network takes 1 colour(s)")):
        padless.as_images([PIXELS[0, :1]], [PIXELS[0, :1]], shape=(1, 5, 7), preprocess=Preprocess(mean=(1, 2, 3)))
    with pytest.raises(UsageError, match="preprocess is a tuple; expected Preprocess"):
        padless.as_images([PIXELS[0]], [PIXELS[0]], shape=(3, 5, 7), preprocess=((0.5,), (0.5,)))
    with pytest.raises(
        UsageError, match=re.escape("shape is a int; expected Sequence. Write the shape of one sample, without N")
    ):
        padless.as_images([PIXELS[0]], [PIXELS[0]], shape=3)
    with pytest.raises(UsageError, match="preprocess is a str; expected Preprocess"):
        padless.load_images("digits", shape=(1, 8, 8), preprocess="mean=0.5")
