"""What is done to samples before they are trained on."""

import dataclasses
import sys

import pytest
import torch

import padless
from padless import Recipe
from padless.errors import PadlessError, UsageError
from padless.train.batches import Batches

X, Y = torch.randn(40, 1, 6, 4), torch.arange(40) % 3


@pytest.fixture
def spectra():
    return padless.as_images((X, Y), (X, Y), shape=(1, 6, 4))


def batch(images, augment):
    """The images of an epoch's only batch, in their own order."""
    made = Batches(images, Recipe(batch=len(images.train), augment=augment))[0]
    order = torch.randperm(len(images.train), generator=Batches(images, Recipe()).generator(0, whole=True))
    return made.x[order.argsort()]


def test_arrays_stay_as_they_are(spectra):
    assert torch.equal(batch(spectra, "auto"), X) and torch.equal(batch(spectra, "none"), X)


def test_what_is_asked_for_is_done_alone(spectra, few):
    mirrored = batch(spectra, "flip")
    turned = (mirrored == X.flip(3)).flatten(1).all(1)
    assert ((mirrored == X).flatten(1).all(1) ^ turned).all() and 5 < int(turned.sum()) < 35
    cropped = batch(spectra, "crop")
    assert not torch.equal(cropped, X)
    rows = {row.tobytes() for x in X for row in x[0].numpy()}
    centre = [row.tobytes() for x in cropped for row in x[0].numpy()]
    assert 0 < sum(row in rows for row in centre) < len(centre)  # those that moved up or down alone
    assert torch.equal(batch(few, "none"), few.normalised(few.train))
    assert not torch.equal(batch(few, "auto"), few.normalised(few.train))  # images are cropped


def test_a_function_of_ones_own(spectra, few, tmp_path, monkeypatch):
    lines = (
        "import torch", "def louder(x, generator): return 2 * x", "def first(x, generator): return x[:1]",
        "def single(x, generator): return x.float()", "def alone(x): return x", "def nothing(x, generator): pass",
        "def noisy(x, generator): return x + torch.rand(x.shape, generator=generator)",
    )  # fmt: skip
    (tmp_path / "own_augment.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert torch.equal(batch(spectra, "own_augment:louder"), 2 * X)
    assert torch.equal(batch(spectra, "own_augment:noisy"), batch(spectra, "own_augment:noisy"))
    for name, images, message in (
        ("first", spectra, r"made torch.float32 \[1, 1, 6, 4\] of torch.float32 \[40, 1, 6, 4\]; expected the same"),
        ("single", few, r"made torch.float32 \[200, 1, 16, 16\] of torch.uint8"), ("nothing", spectra, "made NoneType of"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            batch(images, f"own_augment:{name}")
    with pytest.raises(PadlessError, match="The augmentation failed: TypeError: alone"):
        batch(spectra, "own_augment:alone")


def test_a_module_beside_the_user(spectra, tmp_path, monkeypatch):
    (tmp_path / "beside_augment.py").write_text("def louder(x, generator): return 2 * x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [place for place in sys.path if place])
    assert torch.equal(batch(spectra, "beside_augment:louder"), 2 * X)


def test_what_is_unknown_or_does_not_fit(spectra):
    with pytest.raises(
        UsageError, match="No augmentation 'turn'. Write auto, none, flip, crop or package.module:function"
    ):
        batch(spectra, "turn")
    with pytest.raises(UsageError, match="No augmentation 'torch:nn': it is a module. Write package.module:function"):
        batch(spectra, "torch:nn")
    with pytest.raises(UsageError, match="augment is a NoneType; expected str. Write auto, none, flip, crop or"):
        batch(spectra, None)
    for name in ("json:none", "no_such_module:f", ":f"):
        with pytest.raises(UsageError, match=f"No augmentation '{name}': .*Write package.module:function"):
            batch(spectra, name)
    flat = dataclasses.replace(spectra, train=X.flatten(1))
    with pytest.raises(UsageError, match=r"--augment crop is for images \[C, H, W\]; these samples are \[24\]"):
        batch(flat, "crop")
    assert torch.equal(batch(flat, "auto"), X.flatten(1))
