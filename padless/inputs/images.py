"""Samples in memory: images or arrays, with labels or without, by place or from anything that gives them.

Images are decoded once into bytes. That suits small images and calibration sets; training on a large data set is the
user's own loop, which takes the pruned model as any other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from padless.errors import UsageError, expect
from padless.files import digest
from padless.inputs.decode import split_of, stacked
from padless.inputs.places import Found, found
from padless.inputs.preprocess import Preprocess
from padless.notebook import shown
from padless.progress import console

HELD_OUT, MOST_HELD_OUT = 0.2, 2000  # of samples that come without a test set
Measured = Literal["accuracy", "agreement"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Images:
    """A training and a test set: uint8 images [N, C, H, W], red first, or arrays [N, ...] as the network takes them.

    Labels are int64 [N]. Without them networks are judged by `answers`, the dense one's outputs on the test set.
    """

    name: str
    train: Tensor
    test: Tensor
    train_labels: Tensor | None = None
    test_labels: Tensor | None = None
    answers: tuple[Tensor, ...] | None = None
    preprocess: Preprocess | None = None  # of images; None: arrays
    flips: bool = False  # whether a mirrored image keeps its label
    names: tuple[str, ...] = ()  # of the classes, where they are known

    def _repr_html_(self) -> str:
        rows = [
            (name, len(samples), "x".join(map(str, samples.shape[1:])), str(samples.dtype).removeprefix("torch."),
             "none" if labels is None else f"{len(labels.unique())} classes")
            for name, samples, labels in (
                ("train", self.train, self.train_labels), ("test", self.test, self.test_labels)
            )
        ]  # fmt: skip
        return shown(f"Images {self.name}", ("", "samples", "shape", "type", "labels"), rows)

    @property
    def measured(self) -> Measured:
        """What a test on them gives."""
        return "accuracy" if self.test_labels is not None else "agreement"

    @property
    def counted(self) -> bool:
        """Whether a test on them counts samples, so that its percentage has an interval; else it compares outputs."""
        return self.test_labels is not None or self.train_labels is not None

    @property
    def classes(self) -> int:
        """How many classes the labels have; 0 without labels."""
        labels = [part for part in (self.train_labels, self.test_labels) if part is not None]
        return int(torch.cat(labels).max()) + 1 if labels else 0

    def part(self, train: Tensor, test: Tensor) -> "Images":
        """The samples of these numbers alone; a dense network is to be asked again."""
        return replace(
            self,
            train=self.train[train],
            test=self.test[test],
            train_labels=None if self.train_labels is None else self.train_labels[train],
            test_labels=None if self.test_labels is None else self.test_labels[test],
            answers=None,
        )

    def held_out(self, share: float) -> "Images":
        """The training set without a share of it, and that share in the test set's place: to choose by, not to report."""
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(0))
        count = min(max(1, round(share * len(self.train))), len(self.train) - 1)
        apart, rest = order[:count].sort().values, order[count:].sort().values
        labels = None if self.train_labels is None else self.train_labels[apart]
        return replace(self.part(rest, torch.arange(0)), test=self.train[apart], test_labels=labels)

    def digest(self) -> str:
        """A hash of the training images and labels."""
        labels = [] if self.train_labels is None else [self.train_labels.numpy().data]
        return digest(self.train.numpy().data, *labels)

    def normalised(self, images: Tensor) -> Tensor:
        """Images as the network takes them, float32; arrays as they are."""
        return self.preprocess(images) if self.preprocess else images

    def calibration(self, count: int, seed: int, batch: int = 128) -> Iterator[Tensor]:
        """Batches of at most `count` training images, shuffled, normalised. Never the test set."""
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(seed))[:count]
        for part in order.split(batch):
            yield self.normalised(self.train[part])


def load_images(place: str, *, shape: Sequence[int], preprocess: Preprocess | None = None) -> Images:
    """Samples for a network that takes [N, *shape], from `place`:

    - `digits`: 1,797 handwritten ones of 8x8 pixels, which come with padless;
    - a folder with `train*.parquet` and `test*.parquet` (columns img or image, and label), or with `train/CLASS/*.png` and,
      if there is a test set, `test/CLASS/*.png` (also `val`), or with images or .npy arrays that have no labels;
    - an .npy file [N, ...], or an .npz file with train and test, or x_train, y_train, x_test and y_test, or one array;
    - `package.module:function`, which gives what `as_images` takes for train, or (train, test);
    - a Hugging Face dataset id.

    uint8 arrays and files are images, resized to the network; others are what the network takes. Where there is no test set,
    a fifth of the samples (2,000 at most) is held out. `preprocess` is what the model was trained with.

    Raises UsageError when there is no such place, or a sample there cannot be read or does not fit.
    """
    _check(shape, preprocess)
    return _images(place, found(place, shape), shape, preprocess or Preprocess())


def as_images(
    train: Any,
    test: Any = None,
    *,
    shape: Sequence[int],
    preprocess: Preprocess | None = None,
    flips: bool = True,
    name: str = "images",
) -> Images:
    """Samples of your own for a network that takes [N, *shape], with labels or without.

    `train` and `test` are tensors or arrays [N, ...], pairs of them with labels [N], data sets, DataLoaders, or what yields
    samples or batches, each alone or with its label. An image is a PIL image, a path, the bytes of a file, or uint8: a
    tensor [C, H, W], an array [H, W] or [H, W, C]; it is resized. Every other array is what the network takes. A label is a
    whole number from 0 up. Without `test` a fifth of the samples is held out. `flips`: a mirrored image keeps its label.

    Raises UsageError when a sample cannot be read or does not fit, a label is none, or there are none or fewer than
    promised.
    """
    _check(shape, preprocess)
    splits = split_of("train", train, shape), None if test is None else split_of("test", test, shape)
    return _images(name, Found(*splits, flips=flips), shape, preprocess or Preprocess())


def _check(shape: Sequence[int], preprocess: Preprocess | None) -> None:
    expect(shape, Sequence, "shape", "Write the shape of one sample, without N, such as (3, 32, 32).")
    expect(preprocess, (Preprocess, type(None)), "preprocess", "Write padless.Preprocess(mean=…, std=…).")


def _images(name: str, at: Found, shape: Sequence[int], preprocess: Preprocess) -> Images:
    train, train_labels = stacked(at.train, shape, preprocess)
    if at.test is None:
        (train, train_labels), (test, test_labels) = _held_out(train, train_labels)
        console.print(f"{name} has no test set: {len(test)} of {len(train) + len(test)} samples are held out for it.")
    else:
        test, test_labels = stacked(at.test, shape, preprocess)
    if (train_labels is None) != (test_labels is None) or train.dtype != test.dtype:
        differs = "labels" if train.dtype == test.dtype else "other types"
        raise UsageError(f"Of the training and test set of {name} one has {differs}, the other not.")
    pictures = train.dtype is torch.uint8
    return Images(
        name=name, train=train, test=test, train_labels=train_labels, test_labels=test_labels,
        preprocess=preprocess.settled(train, shape) if pictures else None, flips=at.flips and pictures, names=at.names,
    )  # fmt: skip


Labelled = tuple[Tensor, Tensor | None]


def _held_out(samples: Tensor, labels: Tensor | None) -> tuple[Labelled, Labelled]:
    """The rest, and a part that is never trained or calibrated on, drawn with a fixed seed."""
    if len(samples) < 2:
        raise UsageError("There is 1 sample; a test set is held out of 2 or more.")
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(0))
    count = min(max(1, int(HELD_OUT * len(samples))), MOST_HELD_OUT)
    test, train = order[:count], order[count:]

    def part(which: Tensor) -> Labelled:
        return samples[which], None if labels is None else labels[which]

    return part(train), part(test)
