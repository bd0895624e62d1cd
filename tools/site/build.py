"""Build the site, strictly: whatever Zensical warns of, and whatever link leads nowhere, ends it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.site import ROOT
from tools.site.links import faults
from tools.site.stage import CONFIG


class BuildError(Exception):
    """The site cannot be built as its pages stand: what is wrong with them, one a line."""


def build(work: Path) -> Path:
    """Build what `stage` gathered in `work`; returns the folder of the site.

    Raises BuildError with all that is wrong.
    """
    for name in ("site", ".cache"):
        shutil.rmtree(work / name, ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", CONFIG],
        cwd=work, env=os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise BuildError(_told(done.stdout + done.stderr))
    if wrong := faults(work / "site"):
        raise BuildError("\n".join(wrong))
    return work / "site"


def _told(output: str) -> str:
    """Zensical's own account, without colours and without the lines of its program."""
    return re.sub(r"\x1b\[[\d;]*m", "", output).partition("Traceback (most recent call last)")[0].strip() or output
