"""`--input-shape` in all its forms."""

import re

import pytest
import torch

from padless.cli.shapes import first_shape, parse_inputs, parse_shape
from padless.errors import UsageError


def test_shapes_become_arguments():
    assert parse_shape(None) is first_shape([]) is None
    assert parse_shape(["1,3,8,8"]) == first_shape(["x=1,3,8,8:int64", "1,2"]) == (1, 3, 8, 8)
    (usual,) = parse_inputs(None, (1, 3, 4, 4))
    assert usual.shape == (1, 3, 4, 4)
    image, number = parse_inputs(["1,3,8,8", "1:int64"], (1,))
    assert (image.dtype, number.dtype, number.shape) == (torch.float32, torch.int64, (1,))
    image, named = parse_inputs(["1,3,8,8", "mask=1,1,8,8:bool", "ids=1,4:int32"], (1,))
    assert {k: (v.dtype, tuple(v.shape)) for k, v in named.items()} == {
        "mask": (torch.bool, (1, 1, 8, 8)),
        "ids": (torch.int32, (1, 4)),
    }


@pytest.mark.parametrize(
    ("texts", "message"),
    [(["1,3,a"], "Cannot read the input shape '1,3,a'. Write whole numbers"), (["x=0,3"], "Cannot read the input shape 'x=0,3'"),
     (["1,3:int65"], "torch has no type 'int65'"), (["1,3:nn"], "torch has no type 'nn'"),
     (["x=1", "x=2"], "--input-shape names 'x' twice")],
)  # fmt: skip
def test_shapes_that_are_none(texts, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_inputs(texts, (1,))


@pytest.mark.parametrize("texts", [["1,3", "1,3"], ["x=1,3"], ["1,3:int64"]])
def test_commands_that_run_on_images_take_one_input(texts):
    with pytest.raises(UsageError, match="this command runs on images alone: one unnamed float32 input"):
        parse_shape(texts)
