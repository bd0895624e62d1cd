"""What every test has: a seed, a cache of its own, and the fixtures that several rooms share."""

import dataclasses
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # also of what tests start: two of them share two cores
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what tests start is compiled once, not each time

import pytest
import torch
from hypothesis import HealthCheck, settings
from models.networks import small

from padless import cli, load_images, plan, prune

pytest.register_assert_rewrite("checks")
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("repeatable")


def pytest_collectstart(collector):
    """Layers that a module makes as it is read are the same in every run: PyTorch starts with a seed of chance."""
    if isinstance(collector, pytest.Module):
        torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _seeded():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("PADLESS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))  # where the secret of seals is


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run `padless ARGS` in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["padless", *args])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def pruned():
    """A pruned network and its plan; a test may change it."""
    model = small()
    made = plan(model, torch.zeros(1, 3, 16, 16), target="unit:8", budget="macs=50%")
    return prune(model, made), made


@pytest.fixture(scope="session")
def digits():
    """The digits, 16 pixels wide: no test changes them."""
    return load_images("digits", shape=(1, 16, 16))


@pytest.fixture(scope="session")
def few(digits):
    """Two hundred of them to train on."""
    return dataclasses.replace(digits, train=digits.train[:200], train_labels=digits.train_labels[:200])
