"""Samples that are no labelled images: arrays, files of them, functions, loaders, folders without labels."""

import dataclasses
import re
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import padless
from padless.errors import PadlessError, UsageError
from padless.inputs import load_images

SHAPE = (1, 6, 4)  # a spectrogram
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(10, *SHAPE)), RNG.integers(0, 3, 10)
TENSORS = torch.from_numpy(X).float(), torch.from_numpy(Y)


def same(images, rows=range(10), labelled=True):
    assert images.train.dtype is torch.float32 and torch.equal(images.train, TENSORS[0][list(rows)])
    assert images.preprocess is None and not images.flips and torch.equal(images.normalised(images.train), images.train)
    if labelled:
        assert torch.equal(images.train_labels, TENSORS[1][list(rows)]) and images.classes == int(Y.max()) + 1
    else:
        assert images.train_labels is None and images.classes == 0


def batches(labelled):
    return ((x, y) if labelled else x for x, y in zip(TENSORS[0].split(4), TENSORS[1].split(4), strict=True))


@pytest.mark.parametrize(
    "form",
    [(X, Y), TENSORS, list(zip(X, Y, strict=True)), TensorDataset(*TENSORS), DataLoader(TensorDataset(*TENSORS), 3),
     [{"x": x, "y": y} for x, y in zip(X, Y, strict=True)], list(batches(True))],
)  # fmt: skip
def test_samples_with_labels(form):
    same(padless.as_images(form, form, shape=SHAPE))


def test_a_generator_of_batches():
    same(padless.as_images(batches(True), batches(True), shape=SHAPE))
    same(padless.as_images(batches(False), batches(False), shape=SHAPE), labelled=False)


@pytest.mark.parametrize("form", [X, TENSORS[0], list(X), TensorDataset(TENSORS[0]), [{"x": x} for x in X]])
def test_samples_without_labels(form):
    images = padless.as_images(form, X, shape=SHAPE)
    same(images, labelled=False)
    assert images.measured == "agreement" and len(list(images.calibration(6, 0, batch=4))) == 2
    assert images.digest() == padless.as_images(X, X, shape=SHAPE).digest()


def test_whole_numbers_stay():
    tokens = torch.arange(20).reshape(4, 5)
    assert torch.equal(padless.as_images(tokens, tokens, shape=(5,)).train, tokens)


def test_a_part_is_held_out():
    images = padless.as_images((X, Y), shape=SHAPE)
    assert len(images.train) == 8 and len(images.test) == 2
    rows = {x.numpy().tobytes() for x in (*images.train, *images.test)}
    assert rows == {x.numpy().tobytes() for x in TENSORS[0]}
    again = padless.as_images((X, Y), shape=SHAPE)
    assert torch.equal(images.test, again.test) and torch.equal(images.test_labels, again.test_labels)
    assert padless.as_images(X, shape=SHAPE).test_labels is None
    with pytest.raises(UsageError, match="There is 1 sample; a test set is held out of 2 or more"):
        padless.as_images(X[:1], shape=SHAPE)


def test_a_part_of_them():
    labelled, alone = padless.as_images((X, Y), (X, Y), shape=SHAPE), padless.as_images(X, X, shape=SHAPE)
    rows = torch.tensor([2, 1])
    same(labelled.part(rows, rows), [2, 1])
    assert torch.equal(labelled.part(rows, rows).test_labels, TENSORS[1][rows])
    same(alone.part(rows, rows), [2, 1], labelled=False)
    answered = dataclasses.replace(alone, train_labels=TENSORS[1], answers=(TENSORS[0],))  # as `against` leaves them
    part = answered.part(rows, rows)
    assert torch.equal(part.train_labels, TENSORS[1][rows]) and part.answers is None


@pytest.mark.parametrize(
    ("given", "message"),
    [(X[:, 0], r"Sample 0 of train cannot be read: it is float64 [10, 6, 4]"), ("words", "train is a str; expected a tensor or array"),
     ({"train": X}, "train is a dict; expected"), (7, "train is a int; expected"), ((X, Y[:3]), "train has 10 samples and 3 labels"),
     ([X[0], X[0, 0]], "Sample 1 of train cannot be read: it is float64 [6, 4]; the network takes [1, 6, 4]"),
     ([X[0], "a.png"], "Sample 1 of train cannot be read"), ([X[0], object()], "it is a object, others are arrays"),
     ([(X[:1], 3)], "A batch [1, 1, 6, 4] has the labels 3; expected 1. A sample of the network is [1, 6, 4]"),
     ([(X[:3], Y[:2])], "expected 3. A sample"), (np.array(3), "train is a ndarray; expected a tensor or array"),
     (np.zeros((3, 6, 4, 2, 1), np.uint8), "Images are for networks that take [N, C, H, W]"), (X[:0], "There are no train images")],
)  # fmt: skip
def test_what_does_not_fit(given, message):
    shape = (6, 4, 2, 1) if "Images are" in message else SHAPE
    given = [X[:, 0]] if "[10, 6, 4]" in message else given  # a batch that lacks an axis reads as one sample
    with pytest.raises(UsageError, match=re.escape(message)):
        padless.as_images(given, X, shape=shape)


class Longer:
    def __len__(self):
        return 1

    def __iter__(self):
        return iter(X)


class Empty(Longer):
    def __iter__(self):
        return iter(())


def test_lengths_that_lie():
    with pytest.raises(UsageError, match="train gave more images than its length, 1"):
        padless.as_images(Longer(), X, shape=SHAPE)
    with pytest.raises(UsageError, match="train gave 0 images; its length is 1"):
        padless.as_images(Empty(), X, shape=SHAPE)


@pytest.mark.parametrize(
    "names", [("train", "train_labels", "test", "test_labels"), ("x_train", "y_train", "x_test", "y_test")]
)
def test_an_npz_file(tmp_path, names):
    file = tmp_path / "spectra.npz"
    np.savez(file, **dict(zip(names, (X, Y[:, None], X, Y), strict=True)))  # Keras keeps labels as a column
    same(load_images(str(file), shape=SHAPE))


def test_files_without_labels(tmp_path):
    np.save(tmp_path / "all.npy", X)
    np.savez(tmp_path / "all.npz", anything=X)
    for name in ("all.npy", "all.npz"):
        images = load_images(str(tmp_path / name), shape=SHAPE)
        assert (len(images.train), len(images.test), images.measured) == (8, 2, "agreement")
    (tmp_path / "all.npy").unlink()
    for number, x in enumerate(X):
        np.save(tmp_path / f"{number}.npy", x)
    folder = load_images(str(tmp_path), shape=SHAPE)
    assert folder.train.dtype is torch.float32 and (len(folder.train), len(folder.test)) == (8, 2)
    (tmp_path / "0.npy").write_bytes(b"")
    with pytest.raises(UsageError, match="Sample 0 of .* cannot be read: No data left in file"):
        load_images(str(tmp_path), shape=SHAPE)


def test_a_files_type_says_what_it_holds(tmp_path):
    for number in range(5):
        np.save(tmp_path / f"{number}.NPY", np.full((9, 9), number, np.uint8))
        (tmp_path / f"{number}.NPY.npy").rename(tmp_path / f"{number}.NPY")
    pictures = load_images(str(tmp_path), shape=(1, 8, 8))
    assert pictures.train.dtype is torch.uint8 and pictures.preprocess is not None
    for number in range(5):
        (tmp_path / f"{number}.NPY").unlink()
        np.save(tmp_path / f"{number}.npy", np.arange(4))
    assert load_images(str(tmp_path), shape=(4,)).train.dtype is torch.int64
    np.save(tmp_path / "4.npy", np.ones(4))
    with pytest.raises(UsageError, match="Sample 4 of .* cannot be read: it is float64, the first one int64"):
        load_images(str(tmp_path), shape=(4,))


def test_bad_files(tmp_path):
    def fails(message, file):
        with pytest.raises(UsageError, match=message):
            load_images(str(file), shape=SHAPE)

    fails(r"No images at '.*none.npy'. Give digits, a folder, an .npy or .npz file", tmp_path / "none.npy")
    fails("No images at 'none.npz'", "none.npz")
    fails("No images at 'below/none.npz'", "below/none.npz")  # and no data set of the hub
    (tmp_path / "bad.npz").write_bytes(b"PK but no archive")
    fails("bad.npz cannot be read: .*Nothing is unpickled", tmp_path / "bad.npz")
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], dtype=object))
    fails("pickled.npy cannot be read: .*Nothing is unpickled", tmp_path / "pickled.npy")
    np.savez(tmp_path / "two.npz", left=X, right=X)
    fails("two.npz has the arrays left, right; expected train, train_labels, test", tmp_path / "two.npz")


def module(monkeypatch, tmp_path, body):
    (tmp_path / "own_samples.py").write_text(f"import torch\n{body}")
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("own_samples", None)


def test_a_function_of_ones_own(tmp_path, monkeypatch):
    lines = (
        "x, y = torch.arange(240.).reshape(10, 1, 6, 4), torch.arange(10) % 3",
        "def pair(): return x, y", "def split(): return (x[:7], y[:7]), (x[7:], y[7:])",
        "def named(): return {'train': (x, y), 'test': (x, y)}", "def alone(): return {'train': x}",
        "def stream():\n    for part in x.split(3): yield part",
        "def broken(): raise ValueError('no disk')", "def wrong(): return {'valid': x}",
    )  # fmt: skip
    module(monkeypatch, tmp_path, "\n".join(lines))

    def sizes(name):
        images = load_images(f"own_samples:{name}", shape=SHAPE)
        return len(images.train), len(images.test), images.measured

    assert sizes("pair") == (8, 2, "accuracy") and sizes("split") == (7, 3, "accuracy")
    assert sizes("named") == (10, 10, "accuracy") and sizes("alone") == (8, 2, "agreement")
    assert sizes("stream") == (8, 2, "agreement")
    with pytest.raises(PadlessError, match="own_samples:broken failed: ValueError: no disk"):
        sizes("broken")
    with pytest.raises(UsageError, match="own_samples:wrong gave valid; expected train, and test"):
        sizes("wrong")
    with pytest.raises(UsageError, match="No images at 'own_samples:none': .*Write package.module:function"):
        sizes("none")


def test_folders_without_labels(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    for number in range(10):
        (tmp_path / f"day{number % 2}").mkdir(exist_ok=True)
        pil.new("L", (9, 9), number).save(tmp_path / f"day{number % 2}" / f"{number}.png")
    images = load_images(str(tmp_path), shape=(1, 8, 8))
    assert (len(images.train), len(images.test), images.measured) == (8, 2, "agreement")
    (tmp_path / "day0").rename(tmp_path / "train")
    (tmp_path / "day1").rename(tmp_path / "val")
    images = load_images(str(tmp_path), shape=(1, 8, 8))
    assert images.train[:, 0, 0, 0].tolist() == [0, 2, 4, 6, 8] and images.test[:, 0, 0, 0].tolist() == [1, 3, 5, 7, 9]
