"""Where samples come from: the digits, folders, arrays in files, functions, the Hugging Face hub."""

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from padless.calls import current_folder, imported
from padless.errors import PadlessError, UsageError, missing_extra
from padless.files import regular
from padless.inputs.decode import Split, room_for, split_of

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}
ENDINGS = {*IMAGE_SUFFIXES, ".npy", ".parquet"}
MOST = 3_000_000  # files below a folder that are looked through
IMAGE_COLUMNS, LABEL_COLUMNS = ("img", "image"), ("label", "labels", "fine_label")
PLACES = (
    "digits, a folder, an .npy or .npz file, package.module:function, or a Hugging Face dataset id such as "
    "uoft-cs/cifar10"
)


@dataclass(frozen=True, slots=True)
class Found:
    """A training set; a test set where there is one; whether a mirrored image keeps its label; the names of classes."""

    train: Split
    test: Split | None = None
    flips: bool = True
    names: tuple[str, ...] = ()


def found(place: str, shape: Sequence[int]) -> Found:
    """The samples at `place`, for a network that takes [N, *shape].

    Raises UsageError when there is no such place, or nothing there that can be taken.
    """
    path = Path(place)
    match reach(place):
        case "digits":
            return _digits()
        case "folder":
            return _parquet(path) or _folder(path)
        case "arrays":
            return _arrays(path, shape)
        case "function":
            return _function(place, shape)
        case "hub":
            return _hub(place)
    raise UsageError(f"No images at {place!r}. Give {PLACES}.")


def reach(place: str) -> Literal["digits", "folder", "arrays", "function", "hub", "nowhere"]:
    """What is looked at for samples at `place`: files, a function of the user's, or the network."""
    path = Path(place)
    if place == "digits":
        return "digits"
    if path.is_dir():
        return "folder"
    if path.suffix in (".npy", ".npz"):
        return "arrays"
    if ":" in place and not path.exists():
        return "function"
    return "hub" if "/" in place and not place.startswith((".", "/")) else "nowhere"


def found_in(given: Any, shape: Sequence[int], name: str) -> Found:
    """Samples that a function gave: a training set, (train, test), or {"train": …, "test": …}."""
    if isinstance(given, Mapping):
        if "train" not in given:
            raise UsageError(
                f"{name} gave {', '.join(map(str, given)) or 'nothing'}; expected train, and test if there is one."
            )
        train, test = given["train"], given.get("test")
    elif isinstance(given, tuple) and len(given) == 2 and not _labelled(given):
        train, test = given
    else:
        train, test = given, None
    return Found(split_of("train", train, shape), None if test is None else split_of("test", test, shape))


def _labelled(pair: tuple[Any, Any]) -> bool:
    """Whether it is inputs with their labels, and no training and test set."""
    inputs, labels = pair
    arrays = all(isinstance(part, Tensor | np.ndarray) for part in pair)
    return arrays and len(inputs) == len(labels) and labels.ndim == 1 < inputs.ndim


def _digits() -> Found:
    """E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits (its test set), UCI 1998, CC BY 4.0."""
    with np.load(Path(__file__).with_name("digits.npz")) as stored:
        images, labels = stored["images"], stored["labels"]  # of 17 shades [1797, 8, 8]
    images = (images * 255.0 / 16).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(labels))
    pairs = [(images[i], int(labels[i])) for i in order]
    return Found(Split("train", pairs[:1400], 1400), Split("test", pairs[1400:], len(pairs) - 1400), flips=False)


def _parquet(folder: Path) -> Found | None:
    found = [path for path in _below(folder) if path.suffix == ".parquet"]
    files_of = {
        split: sorted(path for path in found if path.name.startswith(split)) for split in ("train", "test", "valid")
    }
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
            names = parquet.read_schema(regular(files[0])).names
            image, label = _column(IMAGE_COLUMNS, names, folder), _column(LABEL_COLUMNS, names, folder)
            room_for(sum(_unpacked(parquet.read_metadata(regular(f))) for f in files), folder)
            tables = [parquet.read_table(f, columns=[image, label]) for f in files]
        except UsageError:
            raise
        except Exception as error:  # pyarrow's own are of many classes, for every fault another
            raise UsageError(f"Cannot read {files[0].name} in {folder}: {error}") from error
        rows = ((_bytes_of(r[image]), r[label]) for t in tables for b in t.to_batches(1024) for r in b.to_pylist())
        return Split(name, rows, sum(t.num_rows for t in tables))

    return Found(part("train", files_of["train"]), part("test", test))


def _unpacked(metadata: Any) -> int:
    """How many bytes a parquet file has unpacked, as it says."""
    return sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))


def _bytes_of(cell: Any) -> bytes:
    """An image's file: bytes, or a struct with bytes. Raises ValueError for another cell; no path in it is followed."""
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(content, bytes):
        kind = type(cell).__name__ if content is cell else f"struct with {', '.join(cell)}, without bytes"
        raise UsageError(f"A cell of the images' column is a {kind}; expected the bytes of an image's file.")
    return content


def _column(accepted: tuple[str, ...], names: list[str], where: object) -> str:
    for name in accepted:
        if name in names:
            return name
    raise UsageError(f"{where} has the columns {', '.join(names)}; expected one called {' or '.join(accepted)}.")


def _folder(folder: Path) -> Found:
    """`train`, and `test` (or `val`) if there is one, with a folder a class, or images without labels, beneath the folder
    anywhere."""
    train, test = folder / "train", next((folder / n for n in ("test", "val") if (folder / n).is_dir()), None)
    classes = _classes(train) if train.is_dir() else ()
    if classes and test:
        if unknown := sorted(set(_classes(test)) - set(classes)):
            raise UsageError(f"{test} has the class {unknown[0]!r}, which {train} has not. Both need the same folders.")
        return Found(_class_folders(train, classes), _class_folders(test, classes), names=classes)
    if len(classes) > 1 and all(_has_images(train / name) for name in classes):
        return Found(_class_folders(train, classes), names=classes)
    if train.is_dir() and test:
        return Found(_flat(train), _flat(test))
    return Found(_flat(folder))


def _has_images(folder: Path) -> bool:
    return any(path.suffix.lower() in IMAGE_SUFFIXES and not _hidden(path, folder) for path in folder.iterdir())


def _class_folders(split: Path, classes: Sequence[str]) -> Split:
    files = [(p, i) for i, c in enumerate(classes) for p in sorted((split / c).glob("*"))
             if p.suffix.lower() in IMAGE_SUFFIXES and not _hidden(p, split)]  # fmt: skip
    if not files:
        raise UsageError(
            f"{split} has no images ({', '.join(sorted(IMAGE_SUFFIXES))}) in the folders {', '.join(classes[:5])}."
        )
    return Split(split.name, files, len(files))


def _flat(folder: Path) -> Split:
    """Images, else arrays, without labels."""
    everything = list(_below(folder))
    for suffixes in (IMAGE_SUFFIXES, {".npy"}):
        files = sorted(p for p in everything if p.suffix.lower() in suffixes and not _hidden(p, folder))
        if files:
            return Split(folder.name, [(str(p), None) for p in files], len(files))
    raise UsageError(
        f"{folder} holds neither train*.parquet and test*.parquet, nor train/ and test/ with one folder a class, nor images "
        f"({', '.join(sorted(IMAGE_SUFFIXES))}), nor arrays (.npy)."
    )


def _below(folder: Path) -> Iterator[Path]:
    """The files below a folder that have an ending of images, arrays or parquet. Raises UsageError where it has too many."""
    seen = 0
    for place, _, names in os.walk(folder):
        seen += 1 + len(names)
        if seen > MOST:
            raise UsageError(f"{folder} holds more than {MOST:,} files. Give the folder of the images.")
        yield from (Path(place, name) for name in names if os.path.splitext(name)[1].lower() in ENDINGS)


def _classes(folder: Path) -> tuple[str, ...]:
    """The folders in a folder: a class each. Hidden ones, such as .ipynb_checkpoints, are none."""
    return tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and not _hidden(p, folder)))


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _arrays(file: Path, shape: Sequence[int]) -> Found:
    """An .npy file of samples [N, ...]; an .npz file with train and test, and labels of each, or one array alone."""
    try:
        with np.errstate(all="ignore"):
            if zipfile.is_zipfile(regular(file)):
                with zipfile.ZipFile(file) as archive:
                    room_for(sum(member.file_size for member in archive.infolist()), file)
            loaded = np.load(file, allow_pickle=False)
            arrays = (
                {"train": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
            )
    except FileNotFoundError as error:
        raise UsageError(f"No images at {str(file)!r}. Give {PLACES}.") from error
    except UsageError:
        raise
    except Exception as error:  # of many classes, for every fault of a header or an archive another
        raise UsageError(f"{file} cannot be read: {error}. Nothing is unpickled: save plain arrays.") from error
    named = {
        part: next((arrays[name] for name in names if name in arrays), None)
        for part, names in {
            "train": ("train", "x_train", "x", "images"), "train_labels": ("train_labels", "y_train", "y", "labels"),
            "test": ("test", "x_test"), "test_labels": ("test_labels", "y_test"),
        }.items()
    }  # fmt: skip
    if named["train"] is None and len(arrays) == 1:
        named["train"] = next(iter(arrays.values()))
    if named["train"] is None:
        raise UsageError(
            f"{file} has the arrays {', '.join(arrays) or 'none'}; expected train, train_labels, test and test_labels (or "
            "x_train, y_train, x_test, y_test), or train alone."
        )

    def part(name: str) -> Split:
        samples, labels = named[name], named[f"{name}_labels"]
        if labels is not None and labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]  # as Keras keeps them
        return split_of(name, samples if labels is None else (samples, labels), shape)

    return Found(part("train"), None if named["test"] is None else part("test"))


def _function(place: str, shape: Sequence[int]) -> Found:
    try:
        function = imported(place)
    except Exception as error:  # the user's module may fail in any way
        raise UsageError(f"No images at {place!r}: {error}. Write package.module:function.") from error
    try:
        with current_folder():  # it may import more
            given = function()
    except Exception as error:
        raise PadlessError(f"{place} failed: {type(error).__name__}: {error}") from error
    return found_in(given, shape, place)


def _hub(place: str) -> Found:
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
        return Split(split, ((r[image], r[label]) for r in rows), len(rows))

    return Found(part("train"), part(test))
