"""Gather the site's sources: pages of the repository with their links turned, and those that are written here."""

import os
import re
import shutil
from pathlib import Path

from tools.site import HERE, ROOT, api, commands, notebooks

CONFIG = "mkdocs.yml"
LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")
FENCE = re.compile(r"(^[ ]*```.*?^[ ]*```[^\n]*$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


def places() -> dict[Path, str]:
    """Where each file of the repository lies in the site. A notebook's script is its page there."""
    docs = ROOT / "docs"
    found = {path: str(path.relative_to(docs)) for path in docs.rglob("*") if path.is_file()}
    for script in docs.glob("notebooks/*.py"):
        found[script] = f"notebooks/{script.stem}.md"
    found |= {ROOT / name: name.lower() for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}
    found |= {path: f"examples/{path.name}" for path in (ROOT / "examples").glob("*.py")}
    found[ROOT / "examples" / "README.md"] = "examples/index.md"
    found |= {path: path.name for path in (HERE / "pages").iterdir()}
    found |= {path: f"assets/{path.name}" for path in (HERE / "assets").iterdir()}
    return found


def stage(work: Path, *, execute: bool = True) -> None:
    """Write `work`/docs and `work`/mkdocs.yml anew. Without `execute` notebooks have no outputs.

    Raises FileNotFoundError where a page links to a file that the site has not.
    """
    shutil.rmtree(work / "docs", ignore_errors=True)
    where = places()
    pages = {"cli.md": commands.page()} | {f"api/{name}": text for name, text in api.pages().items()}
    for path, name in where.items():
        if path.suffix == ".py" and name.endswith(".md"):
            cells = notebooks.run(path.read_text(), path.name) if execute else notebooks.cells(path.read_text())
            for cell in cells:
                cell.text = cell.text if cell.code else turned(cell.text, path, name, where)
            pages[name] = notebooks.page(cells, f"{path.stem}.ipynb")
            pages[f"notebooks/{path.stem}.ipynb"] = notebooks.ipynb(cells)
        elif path.suffix == ".md":
            pages[name] = turned(path.read_text(), path, name, where)
        else:
            _copied(path, work / "docs" / name)
    for name, text in pages.items():
        file = work / "docs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    _copied(ROOT / CONFIG, work / CONFIG)


def turned(text: str, path: Path, name: str, where: dict[Path, str]) -> str:
    """A page's text with each link to another file of the repository leading to that file's place in the site."""

    def link(found: re.Match[str]) -> str:
        file = Path(os.path.normpath(path.parent / found[2]))
        if file not in where:
            raise FileNotFoundError(
                f"{path.relative_to(ROOT)} links to {found[2]}, which the site has not. Link to a page."
            )
        return found[1] + os.path.relpath(where[file], Path(name).parent).replace(os.sep, "/") + found[3]

    # every second part is code
    parts = FENCE.split(text)
    return "".join(part if number % 2 else LINK.sub(link, part) for number, part in enumerate(parts))


def _copied(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, to)
