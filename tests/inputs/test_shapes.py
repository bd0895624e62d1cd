"""`--input-shape` in all its forms."""

import re

import pytest
import torch

from padless.errors import UsageError
from padless.inputs import inputs_of, load_model, parse_inputs, sample_shape, shapes_of
from padless.inputs.shapes import text_of


def test_shapes_become_arguments():
    assert sample_shape(["2,3,8,9"], "m") == (3, 8, 9)
    assert inputs_of(None, (1, 3, 4, 4)) == inputs_of((), [1, 3, 4, 4]) == ("1,3,4,4",)
    assert inputs_of(["1,3", "x=2"], (1,)) == ("1,3", "x=2")
    (usual,) = parse_inputs(["1,3,4,4"])
    assert usual.shape == (1, 3, 4, 4) and usual.dtype is torch.float32
    image, number = parse_inputs(["1,3,8,8", "1:int64"])
    assert (image.dtype, number.dtype, number.shape) == (torch.float32, torch.int64, (1,))
    image, named = parse_inputs(["1,3,8,8", "mask=1,1,8,8:bool", "ids=1,4:int32"])
    assert {k: (v.dtype, tuple(v.shape)) for k, v in named.items()} == {
        "mask": (torch.bool, (1, 1, 8, 8)),
        "ids": (torch.int32, (1, 4)),
    }


def test_models_are_built_for_the_first_input_and_files_for_all():
    assert shapes_of(None, "m") is shapes_of([], "m.onnx") is None
    assert shapes_of(["x=1,3,8,8:int64", "1,2"], "m") == (1, 3, 8, 8)
    assert shapes_of(["1,3,8,8"], "m.onnx") == (1, 3, 8, 8)
    assert shapes_of(["1,3,8,8", "1,2:int64"], "m.onnx") == [(1, 3, 8, 8), (1, 2)]
    assert shapes_of(["x=1,3,8,8", "ids=1,2"], "m.onnx") == {"x": (1, 3, 8, 8), "ids": (1, 2)}
    with pytest.raises(
        UsageError, match=r"names some inputs of m\.onnx, and others not: x=1,2 and 3\. Write NAME=SHAPE for"
    ):
        shapes_of(["x=1,2", "3"], "m.onnx")
    with pytest.raises(UsageError, match="names 'x' twice"):
        shapes_of(["x=1,2", "x=3"], "m.onnx")
    with pytest.raises(
        UsageError, match=r"input_shape has names, which are for ONNX files; 'cifar10/resnet18' is none"
    ):
        load_model("cifar10/resnet18", input_shape={"x": (1, 3, 32, 32)})


def test_a_single_number_has_a_shape_to_write():
    (number,) = parse_inputs([text_of(torch.tensor(3))])
    assert number.shape == () and number.dtype is torch.int64


@pytest.mark.parametrize(
    ("texts", "message"),
    [(["1,3,a"], "Cannot read the input shape '1,3,a'. Write whole numbers"), (["x=0,3"], "Cannot read the input shape 'x=0,3'"),
     (["1,3:int65"], "torch has no type 'int65'"), (["1,3:nn"], "torch has no type 'nn'"),
     (["x=1", "x=2"], "--input-shape names 'x' twice")],
)  # fmt: skip
def test_shapes_that_are_none(texts, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_inputs(texts)


@pytest.mark.parametrize("texts", [["1,3,8,8", "1,3,8,8"], ["x=1,3,8,8"], ["3"]])
def test_data_is_for_one_unnamed_input(texts):
    taken = re.escape(" and ".join(texts))
    with pytest.raises(UsageError, match=rf"one unnamed input \[N, ...\]; mine takes {taken}. Leave --data out"):
        sample_shape(texts, "mine")
