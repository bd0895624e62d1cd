"""For mkdocstrings: a data class shows its fields as they stand in the source, with what is said beside each."""

import ast
from typing import Any

import griffe

WIDTH = 88  # letters of a block, at 1200 pixels


class Fields(griffe.Extension):
    """Adds the fields of each data class to its docstring, as a block of code."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Called for each class of the package, once its members are known."""
        if cls.docstring is None or not any("dataclass" in label or "validated" in label for label in decorators(cls)):
            return
        if listing := fields_of("\n".join(cls.lines)):
            cls.docstring.value += f"\n\n```python\n{listing}\n```"


def decorators(cls: griffe.Class) -> list[str]:
    return [str(decorator.value) for decorator in cls.decorators]


def fields_of(source: str) -> str:
    """The lines of a class's public fields, comments and all; empty where there are none."""
    lines = source.splitlines()
    margin = len(lines[0]) - len(lines[0].lstrip())
    body = ast.parse("\n".join(line[margin:] for line in lines)).body[0]
    assert isinstance(body, ast.ClassDef)
    listed = [
        _narrow(lines[number][margin + 4 :])
        for node in body.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and not node.target.id.startswith("_")
        for number in range(node.lineno - 1, node.end_lineno or node.lineno)
    ]
    return "\n".join(listed)


def _narrow(line: str) -> str:
    """A long line with its comment above it."""
    code, mark, comment = line.partition("  # ")
    return f"# {comment}\n{code}" if mark and len(line) > WIDTH else line
