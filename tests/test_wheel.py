"""The wheel: the same bytes each time, all that the package needs, and it works without the source tree."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built twice, as `make dist` does."""
    pytest.importorskip("hatchling", reason="hatchling is not installed")
    built = []
    for name in ("one", "two"):
        place = tmp_path_factory.mktemp(name)
        done = subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)],
            cwd=ROOT, env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        built += place.glob("*.whl")
    assert len(built) == 2 and built[0].read_bytes() == built[1].read_bytes()
    return built[0]


def test_it_holds_the_package_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    own = {str(path.relative_to(ROOT)) for path in (ROOT / "padless").rglob("*") if path.is_file()}
    assert {name for name in names if ".dist-info/" not in name} == {name for name in own if not name.endswith(".pyc")}
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_it_works_without_the_source_tree(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "there")
    code = "import padless, sys; from padless.__main__ import main; print(padless.__file__); sys.argv[0] = 'padless'; main()"
    words = ["inspect", "padless.demo:DigitsResNet", "--target", "unit:16"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "there")},
    )  # fmt: skip
    first, _, shown = done.stdout.partition("\n")
    assert first == str(tmp_path / "there" / "padless" / "__init__.py"), done.stderr
    assert done.returncode == 0 and "unit input x output" in shown, done.stderr
