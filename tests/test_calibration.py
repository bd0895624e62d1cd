"""What calibration batches may be given as."""

import numpy as np
import pytest
import torch
from models.networks import small
from torch.utils.data import DataLoader, Dataset, TensorDataset

from padless import export, plan, prune, recover
from padless.errors import UsageError

X, Y = torch.randn(20, 3, 16, 16), torch.arange(20) % 4
FORMS = {
    "batches": lambda: list(X.split(5)),
    "a loader with labels": lambda: DataLoader(TensorDataset(X, Y), 5),
    "a loader without": lambda: DataLoader(TensorDataset(X), 5),
    "arrays": lambda: [part.numpy() for part in X.split(5)],
    "arrays with labels": lambda: [(x.numpy(), y.numpy()) for x, y in zip(X.split(5), Y.split(5), strict=True)],
}


def scores(images):
    made = plan(small(), X[:1], target="unit:8", budget="macs=50%", images=images, importance="activation")
    return made.keep, made.importance_kept


@pytest.mark.parametrize("form", FORMS)
def test_labels_are_left_out(form):
    torch.manual_seed(0)
    expected = scores(FORMS["batches"]())
    torch.manual_seed(0)
    assert scores(FORMS[form]()) == expected


def test_a_data_set_is_calibration_and_so_is_a_loader_everywhere(tmp_path):
    model, data = small(), TensorDataset(X, Y)
    made = plan(model, X[:1], target="unit:8", budget="macs=50%", images=data)
    cut = prune(model, made, images=data)
    assert recover(cut, model, made, DataLoader(data, 10)).images == 20
    assert export(cut, X[:1], tmp_path / "small.tflite", images=data).fidelity.agreement is not None


class Pictures(Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, number):
        return object(), number


def test_a_data_set_without_tensors():
    with pytest.raises(
        UsageError, match=r"The data set's items are no tensors: .* Give a transform that makes tensors"
    ):
        scores(Pictures())
    with pytest.raises(TypeError, match="my own"):
        scores(part for part in _broken())


class Uneven(Pictures):
    def __getitem__(self, number):
        return torch.zeros(3, 16 + number, 16), number


@pytest.mark.parametrize(
    ("images", "message"),
    [(X.numpy(), r"images is one array; expected several batches \[N, ...\]. Write \[images\]"),
     (Uneven(), "The data set's items are of several sizes: stack expects each tensor to be equal size"),
     (DataLoader(TensorDataset(X, X[:, 0]), 5), "A batch of images has 2 parts, and the forward takes 1.*leave other labels"),
     ([np.array(["cat"])], "A batch of images is an array of <U3; expected numbers")],
)  # fmt: skip
def test_what_is_no_calibration(images, message):
    with pytest.raises(UsageError, match=message):
        scores(images)


def _broken():
    yield np.zeros((2, 3, 16, 16), np.float32)
    raise TypeError("my own")
