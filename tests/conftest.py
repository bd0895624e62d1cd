import sys

import pytest
import torch

from padless import cli


@pytest.fixture(autouse=True)
def _seeded():
    torch.set_num_threads(1)  # two test processes share two cores
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("PADLESS_CACHE", str(tmp_path_factory.mktemp("cache")))


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
