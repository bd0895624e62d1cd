"""Labelled images in memory: scikit-learn's digits, Hugging Face parquet, image folders, the Hugging Face hub.

Images are decoded once into bytes. That suits small images and calibration sets; training on a large data set is the
user's own loop, which takes the pruned model as any other.
"""

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from padless.errors import UsageError, missing_extra
from padless.files import digest
from padless.inputs.decode import Pairs, stacked

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm"}
IMAGE_COLUMNS, LABEL_COLUMNS = ("img", "image"), ("label", "labels", "fine_label")

Split = tuple[str, Pairs, int]  # name, pairs, how many


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Images:
    """A training and a test set. Images are uint8 [N, C, H, W], labels int64 [N]."""

    name: str
    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor
    mean: Tensor  # [C], of pixel / 255
    std: Tensor  # [C]
    flips: bool  # whether a mirrored image keeps its label
    names: tuple[str, ...] = ()  # of the classes, where they are known

    @property
    def classes(self) -> int:
        return int(torch.cat([self.train_labels, self.test_labels]).max()) + 1

    def digest(self) -> str:
        """A hash of the training images and labels."""
        return digest(self.train.numpy().data, self.train_labels.numpy().data)

    def normalised(self, images: Tensor) -> Tensor:
        """uint8 images as the network takes them, float32."""
        return (images.float() / 255 - self.mean[:, None, None]) / self.std[:, None, None]

    def calibration(self, count: int, seed: int, batch: int = 128) -> Iterator[Tensor]:
        """Batches of at most `count` training images, shuffled, normalised. Never the test set."""
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(seed))[:count]
        for part in order.split(batch):
            yield self.normalised(self.train[part])


def load_images(
    place: str, *, shape: tuple[int, int, int], normalise: tuple[Iterable[float], Iterable[float]] | None = None
) -> Images:
    """Images as [C, H, W] = `shape` from `place`: `digits`, a folder, or a Hugging Face dataset id.

    `normalise` holds the mean and deviation per colour that the model was trained with; without it they are taken from
    the training images. A folder holds `train*.parquet` and `test*.parquet` with columns img (or image) and label, or
    `train/CLASS/*.png` and `test/CLASS/*.png` (also `val`).

    Raises UsageError when there is no such place, or it has no labels, no test set or no images.
    """
    names: tuple[str, ...] = ()
    if place == "digits":
        splits = _digits()
    elif Path(place).is_dir():
        splits = _parquet(Path(place)) or _folder(Path(place))
        names = _classes(Path(place) / "train")
    elif "/" in place and not place.startswith((".", "/")):
        splits = _hub(place)
    else:
        raise UsageError(
            f"No images at {place!r}. Give digits, a folder, or a Hugging Face dataset id such as uoft-cs/cifar10."
        )
    return _images(place, splits, shape, normalise, flips=place != "digits", names=names)


def as_images(
    train: Pairs,
    test: Pairs,
    *,
    shape: tuple[int, int, int],
    normalise: tuple[Iterable[float], Iterable[float]] | None = None,
    flips: bool = True,
    name: str = "images",
) -> Images:
    """Images of your own, from anything that gives (image, label) pairs: a data set of torchvision or Hugging Face, a list.

    An image is a PIL image, a path, the bytes of a file, or uint8: a tensor [C, H, W], an array [H, W] or [H, W, C]. Those
    of another size than `shape` (C, H, W) are resized. A label is a whole number from 0 up. `flips`: a mirrored image keeps
    its label.

    Raises UsageError when an image cannot be read, a label is none, or there are none or fewer than were promised.
    """
    return _images(name, (_split("train", train), _split("test", test)), shape, normalise, flips=flips)


def _split(name: str, pairs: Pairs) -> Split:
    known: Any = pairs if isinstance(pairs, Sized) else list(pairs)
    indexed = hasattr(known, "__getitem__")  # a data set may have no other end than its length
    samples = (known[i] for i in range(len(known))) if indexed else iter(known)
    return name, ((sample[0], sample[1]) for sample in samples), len(known)


def _images(
    name: str,
    splits: tuple[Split, Split],
    shape: tuple[int, int, int],
    normalise: tuple[Iterable[float], Iterable[float]] | None,
    *,
    flips: bool,
    names: tuple[str, ...] = (),
) -> Images:
    (train, train_labels), (test, test_labels) = (stacked(*split, shape) for split in splits)
    if normalise is None:
        pixels = train[:5000].float() / 255
        mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3)).clamp_min(1e-3)
    else:
        mean, std = (torch.tensor(list(v)) for v in normalise)
    return Images(
        name=name, train=train, train_labels=train_labels, test=test, test_labels=test_labels, mean=mean, std=std,
        flips=flips, names=names,
    )  # fmt: skip


def _digits() -> tuple[Split, Split]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise missing_extra("scikit-learn", "data", "The data set digits") from error
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(labels))
    pairs = [(images[i], int(labels[i])) for i in order]
    return ("train", pairs[:1400], 1400), ("test", pairs[1400:], len(pairs) - 1400)


def _parquet(folder: Path) -> tuple[Split, Split] | None:
    files_of = {split: sorted(folder.rglob(f"{split}*.parquet")) for split in ("train", "test", "valid")}
    if not any(files_of.values()):
        return None
    test = files_of["test"] or files_of["valid"]
    if not files_of["train"] or not test:
        raise UsageError(f"{folder} has parquet files but not both train*.parquet and test*.parquet.")
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise missing_extra("pyarrow", "data", "Reading parquet") from error

    def part(name: str, files: list[Path]) -> Split:
        try:
            names = parquet.read_schema(files[0]).names
            image, label = _column(IMAGE_COLUMNS, names, folder), _column(LABEL_COLUMNS, names, folder)
            tables = [parquet.read_table(f, columns=[image, label]) for f in files]
        except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
            raise UsageError(f"Cannot read {files[0].name} in {folder}: {error}") from error
        rows = ((r[image]["bytes"], r[label]) for t in tables for b in t.to_batches(1024) for r in b.to_pylist())
        return name, rows, sum(t.num_rows for t in tables)

    return part("train", files_of["train"]), part("test", test)


def _column(accepted: tuple[str, ...], names: list[str], where: object) -> str:
    for name in accepted:
        if name in names:
            return name
    raise UsageError(f"{where} has the columns {', '.join(names)}; expected one called {' or '.join(accepted)}.")


def _folder(folder: Path) -> tuple[Split, Split]:
    splits = [folder / "train", next((folder / n for n in ("test", "val") if (folder / n).is_dir()), folder / "test")]
    if not all(split.is_dir() for split in splits):
        raise UsageError(
            f"{folder} holds neither train*.parquet and test*.parquet nor train/ and test/ with one folder a class."
        )
    classes = _classes(splits[0])
    if not classes:
        raise UsageError(f"{splits[0]} has no labels: expected one folder a class with its images inside.")

    def part(split: Path) -> Split:
        files = [(p, i) for i, c in enumerate(classes) for p in sorted((split / c).glob("*"))
                 if p.suffix.lower() in IMAGE_SUFFIXES]  # fmt: skip
        if not files:
            raise UsageError(
                f"{split} has no images ({', '.join(sorted(IMAGE_SUFFIXES))}) in the folders {', '.join(classes[:5])}."
            )
        return split.name, files, len(files)

    return part(splits[0]), part(splits[1])


def _classes(folder: Path) -> tuple[str, ...]:
    """The folders in a folder: a class each."""
    return tuple(sorted(p.name for p in folder.iterdir() if p.is_dir())) if folder.is_dir() else ()


def _hub(place: str) -> tuple[Split, Split]:
    try:
        import datasets
    except ImportError as error:
        raise missing_extra("datasets", "data", f"Loading {place}") from error
    try:
        data = datasets.load_dataset(place)
    except Exception as error:
        raise UsageError(f"Cannot load the dataset {place!r}: {error}. Is it a folder? Check the path.") from error
    test = "test" if "test" in data else "validation"
    if "train" not in data or test not in data:
        raise UsageError(f"The dataset {place!r} has the splits {', '.join(data)}; expected train and test.")

    def part(split: str) -> Split:
        rows = data[split]
        image, label = (_column(c, rows.column_names, place) for c in (IMAGE_COLUMNS, LABEL_COLUMNS))
        return split, ((r[image], r[label]) for r in rows), len(rows)

    return part("train"), part(test)
