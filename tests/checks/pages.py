"""Pages whose blocks run: each file is written, each Python block and command runs, in the order of the page.

    ```python title="train.py"    a file of that name, in the reader's folder
    ```python                     runs; the blocks of a page share their names
    ```sh                         `padless ...` and `python FILE`, one after another
    ```text                       lines that what ran last printed, in this order; … stands for anything

Other languages are only shown. A command must succeed, unless the text shows its `Error:`.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<file>[^\"]+)\")?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
ROOT = Path(__file__).parents[2]


@dataclass
class Reader:
    """Someone who follows a page to the letter, in an empty folder."""

    padless: Callable[..., tuple[int, str, str]]  # the fixture `run`, which changes to that folder
    folder: Path
    names: dict = field(default_factory=lambda: {"__name__": "page"})
    printed: str = ""

    def follow(self, page: Path) -> None:
        blocks = list(BLOCK.finditer(page.read_text()))
        for block, next_block in zip(blocks, [*blocks[1:], None], strict=True):
            text, place = block["text"], f"{page.name}:{page.read_text()[: block.start()].count(chr(10)) + 1}"
            if block["file"]:
                (self.folder / block["file"]).write_text(text)
            elif block["language"] == "python":
                self._python(text, place)
            elif block["language"] == "sh":
                fails = next_block is not None and next_block["language"] == "text" and "Error: " in next_block["text"]
                self._commands(text, place, fails=fails)
            elif block["language"] == "text":
                self._compare(text, place)

    def _python(self, code: str, place: str) -> None:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, place, "exec"), self.names)
        self.printed = printed.getvalue()

    def _commands(self, text: str, place: str, *, fails: bool) -> None:
        lines = text.replace("\\\n", " ").strip().splitlines()
        for line in lines:
            program, *arguments = shlex.split(line, comments=True)
            into = ""
            if arguments[-2:-1] == [">"]:
                *arguments, _, into = arguments
            if program == "padless":
                code, out, err = self.padless(*arguments)
                self.printed = out + err
                if into:
                    (self.folder / into).write_text(out)
            else:
                assert program == "python", f"{place} runs {program}, which readers may not have"
                env = os.environ | {
                    "PYTHONPATH": os.pathsep.join((str(ROOT), str(self.folder))),
                    "OMP_NUM_THREADS": "1",
                }
                done = subprocess.run(
                    [sys.executable, *arguments], cwd=self.folder, env=env, text=True, capture_output=True
                )
                code, self.printed = done.returncode, done.stdout + done.stderr
            assert code == (2 if fails and line == lines[-1] else 0), f"{place}: {line}\n{self.printed}"

    def _compare(self, text: str, place: str) -> None:
        """Spaces count as one; terminals wrap lines, so what was printed is compared as a whole."""
        printed, at = _spaced(self.printed), 0
        for line in text.splitlines():
            pattern = r".*?".join(re.escape(_spaced(part)) for part in line.split("…"))
            found = re.compile(pattern).search(printed, at)
            assert found, f"{place} says\n{line}\nbut what ran printed\n{self.printed}"
            at = found.end()


def _spaced(text: str) -> str:
    return re.sub(r"\s+", " ", text.rstrip() if "\n" in text else text)
