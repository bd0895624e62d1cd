"""Notebooks are kept as scripts, parted by `# %%` and `# %% [markdown]`. They run, and become a page and an .ipynb."""

import ast
import contextlib
import io
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MARK = re.compile(r"^# %%(?P<words> \[markdown\])?.*\n", re.MULTILINE)


@dataclass
class Cell:
    """What a cell says, and after it has run what it showed."""

    text: str
    code: bool
    printed: str = ""
    html: str = ""  # of a last expression that has tables for notebooks
    value: str = ""  # of another last expression


def cells(script: str) -> list[Cell]:
    """The cells of a script; what stands before the first mark is its docstring, and left out."""
    marks = list(MARK.finditer(script))
    ends = [mark.start() for mark in marks[1:]] + [len(script)]
    found = []
    for mark, end in zip(marks, ends, strict=True):
        text = script[mark.end() : end].strip("\n")
        if mark["words"]:
            found.append(Cell(re.sub(r"^# ?", "", text, flags=re.MULTILINE), code=False))
        else:
            found.append(Cell(text, code=True))
    return found


def run(script: str, name: str) -> list[Cell]:
    """Its cells, run in order in one namespace and in a folder that is gone afterwards, with what each showed.

    Raises what a cell raises. The traceback has the notebook's name and the cell's number in place of a file.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    ran = cells(script)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for number, cell in enumerate(ran, 1):
            if cell.code:
                _run(cell, f"{name}, cell {number}", names)
    return ran


def _run(cell: Cell, file: str, names: dict[str, Any]) -> None:
    body, last = _parted(cell.text, file)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(body, names)
        value = eval(last, names) if last else None
    cell.printed = printed.getvalue()
    if html := getattr(value, "_repr_html_", None):
        cell.html = html()
    elif value is not None:
        cell.value = repr(value)


def _parted(code: str, file: str) -> tuple[Any, Any]:
    """The statements of a cell, and its last one apart where it is an expression, as a notebook shows it."""
    tree = ast.parse(code)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr):
        return compile(tree, file, "exec"), None
    tree.body.pop()
    return compile(tree, file, "exec"), compile(ast.Expression(last.value), file, "eval")


def page(ran: list[Cell], ipynb: str) -> str:
    """Markdown with what the cells showed. Under its title stands where the notebook itself is."""
    title, _, rest = "\n\n".join(part for cell in ran for part in _markdown(cell)).partition("\n")
    return f"{title}\n\nRun when this site was built. [Take it along as a notebook]({ipynb}){{ download }}.\n{rest}\n"


def _markdown(cell: Cell) -> Iterator[str]:
    if not cell.code:
        yield cell.text
        return
    yield f"```python\n{cell.text}\n```"
    for text in filter(None, (cell.printed.rstrip("\n"), cell.value)):
        yield f"```{{ .text .output }}\n{text}\n```"
    if cell.html:
        yield f'<div class="output">\n{cell.html}\n</div>'


def ipynb(ran: list[Cell]) -> str:
    """The same as a notebook, outputs and all."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book = {
        "cells": [_cell(number, cell) for number, cell in enumerate(ran)],
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(book, indent=1, ensure_ascii=False) + "\n"


def _cell(number: int, cell: Cell) -> dict[str, Any]:
    common = {"id": f"cell-{number}", "metadata": {}, "source": cell.text.splitlines(keepends=True)}
    if not cell.code:
        return {"cell_type": "markdown", **common}
    outputs: list[dict[str, Any]] = []
    if cell.printed:
        outputs.append({"output_type": "stream", "name": "stdout", "text": cell.printed.splitlines(keepends=True)})
    shown = {"text/html": cell.html} if cell.html else {"text/plain": cell.value} if cell.value else {}
    if shown:
        outputs.append({"output_type": "execute_result", "execution_count": None, "metadata": {}, "data": shown})
    return {"cell_type": "code", "execution_count": None, "outputs": outputs, **common}
