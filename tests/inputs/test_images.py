"""Images by place, and from anything that gives pairs."""

import io
import os
import sys

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import parquet

import padless
from padless import Preprocess
from padless.errors import UsageError
from padless.inputs import load_images


def png(colour: int, size: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), colour, np.uint8)).save(buffer, "png")
    return buffer.getvalue()


def test_digits():
    images = load_images("digits", shape=(1, 32, 32))
    assert images.train.shape == (1400, 1, 32, 32) and images.test.shape == (397, 1, 32, 32)
    assert images.classes == 10 and not images.flips
    normalised = images.normalised(images.train)
    assert abs(float(normalised.mean())) < 0.01 and abs(float(normalised.std()) - 1) < 0.01
    assert load_images("digits", shape=(3, 16, 16)).train.shape == (1400, 3, 16, 16)
    assert torch.bincount(torch.cat([images.train_labels, images.test_labels])).tolist() == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
    ]  # fmt: skip


def test_calibration_is_shuffled_training_data():
    images = load_images("digits", shape=(1, 8, 8))
    batches = list(images.calibration(200, seed=1, batch=128))
    assert [len(b) for b in batches] == [128, 72]
    again = next(images.calibration(200, seed=1))
    assert torch.equal(batches[0], again) and not torch.equal(again, next(images.calibration(200, seed=2)))
    known = {x.numpy().tobytes() for x in images.normalised(images.train)}
    assert all(x.numpy().tobytes() in known for b in batches for x in b)


def write_parquet(folder, image="img", label="label", splits=("train", "test")):
    for split in splits:
        rows = [{"bytes": png(10 * i), "path": None} for i in range(4)]
        table = pa.table({image: rows, label: [0, 1, 2, 0]})
        parquet.write_table(table, folder / f"{split}-00000.parquet")


def test_parquet(tmp_path):
    write_parquet(tmp_path)
    images = load_images(str(tmp_path), shape=(3, 8, 8), preprocess=Preprocess(mean=(0.5,) * 3, std=(0.25,)))
    assert images.train.shape == (4, 3, 8, 8) and images.flips
    assert images.train[2].unique().tolist() == [20] and images.train_labels.tolist() == [0, 1, 2, 0]
    assert float(images.normalised(images.train[:1]).unique()) == pytest.approx(-2)


def test_image_folder(tmp_path):
    for split in ("train", "val"):
        for name, colour in (("cat", 1), ("dog", 200)):
            (tmp_path / split / name).mkdir(parents=True)
            (tmp_path / split / name / "a.png").write_bytes(png(colour, size=12))
    images = load_images(str(tmp_path), shape=(3, 8, 8))
    assert images.test.shape == (2, 3, 8, 8) and images.test_labels.tolist() == [0, 1]
    assert images.names == ("cat", "dog")
    (tmp_path / "val").rename(tmp_path / "train" / "more")
    (tmp_path / "train" / "more" / "b.png").write_bytes(png(7))
    alone = load_images(str(tmp_path), shape=(3, 8, 8))  # its labels stay, and a test set is held out
    assert alone.names == ("cat", "dog", "more") and alone.measured == "accuracy"
    assert sorted([*alone.train_labels.tolist(), *alone.test_labels.tolist()]) == [0, 1, 2]


def test_hidden_files_are_neither_classes_nor_images(tmp_path):
    for split in ("train", "test"):
        for name in ("cat", ".ipynb_checkpoints"):
            (tmp_path / split / name).mkdir(parents=True)
            for file in ("a.png", ".b.png"):
                (tmp_path / split / name / file).write_bytes(png(7))
    images = load_images(str(tmp_path), shape=(3, 8, 8))
    assert images.names == ("cat",) and len(images.train) == len(images.test) == 1
    (tmp_path / "test" / "dog").mkdir()
    with pytest.raises(UsageError, match="test has the class 'dog', which .*train has not. Both need the same folders"):
        load_images(str(tmp_path), shape=(3, 8, 8))
    flat = tmp_path / "flat"
    (flat / ".thumbs").mkdir(parents=True)
    for file in ("a.png", "b.png", ".thumbs/c.png", ".d.png"):
        (flat / file).write_bytes(png(7))
    assert len(load_images(str(flat), shape=(3, 8, 8)).train) == 1  # the other one is held out


def test_images_of_16_bits_are_scaled(tmp_path):
    file = tmp_path / "deep.png"
    Image.fromarray(np.arange(0, 65536, 1024, np.uint16).reshape(8, 8)).save(file)
    images = padless.as_images([file], [file], shape=(1, 8, 8))
    assert images.train.flatten().tolist() == list(range(0, 256, 4))


def test_bad_places(tmp_path):
    def fails(message, folder=tmp_path):
        with pytest.raises(UsageError, match=message):
            load_images(str(folder), shape=(3, 8, 8))

    fails("No images at 'nowhere'", "nowhere")
    fails(r"holds neither train.*parquet and test.*parquet, nor train.*nor images \(.bmp, .*\), nor arrays")
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    fails("train holds neither")
    (tmp_path / "train" / "cat").mkdir()
    fails(r"train has no images \(.*\) in the folders cat")
    (tmp_path / "train" / "cat" / "a.png").write_bytes(b"no picture")
    (tmp_path / "test" / "cat").mkdir()
    (tmp_path / "test" / "cat" / "a.png").write_bytes(png(3))
    fails("Image 0 of train cannot be read")


def test_images_have_one_or_three_channels():
    with pytest.raises(UsageError, match="The network takes 4 channels; images have 1"):
        load_images("digits", shape=(4, 8, 8))


def test_bad_parquet(tmp_path):
    write_parquet(tmp_path)
    (tmp_path / "train-00000.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UsageError, match="Cannot read train-00000.parquet in"):
        load_images(str(tmp_path), shape=(3, 8, 8))
    (tmp_path / "test-00000.parquet").unlink()
    write_parquet(tmp_path, splits=("train",))
    with pytest.raises(UsageError, match=r"not both train\*.parquet and test\*.parquet"):
        load_images(str(tmp_path), shape=(3, 8, 8))
    write_parquet(tmp_path, label="kind")
    with pytest.raises(UsageError, match="has the columns img, kind; expected one called label or labels"):
        load_images(str(tmp_path), shape=(3, 8, 8))


def test_hub(monkeypatch):
    import datasets

    rows = datasets.Dataset.from_dict({"image": [Image.open(io.BytesIO(png(i))) for i in (1, 2)], "labels": [0, 1]})
    monkeypatch.setattr(datasets, "load_dataset", lambda place: {"train": rows, "validation": rows})
    assert load_images("someone/something", shape=(3, 8, 8)).train_labels.tolist() == [0, 1]
    monkeypatch.setattr(datasets, "load_dataset", lambda place: {"all": rows})
    with pytest.raises(UsageError, match="has the splits all; expected train and test"):
        load_images("someone/something", shape=(3, 8, 8))

    def fail(place):
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(UsageError, match="Cannot load the dataset 'someone/something': no network"):
        load_images("someone/something", shape=(3, 8, 8))


@pytest.mark.parametrize(
    ("module", "package", "place"),
    [("PIL", "pillow", "digits"), ("pyarrow", "pyarrow", "folder"), ("datasets", "datasets", "a/b")],
)  # fmt: skip
def test_missing_data_packages(module, package, place, monkeypatch, tmp_path):
    write_parquet(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        UsageError, match=rf"needs the package {package}. Install it with: pip install 'padless\[data\]'"
    ):
        load_images(str(tmp_path) if place == "folder" else place, shape=(3, 8, 8))


def test_images_from_anything_that_gives_pairs(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (8, 8), np.uint8)
    file = tmp_path / "grey.png"
    pil.fromarray(grey).save(file)
    forms = [
        grey,
        grey[:, :, None],
        str(file),
        torch.from_numpy(grey)[None],
        pil.fromarray(grey),
        file,
        file.read_bytes(),
    ]
    images = padless.as_images([(form, i) for i, form in enumerate(forms)], ((f, 0) for f in forms), shape=(1, 8, 8))
    assert (images.train == torch.from_numpy(grey)).all() and images.train_labels.tolist() == list(range(7))
    assert (images.test == torch.from_numpy(grey)).all() and (images.name, images.flips) == ("images", True)
    colours = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    again = padless.as_images([(colours, 1)], [(colours.permute(1, 2, 0).numpy(), 1)], shape=(3, 8, 8))
    assert torch.equal(again.train[0], colours) and torch.equal(again.test[0], colours)


@pytest.mark.parametrize(
    "wrong", ["text", None, torch.zeros(2, 8, 8, dtype=torch.uint8), np.zeros((2, 8, 8), np.uint8)]
)
def test_images_that_are_none(wrong):
    with pytest.raises(UsageError, match="Image 0 of train cannot be read"):
        padless.as_images([(wrong, 0)], [(GREY, 0)], shape=(1, 8, 8))


GREY = np.zeros((8, 8), np.uint8)


@pytest.mark.parametrize("label", [-1, 1.7, "cat", None, torch.zeros(2)])
def test_labels_that_are_none(label):
    with pytest.raises(
        UsageError, match="Image 1 of train has the label .*; expected a whole number from 0 up, or none"
    ):
        padless.as_images([(GREY, 1), (GREY, label)], [(GREY, 0)], shape=(1, 8, 8))


def test_pictures_of_other_colours():
    with pytest.raises(UsageError, match=r"Image 0 of train cannot be read: it has 2 channels; expected 1, 3 or 4"):
        padless.as_images([torch.zeros(2, 8, 8, dtype=torch.uint8)], [GREY], shape=(1, 8, 8))


def test_labels_are_for_all_or_for_none():
    with pytest.raises(UsageError, match="Image 1 of train has the label 1; expected .* or none at all"):
        padless.as_images([GREY, (GREY, 1)], [GREY], shape=(1, 8, 8))
    with pytest.raises(UsageError, match="Of the training and test set of images one has labels, the other not"):
        padless.as_images([(GREY, 1)], [GREY], shape=(1, 8, 8))
    with pytest.raises(UsageError, match="one has other types, the other not"):
        padless.as_images([GREY], torch.zeros(1, 1, 8, 8), shape=(1, 8, 8))


class Shorter:
    def __init__(self, promised):
        self.promised = promised

    def __len__(self):
        return self.promised

    def __iter__(self):
        yield GREY, 1


def test_fewer_images_than_promised():
    with pytest.raises(UsageError, match="train gave 1 images; its length is 3"):
        padless.as_images(Shorter(3), [(GREY, 0)], shape=(1, 8, 8))
    with pytest.raises(UsageError, match="There are no test images"):
        padless.as_images([(GREY, 0)], [], shape=(1, 8, 8))


def test_a_data_set_without_an_end():
    class Endless:
        def __len__(self):
            return 2

        def __getitem__(self, i):
            return GREY + i, i

    assert padless.as_images(Endless(), Endless(), shape=(1, 8, 8)).train_labels.tolist() == [0, 1]


def test_images_that_fit_nowhere(monkeypatch):
    monkeypatch.setattr(os, "sysconf", {"SC_AVPHYS_PAGES": 1, "SC_PAGE_SIZE": 1}.__getitem__)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UsageError, match="No space left on device. Set TMPDIR to a larger disk"):
        padless.as_images([(GREY, 0)], [(GREY, 0)], shape=(1, 8, 8))


def test_images_that_do_not_fit_into_memory_lie_in_a_file(monkeypatch):
    sizes = {"SC_AVPHYS_PAGES": 1, "SC_PAGE_SIZE": 100}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    pairs = [(np.full((8, 8), i, np.uint8), i) for i in range(3)]
    images = padless.as_images(pairs, pairs, shape=(1, 8, 8))
    assert images.train[:, 0, 0, 0].tolist() == [0, 1, 2]
    monkeypatch.setattr(os, "sysconf", lambda name: (_ for _ in ()).throw(ValueError(name)))
    assert padless.as_images(pairs, pairs, shape=(1, 8, 8)).train.shape == (3, 1, 8, 8)
