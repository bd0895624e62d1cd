"""Write requirements/dev.lock anew: every package of the development and CI environment, with its hashes.

    python -m tools.lock        # or: make lock

uv resolves `pyproject.toml` (all extras and the group dev) for Python 3.11 and newer, on all systems. PyTorch, torchvision
and what belongs to their CUDA builds are left out: see requirements/torch.txt. No index is named in it: any mirror serves.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK, TORCH = ROOT / "requirements" / "dev.lock", ROOT / "requirements" / "torch.txt"
OF_TORCH = re.compile(r"(torch|torchvision|triton|nvidia-[\w-]+|cuda-[\w-]+)==")
HEAD = "# Written by `make lock`; install with pip install --require-hashes --no-deps. PyTorch: see torch.txt.\n"


def main() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--extra", "all", "--extra", "sweep",
         "--group", "dev", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate", "--no-header",
         "--quiet", "--constraint", str(TORCH), "--constraint", str(TORCH.with_name("constraints.txt"))],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    LOCK.write_text(HEAD + "".join(block for block in blocks(done.stdout) if not OF_TORCH.match(block)))


def blocks(text: str) -> list[str]:
    """One for each package: its line and those of its hashes."""
    return re.findall(r"^[\w.-]+==.*\n(?:[ ]+.*\n)*", text, re.MULTILINE)


if __name__ == "__main__":
    main()
