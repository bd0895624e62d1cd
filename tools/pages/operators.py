"""Write `supported-operators.md` from the docstrings of the rules: `python -m tools.pages.operators`."""

import importlib
import inspect
from collections.abc import Callable

from padless.graph.rules import RULES
from padless.graph.rules.registry import UNTAGGED
from tools.pages import DOCS

PAGE = DOCS / "supported-operators.md"
ROOMS = ("layers", "recurrent", "norms", "reductions", "movement", "parts", "positions", "transforms", "factories")
INTRODUCTION = """# Supported operators

Written by `python -m tools.pages.operators` from the docstrings of `padless/graph/rules/`; a test fails when it is stale.

padless records one run of a model as ATen operations and follows every channel through them. This page says what each
operation does to channels. What has no rule pins every channel it reads; `padless inspect` lists these, with the reason.
Your own operation takes three lines: see [custom-operators.md](custom-operators.md).

Numbers in the forward are followed too. A size read from a tensor (`x.shape[1] // 2`) fits itself behind a cut; a whole
number that a module stores (`self.width`) is changed with the channels it counts; a literal keeps them as they are.
"""


def page() -> str:
    """The whole page."""
    by_function: dict[Callable[..., None], list[str]] = {}
    for name, rule in RULES.items():
        by_function.setdefault(rule.function, []).append(name.removeprefix("aten."))
    untagged = sorted(name.removeprefix("aten.") for name in UNTAGGED)
    elementwise = ["every operation that torch tags as pointwise", *untagged]
    parts = [INTRODUCTION, _table("Elementwise", [(elementwise, RULES["pointwise"].function)])]
    for room in ROOMS:
        title = (
            str(importlib.import_module(f"padless.graph.rules.{room}").__doc__)
            .splitlines()[0]
            .split(":")[0]
            .split(".")[0]
        )
        rows = [f for f in by_function if f.__module__.endswith(f".{room}")]
        parts.append(_table(title, [(by_function[f], f) for f in rows]))
    return "\n".join(parts)


def _table(title: str, rows: list[tuple[list[str], Callable[..., None]]]) -> str:
    lines = [f"## {title}", "", "| operations | what happens to channels |", "|---|---|"]
    for names, function in rows:
        said = " ".join((inspect.getdoc(function) or "").split())
        shown = ", ".join(n if " " in n else f"`{n}`" for n in names)
        lines.append(f"| {shown} | {said} |")
    return "\n".join(lines) + "\n"


def write() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
