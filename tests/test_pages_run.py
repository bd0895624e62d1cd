"""What a page tells its reader to type works, and prints what the page shows."""

import re
import sys

import pytest
from checks.pages import Reader

from tools.pages import DOCS

PAGES = [f"tutorials/{path.name}" for path in sorted((DOCS / "tutorials").glob("*.md"))]
PAGES += ["your-model.md", "own-data.md", "own-board.md", "own-npu.md"]


@pytest.fixture
def reader(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    yield Reader(run, tmp_path)
    for name in set(sys.modules) - known:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs(name, reader):
    reader.follow(DOCS / name)


def test_ultralytics_networks_are_those_that_were_measured():
    row = re.search(r"\| ultralytics \| (\d+) \| \d+ \| (\d+) \| (\d+) \|", (DOCS / "measurements.md").read_text())
    text = " ".join((DOCS / "tutorials" / "detectors.md").read_text().split())
    assert f"{row[2]} of {row[1]} are cut and checked, and Arm's compiler takes {row[3]} of them in one piece" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```python\nprint('a  b')\nprint('c')\n```\n\n```text\na b\nc\n```\n", None),
        ("```python\nprint('12 of 13')\n```\n\n```text\n… of 13\n```\n", None),
        ("```python\nprint('c')\n```\n\n```text\nb\n```\n", r"(?s)page.md:5 says\s+b\s+but"),
        ("```python\nprint('a')\nprint('b')\n```\n\n```text\nb\na\n```\n", r"(?s)page.md:6 says\s+a\s+but"),
        ("```sh\npadless targets nope\n```\n", "page.md:1: padless targets nope"),
        ("```sh\npadless targets nope\n```\n\n```text\nError: …nope…\n```\n", None),
        ('```python title="x.py"\nprint(3)\n```\n\n```sh\npython x.py\n```\n\n```text\n3\n```\n', None),
        ("```sh\nrm x\n```\n", "runs rm, which readers may not have"),
    ],
)
def test_a_page_that_lies_is_found_out(text, said, reader, tmp_path):
    (tmp_path / "page.md").write_text(text)
    if said is None:
        reader.follow(tmp_path / "page.md")
    else:
        with pytest.raises(AssertionError, match=said):
            reader.follow(tmp_path / "page.md")
