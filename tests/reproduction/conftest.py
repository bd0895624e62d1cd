"""The reproduction's command, on a network and images that take seconds."""

import numpy as np
import pytest
from models.tiny import Tiny
from PIL import Image

from padless.inputs import zoo


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(zoo.CIFAR_FORMS, "tiny", lambda models: Tiny())


@pytest.fixture
def data(tmp_path):
    """150 and 40 images of noise whose colour is their class."""
    drawn = np.random.default_rng(0)
    for part, count in (("train", 15), ("test", 4)):
        for label in range(10):
            folder = tmp_path / "data" / part / str(label)
            folder.mkdir(parents=True)
            for n in range(count):
                pixels = np.clip(drawn.normal(25 * label, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{n}.png")
    return tmp_path / "data"


@pytest.fixture
def run(run, tiny, data):
    """Run `padless reproduce ARGS` on the tiny network."""
    options = ("--data", "data", "--networks", "tiny", "--quick", "--units", "8")
    return lambda *args: run("reproduce", *options, *args)
