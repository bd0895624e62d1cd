"""Let `import torchvision`, and so `import timm`, work beside a torch for CPUs alone, in the environment that runs this.

python tools/without_operators.py

The matching wheel's compiled operators do not load there, and the module that describes them fails at import. No
classification network needs them. A .pth file, which Python reads at every start, puts an empty module in its place.
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

NAME = "torchvision_without_operators.pth"
LINE = (
    "import sys, types; sys.modules.setdefault('torchvision._meta_registrations', "
    "types.ModuleType('torchvision._meta_registrations'))\n"
)


def write(folder: Path) -> Path:
    """The file in a folder of site-packages."""
    file = folder / NAME
    file.write_text(LINE)
    return file


def main() -> None:
    file = write(Path(sysconfig.get_path("purelib")))
    works = (
        subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, check=False).returncode == 0
    )
    if not works:
        file.unlink()  # something else is wrong, which padless says when it needs torchvision
    print("torchvision is imported without its compiled operators." if works else "torchvision cannot be imported.")


if __name__ == "__main__":
    main()
